"""Tool rules: what they name, and which of them decides.

A rule is a verdict and a pattern:

    read_file                      every call of the tool
    git_*                          every call of the tools so named; `*` alone is every tool
    @egress                        every tool with that declared effect (reads, writes, executes,
                                   egress); @read-only is every tool that at most reads
    shell(git status*)             calls whose first argument matches the glob
    write_file(path=docs/**)       calls whose named argument matches; several: `a=…, b=…`

Which rule decides:
1. a `deny` that names the call always wins;
2. between `ask` and `allow` the more specific wins: one with arguments, then a tool's whole name,
   then `git_*` and `@egress`, then `*`; at a tie, `ask`;
3. where none names the call, the policy's `default`.

A pattern on a command is about its text. To allow, it must match the whole of it, and `*` stands
for nothing that starts or redirects another command (`git status; rm x` is not `git status*`); to
deny or ask, it may match any part between `;`, `&&`, `|` and the like. Not covered: other spellings
of the same effect (`git -C . push`, a script). Such rules guard against accidents; what a call can
do at worst is bounded by the sandbox.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from wardian_policies.globs import ANY, ONE_COMMAND, normalise, one_of, path_regex, text_regex
from wardian_policies.types import Rule, Verdict
from wardian_tools.types import Effect, Tool, ToolCall

PATTERN = re.compile(r"(?P<name>@?[\w*?.:/-]+)(?:\((?P<inside>.*)\))?", re.DOTALL)
NAMED = re.compile(r"([A-Za-z_]\w*)=")
NEXT_NAMED = re.compile(r",\s*(?=[A-Za-z_]\w*=)")
COMMAND_BREAK = re.compile(r"[;&|<>`(){}\r\n]+")
PATH_FORMATS = ("path", "file-path", "directory-path")
CLASSES = (*(f"@{effect}" for effect in Effect), "@read-only")


class Specificity(IntEnum):
    """How closely a pattern names a call."""

    EVERYTHING = 0
    CLASS = 1
    TOOL = 2
    ARGUMENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A glob that one argument must match."""

    argument: str | None
    """None is the tool's first."""
    glob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRule:
    """One line of `[tools]`."""

    verdict: Verdict
    name: str
    """A tool's name, a glob over names, or a class such as `@egress`."""
    conditions: tuple[Condition, ...]
    rule: Rule

    @property
    def is_exact(self) -> bool:
        return not self.name.startswith("@") and not set(self.name) & set("*?")

    @property
    def specificity(self) -> Specificity:
        if self.conditions:
            return Specificity.ARGUMENTS
        if self.is_exact:
            return Specificity.TOOL
        return Specificity.EVERYTHING if self.name == "*" else Specificity.CLASS

    def names(self, tool: Tool) -> bool:
        if self.name.startswith("@"):
            return tool.read_only if self.name == "@read-only" else self.name[1:] in tool.effects
        return name_regex(self.name).fullmatch(tool.name) is not None


def parse_rule(verdict: Verdict, pattern: str, source: str) -> ToolRule:
    """The rule written as `pattern`. Raises: ValueError with a sentence on what is wrong."""
    found = PATTERN.fullmatch(pattern.strip())
    if found is None:
        raise ValueError(f"{pattern!r} is not a pattern such as 'read_file' or 'shell(git *)'.")
    name, inside = found["name"], found["inside"]
    if name.startswith("@") and name not in CLASSES:
        raise ValueError(f"{name!r} is not a class of tools; there are {', '.join(CLASSES)}.")
    rule = Rule(text=f"{verdict} {pattern.strip()}", source=source)
    conditions = () if inside in (None, "", "*") else tuple(parse_conditions(inside))
    if len({condition.argument for condition in conditions}) < len(conditions):
        raise ValueError(f"{pattern!r} names the same argument twice.")
    return ToolRule(verdict=verdict, name=name, conditions=conditions, rule=rule)


def parse_conditions(inside: str) -> Iterable[Condition]:
    if not NAMED.match(inside):
        yield Condition(argument=None, glob=inside)
        return
    for part in NEXT_NAMED.split(inside):
        argument, _, glob = part.partition("=")
        yield Condition(argument=argument, glob=glob)


@lru_cache(maxsize=1024)
def name_regex(glob: str) -> re.Pattern[str]:
    return re.compile(text_regex(glob))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The rule that decides a call."""

    verdict: Verdict
    rule: Rule
    mistake: str = ""
    """What is wrong with the rule itself, where that is why the call is denied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """The rules of one policy file, in the order written."""

    rules: tuple[ToolRule, ...]
    default: Verdict
    default_rule: Rule
    _compiled: dict[str, tuple[Tool, "ToolRules"]] = field(
        default_factory=dict[str, tuple[Tool, "ToolRules"]], init=False, compare=False, repr=False
    )

    def ruling(self, call: ToolCall, tool: Tool) -> Ruling:
        known = self._compiled.get(tool.name)
        if known is None or known[0] is not tool:
            known = self._compiled[tool.name] = (tool, ToolRules(self.rules, tool))
        ruling = known[1].ruling(call.arguments or {})
        return ruling or Ruling(verdict=self.default, rule=self.default_rule)


class ToolRules:
    """The rules that may name calls of one tool, compiled."""

    def __init__(self, rules: Iterable[ToolRule], tool: Tool) -> None:
        self.paths = frozenset(path_arguments(tool))
        self.commands = Effect.EXECUTES in tool.effects
        self.mistake: Ruling | None = None
        parameters = list(tool.parameters.get("properties", {}))
        conditional: dict[Verdict, list[tuple[ToolRule, tuple[Condition, ...]]]]
        conditional = {verdict: [] for verdict in Verdict}
        self.always: dict[Verdict, ToolRule] = {}
        for rule in rules:
            if not rule.names(tool):
                continue
            conditions = resolved(rule.conditions, parameters)
            if conditions is None:
                self.mistake = self.mistake or misnamed(rule, tool, parameters)
            elif conditions:
                conditional[rule.verdict].append((rule, conditions))
            elif (best := self.always.get(rule.verdict)) is None or (
                rule.specificity > best.specificity
            ):
                self.always[rule.verdict] = rule
        self.conditional = {
            verdict: self.compile(verdict, rules) for verdict, rules in conditional.items() if rules
        }

    def compile(
        self, verdict: Verdict, rules: Sequence[tuple[ToolRule, tuple[Condition, ...]]]
    ) -> list["Alternatives"]:
        """Rules on the same arguments become one pattern an argument."""
        groups: dict[tuple[str | None, ...], list[tuple[ToolRule, tuple[Condition, ...]]]] = {}
        for index, (rule, conditions) in enumerate(rules):
            # A rule on several arguments stands alone: each of its globs must match.
            key = (conditions[0].argument,) if len(conditions) == 1 else (None, str(index))
            groups.setdefault(key, []).append((rule, conditions))
        return [Alternatives(verdict, group, self) for group in groups.values()]

    def ruling(self, arguments: dict[str, Any]) -> Ruling | None:
        if self.mistake:
            return self.mistake
        found = {verdict: self.first(verdict, arguments) for verdict in Verdict}
        deny, ask, allow = found[Verdict.DENY], found[Verdict.ASK], found[Verdict.ALLOW]
        decides = deny or ask or allow
        if not deny and ask and allow and allow.specificity > ask.specificity:
            decides = allow
        return Ruling(verdict=decides.verdict, rule=decides.rule) if decides else None

    def first(self, verdict: Verdict, arguments: dict[str, Any]) -> ToolRule | None:
        """The most specific rule of this verdict that names the call."""
        for alternatives in self.conditional.get(verdict, ()):
            if rule := alternatives.match(arguments):
                return rule
        return self.always.get(verdict)


class Alternatives:
    """Rules on the same arguments: each argument's globs as one pattern."""

    def __init__(
        self,
        verdict: Verdict,
        rules: Sequence[tuple[ToolRule, tuple[Condition, ...]]],
        tool: ToolRules,
    ) -> None:
        self.rules = [rule for rule, _ in rules]
        self.paths = tool.paths
        self.in_parts = tool.commands and verdict is not Verdict.ALLOW
        any_character = ONE_COMMAND if tool.commands and verdict is Verdict.ALLOW else ANY
        globs: dict[str, list[str]] = {}
        for _, conditions in rules:
            for condition in conditions:
                assert condition.argument is not None
                globs.setdefault(condition.argument, []).append(condition.glob)
        self.patterns = {
            argument: one_of(
                path_regex(glob) if argument in tool.paths else text_regex(glob, any_character)
                for glob in several
            )
            for argument, several in globs.items()
        }

    def match(self, arguments: dict[str, Any]) -> ToolRule | None:
        index = 1
        for argument, pattern in self.patterns.items():
            if argument not in arguments:
                return None
            matched = self.match_one(pattern, argument, arguments[argument])
            if matched is None:
                return None
            index = matched
        return self.rules[index - 1]

    def match_one(self, pattern: re.Pattern[str], argument: str, value: object) -> int | None:
        text = as_text(value)
        if argument in self.paths:
            inside = normalise(text)
            text = text if inside is None else inside
        elif self.in_parts:
            for part in COMMAND_BREAK.split(text):
                if found := pattern.fullmatch(part.strip()):
                    return found.lastindex
        found = pattern.fullmatch(text.strip() if self.in_parts else text)
        return found.lastindex if found else None


def as_text(value: object) -> str:
    """An argument as a glob sees it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def path_arguments(tool: Tool) -> Iterable[str]:
    """The parameters that hold a workspace path: named `path`, or typed as one."""
    for name, schema in tool.parameters.get("properties", {}).items():
        if name == "path" or (isinstance(schema, dict) and schema.get("format") in PATH_FORMATS):  # pyright: ignore[reportUnknownMemberType] — JSON
            yield name


def resolved(
    conditions: Iterable[Condition], parameters: Sequence[str]
) -> tuple[Condition, ...] | None:
    """The conditions with their arguments' names; None when the tool lacks one."""
    found: list[Condition] = []
    for condition in conditions:
        argument = condition.argument or (parameters[0] if parameters else None)
        if argument not in parameters:
            return None
        found.append(Condition(argument=argument, glob=condition.glob))
    return tuple(found)


def misnamed(rule: ToolRule, tool: Tool, parameters: Sequence[str]) -> Ruling | None:
    """A denial, since a rule on an argument the tool lacks protects nothing; None for a class."""
    if not rule.is_exact:
        return None
    has = f"whose arguments are {', '.join(parameters)}" if parameters else "which takes none"
    mistake = f"it names an argument that {tool.name} lacks, {has}"
    return Ruling(verdict=Verdict.DENY, rule=rule.rule, mistake=mistake)
