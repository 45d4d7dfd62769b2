"""Shell lines, understood without a shell.

A line is *plain* when it is provably the start of one program with exactly these words: no
operator, expansion, redirection, comment, assignment, builtin or keyword. Whatever is not provably
that is the shell's to interpret, and so is a capability of its own.

`commands` holds every program that the line names, found by looking at it as a shell roughly
would: for rules that deny or ask, which may see too much but should not be got round by a prefix.
Not covered there: what is only known when the line runs (`$x`, `eval`, encoded text).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from wardian_policies.programs import ASSIGNMENT, WRAPPERS, base_name, literal_words

MAX_DEPTH = 4
"""How deep a script inside a script is looked into."""

PLAIN_PIECE = (
    r"""[\w@%+=:,./-]++|(?<=[A-Za-z0-9])[~^]|'[^'\x00-\x1f\x7f]*+'|"[^"$`\\!\x00-\x1f\x7f]*+\""""
)
# Not possessive as a whole, which Python 3.11 before .5 gets wrong for groups (gh-106052); pieces
# begin differently, so that no other way to match is ever looked for.
PLAIN_WORD = re.compile(rf"(?:{PLAIN_PIECE})+")
PLAIN_LINE = re.compile(rf"[ \t]*+(?:{PLAIN_PIECE})+(?:[ \t]++(?:{PLAIN_PIECE})+)*[ \t]*+")
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")

TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
    |(?P<redirect>[0-9]*(?:<<<|<<-?|<>|<&|>>|>\||>&|&>>|&>|<|>)[ \t]*)
    |(?P<operator>[;&|()`\r\n]+|\$\()
    |'(?P<single>[^']*)'
    |"(?P<double>(?:[^"\\]|\\[\s\S])*)"
    |\\(?P<escaped>[\s\S])
    |(?P<text>[^ \t\r\n;&|()`<>'"\\$]+|[\s\S])""",
    re.VERBOSE,
)
QUOTING = frozenset("'\"\\")
UNESCAPED = re.compile(r'\\([$`"\\\n])')

_KEYWORDS = "! do elif else fi done esac if in then until while time { }"
_BUILTINS = """
    . : alias bg bind break builtin caller case cd command compgen complete compopt continue coproc
    declare dirs disown do done elif else enable esac eval exec exit export fc fg fi for function
    getopts hash help history if in jobs let local logout mapfile popd pushd read readarray
    readonly return select set shift shopt source suspend then time times trap type typeset ulimit
    umask unalias unset until wait while
"""
KEYWORDS = frozenset(_KEYWORDS.split())
BUILTINS = frozenset(_BUILTINS.split())
"""Words that a shell does not take for a program. `echo`, `test` and the like are one too."""
RUNS_TEXT = frozenset(["-c", "-S", "--command", "--split-string"])

Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """What can be said of a shell line, or of a list of words, before it runs."""

    text: str = ""
    argv: Argv | None
    """The words, when the line is plain."""
    problem: str = ""

    @property
    def why(self) -> str:
        """What makes it one for a shell; completes "it …"; nothing for a plain line."""
        return self.problem or ("" if self.argv else what_needs_a_shell(self.text))

    @cached_property
    def must_be_literal(self) -> int:
        """So many words at its beginning a pattern must spell out to allow it."""
        return literal_words(self.argv) if self.argv else 0

    @cached_property
    def commands(self) -> tuple[Argv, ...]:
        """Every program with its words that the line names, wrapped ones too."""
        return tuple(named_in(self.text) if self.argv is None else unwrapped(self.argv, 0))

    def may_name(self, programs: frozenset[str] | None) -> bool:
        """Can one of these be among the programs it names? A quick look: a yes may be wrong.

        Where nothing is quoted, the name of a program stands in the text as it is.
        """
        if programs is None or not self.text or not QUOTING.isdisjoint(self.text):
            return True
        return any(program in self.text for program in programs)

    def end_of_word(self, count: int) -> int | None:
        """Where the first `count` words end in the text of a plain line."""
        ends = [word.end() for word in PLAIN_WORD.finditer(self.text)]
        return ends[count - 1] if len(ends) >= count else None


def understand(text: str) -> Line:
    """The line, read without running anything."""
    if not PLAIN_LINE.fullmatch(text):
        return Line(text=text, argv=None)
    if '"' in text or "'" in text:
        argv = tuple(unquoted(word) for word in PLAIN_WORD.findall(text))
    else:
        argv = tuple(text.split())
    if why := not_a_program(argv[0]):
        return Line(text=text, argv=None, problem=why)
    return Line(text=text, argv=argv)


def understand_argv(argv: Argv) -> Line:
    """A command that is given as words and never sees a shell."""
    if not argv or not argv[0]:
        return Line(argv=None, problem="names no program")
    return Line(argv=argv)


def unquoted(word: str) -> str:
    return QUOTED.sub(lambda found: found[1] or found[2] or "", word)


def not_a_program(word: str) -> str:
    """Why a shell would not start a program of this name, or nothing."""
    if ASSIGNMENT.match(word):
        return f"sets a variable first ({word.partition('=')[0]}=)"
    if word in BUILTINS:
        return f"begins with {word!r}, which the shell itself does"
    return "" if word else "names no program"


def what_needs_a_shell(text: str) -> str:
    """The first thing in the line that is more than one program with its words."""
    if not text.strip():
        return "names no program"
    at = 0
    while found := re.compile(rf"[ \t]+|{PLAIN_PIECE}").match(text, at):
        at = found.end()
    piece = (
        text[at : at + 2] if text[at : at + 2] in ("$(", "&&", "||", "<<") else text[at : at + 1]
    )
    names = {"\n": "a line break", "'": "an open quote", '"': "quotes around what may change"}
    return f"has {names.get(piece, repr(piece))}, which a shell interprets"


def named_in(text: str, depth: int = 0) -> Iterator[Argv]:
    """The programs that the line names, each with its words."""
    if depth > MAX_DEPTH:
        return
    for words, nested in simple_commands(text):
        for inner in nested:
            yield from named_in(inner, depth + 1)
        if argv := without_prefix(words):
            yield from unwrapped(argv, depth)


def simple_commands(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Words between operators; and double-quoted texts in which more may be substituted."""
    words: list[str] = []
    nested: list[str] = []
    word: str | None = None
    skip = False
    for found in TOKEN.finditer(text):
        kind = found.lastgroup
        value = found[kind] if kind else ""
        if kind in ("space", "operator", "redirect"):
            if word is not None and not skip:
                words.append(word)
            skip = skip and word is None and kind == "space"
            word = None
            if kind == "redirect":
                skip = True
            elif kind == "operator":
                yield words, nested
                words, nested, skip = [], [], False
            continue
        if kind == "double":
            if "$(" in value or "`" in value:
                nested.append(value)
            value = UNESCAPED.sub(r"\1", value)
        elif kind == "escaped" and value == "\n":
            continue
        word = (word or "") + value
    if word is not None and not skip:
        words.append(word)
    yield words, nested


def without_prefix(words: list[str]) -> Argv:
    """Without leading keywords and assignments."""
    start = 0
    while start < len(words) and (words[start] in KEYWORDS or ASSIGNMENT.match(words[start])):
        start += 1
    return tuple(words[start:])


def unwrapped(argv: Argv, depth: int) -> Iterator[Argv]:
    """The command, and those that a wrapper in it may run."""
    yield argv
    name = base_name(argv[0])
    if name != argv[0]:
        argv = (name, *argv[1:])
        yield argv
    if depth >= MAX_DEPTH or (name not in WRAPPERS and name not in BUILTINS and name != "find"):
        return
    # Which of the words is the program depends on the wrapper's options: any might be.
    for index, word in enumerate(argv[1:17], start=1):
        if not word.startswith("-") and not ASSIGNMENT.match(word):
            yield argv[index:]
            if "/" in word:
                yield (base_name(word), *argv[index + 1 :])
        if name in ("eval", "watch", "ssh", "su", "script", "parallel") or (
            argv[index - 1] in RUNS_TEXT or re.fullmatch(r"-\w*c", argv[index - 1])
        ):
            yield from named_in(word, depth + 1)
    if name == "eval":
        yield from named_in(" ".join(argv[1:]), depth + 1)
