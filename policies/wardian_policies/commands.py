"""`[commands]`: which programs a call may start, by their words, never by the text of a shell line.

    [commands]
    allow = ["git status **", "ls **", "pytest *"]
    ask   = ["git push"]
    deny  = ["sudo", "rm -rf /"]
    shell = "ask"

A pattern is a list of words, quoted as in a shell. `*` and `?` stand for characters inside one
word, the word `**` for any number of words. To allow, a pattern must match every word of a plain
command (see `shell_lines`). To deny or ask, it may match any program that the line names, further
words after it change nothing, and a program given by its path counts as well.

`shell` is the verdict on everything that is not provably one plain command: pipes, `$(…)`,
redirections, `sh -c …`. Without it, the rules on the tool itself decide.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardian_policies.globs import is_wild, one_of, text_regex
from wardian_policies.shell_lines import Line, understand, understand_argv
from wardian_policies.types import Rule, Verdict
from wardian_tools.types import Effect, Tool

ARGUMENT = "command"
"""The parameter of a tool that holds a command: a shell line, or a list of words."""
END = "\0"
IN_WORD = r"[^\0]"
ANY_WORDS = "**"
MAX_WORDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRule:
    """One pattern of `[commands]`."""

    verdict: Verdict
    words: tuple[str, ...]
    rule: Rule

    @property
    def literal(self) -> int:
        """How many words at its beginning have no wildcard."""
        wild = (index for index, word in enumerate(self.words) if set(word) & set("*?"))
        return next(wild, len(self.words))


def parse_command(verdict: Verdict, pattern: str, source: str) -> CommandRule:
    """The rule written as `pattern`. Raises: ValueError with a sentence on what is wrong."""
    try:
        words = tuple(shlex.split(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} has an open quote or a backslash at its end.") from error
    if not words:
        raise ValueError("An empty pattern names no command.")
    if words[0] == ANY_WORDS:
        raise ValueError(f"{pattern!r} names no program; use shell, or [tools], for all commands.")
    if len(words) > MAX_WORDS or words.count(ANY_WORDS) > 2 or END in pattern:
        raise ValueError(f"{pattern!r} has over {MAX_WORDS} words, or over two '**'.")
    rule = Rule(text=f"{verdict} command {pattern.strip()}", source=source)
    return CommandRule(verdict=verdict, words=words, rule=rule)


def words_regex(words: Sequence[str], *, and_more: bool) -> str:
    """For commands written as `word NUL word NUL …`. Linear in them for each `**`."""
    runs: list[str] = [""]
    for word in words:
        if word == ANY_WORDS:
            runs.append("")
        else:
            runs[-1] += rf"(?>{text_regex(word, IN_WORD)}{END})"
    head, *rest = runs
    regex = head
    for index, run in enumerate(rest):
        is_last = index == len(rest) - 1
        # The leftmost place is as good as any, where anything may follow.
        skipping = rf"(?:{IN_WORD}*+{END})*?{run}"
        regex += skipping if is_last and run and not and_more else rf"(?>{skipping})"
    ends_open = and_more or words[-1] == ANY_WORDS
    return regex + (rf"(?:{IN_WORD}*+{END})*+" if ends_open else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRules:
    """`[commands]` of one policy file."""

    rules: tuple[CommandRule, ...] = ()
    shell: Verdict | None = None
    shell_rule: Rule | None = None
    _patterns: dict[Verdict, "Compiled"] = field(
        default_factory=dict[Verdict, "Compiled"], init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        for verdict in Verdict:
            rules = tuple(rule for rule in self.rules if rule.verdict is verdict)
            if rules:
                and_more = verdict is not Verdict.ALLOW
                regexes = (words_regex(rule.words, and_more=and_more) for rule in rules)
                self._patterns[verdict] = Compiled(
                    pattern=one_of(regexes),
                    rules=rules,
                    programs=programs(rule.words[0] for rule in rules),
                )

    def may_be(self, verdict: Verdict) -> bool:
        """Could this be said of some command?"""
        return verdict in self._patterns or self.shell is verdict

    def first(self, verdict: Verdict, line: Line) -> CommandRule | None:
        """The rule of this verdict that names the command."""
        compiled = self._patterns.get(verdict)
        if compiled is None:
            return None
        if verdict is not Verdict.ALLOW:
            if not line.may_name(compiled.programs):
                return None
            return next(filter(None, map(compiled.match, line.commands)), None)
        found = compiled.match(line.argv) if line.argv else None
        if found is None or not line.must_be_literal:
            return found
        return next(self._spelled_out(compiled.rules, line), None)

    def _spelled_out(self, rules: Iterable[CommandRule], line: Line) -> Iterator[CommandRule]:
        """Of the rules that match, those that name what a wrapper runs."""
        assert line.argv is not None
        for rule in rules:
            if rule.literal >= line.must_be_literal or rule.literal == len(rule.words):
                regex = words_regex(rule.words, and_more=False)
                if re.fullmatch(regex, joined(line.argv)):
                    yield rule

    def of_shell(self, verdict: Verdict, line: Line) -> Rule | None:
        """The verdict on what a shell has to interpret, where it is this one."""
        return self.shell_rule if line.argv is None and self.shell is verdict else None


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Rules of one verdict as one pattern."""

    pattern: re.Pattern[str]
    rules: tuple[CommandRule, ...]
    programs: frozenset[str] | None

    def match(self, argv: tuple[str, ...]) -> CommandRule | None:
        if self.programs is not None and argv[0] not in self.programs:
            return None
        found = self.pattern.fullmatch(joined(argv))
        return self.rules[(found.lastindex or 1) - 1] if found else None


def programs(words: Iterable[str]) -> frozenset[str] | None:
    """The programs that patterns can name, where that can be told without matching them."""
    named = frozenset(words)
    return None if any(map(is_wild, named)) or any("\\" in word for word in named) else named


def joined(argv: Iterable[str]) -> str:
    return "".join(f"{word.replace(END, '')}{END}" for word in argv)


def takes_command(tool: Tool) -> bool:
    return Effect.EXECUTES in tool.effects and ARGUMENT in tool.parameters.get("properties", {})


def command_line(arguments: dict[str, Any]) -> Line:
    """The command of a call's arguments, understood."""
    command: object = arguments.get(ARGUMENT)
    if isinstance(command, list):
        return understand_argv(tuple(str(word) for word in command))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] — JSON
    return understand(command if isinstance(command, str) else "")
