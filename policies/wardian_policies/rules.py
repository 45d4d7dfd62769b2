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

A pattern on the `command` of a tool that executes is about its text. To allow, it must match the
whole of it, and a wildcard only helps where the line is provably one plain command (`git status; rm
x` and `git status $(rm x)` are not `git status*`; see `shell_lines`). To deny or ask, it may match
any program the line names, behind whatever. `[commands]` says the same by words: see `commands`.
Not covered: other spellings of the same effect (`git -C . push`, a script). What a call can do at
worst is bounded by the sandbox.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from wardian_policies.commands import ARGUMENT, CommandRules, command_line, takes_command
from wardian_policies.globs import text_regex
from wardian_policies.matching import ArgumentPattern, argument_pattern
from wardian_policies.shell_lines import Line
from wardian_policies.types import Rule, Verdict
from wardian_tools.types import Effect, Tool, ToolCall

PATTERN = re.compile(r"(?P<name>@?[\w*?.:/-]+)(?:\((?P<inside>.*)\))?", re.DOTALL)
NAMED = re.compile(r"([A-Za-z_]\w*)=")
NEXT_NAMED = re.compile(r",\s*(?=[A-Za-z_]\w*=)")
CLASSES = (*(f"@{effect}" for effect in Effect), "@read-only")


class Specificity(IntEnum):
    """How closely a pattern names a call."""

    EVERYTHING = 0
    CLASS = 1
    TOOL = 2
    SHELL = 3
    """`shell` of `[commands]`: whatever a shell has to interpret"""
    ARGUMENTS = 4


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
    commands: CommandRules = field(default_factory=CommandRules)
    _compiled: dict[str, tuple[Tool, "ToolRules"]] = field(
        default_factory=dict[str, tuple[Tool, "ToolRules"]], init=False, compare=False, repr=False
    )

    def ruling(self, call: ToolCall, tool: Tool) -> Ruling:
        ruling = self._of(tool).ruling(call.arguments or {})
        return ruling or Ruling(verdict=self.default, rule=self.default_rule)

    def denies_all(self, tool: Tool) -> bool:
        """Is every call of the tool denied, whatever its arguments?"""
        rules = self._of(tool)
        if rules.mistake or Verdict.DENY in rules.always:
            return True
        return self.default is Verdict.DENY and not rules.may_be(Verdict.ASK, Verdict.ALLOW)

    def _of(self, tool: Tool) -> "ToolRules":
        known = self._compiled.get(tool.name)
        if known is None or known[0] is not tool:
            known = self._compiled[tool.name] = (tool, ToolRules(self.rules, self.commands, tool))
        return known[1]


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that names the call, and how closely."""

    verdict: Verdict
    specificity: Specificity
    rule: Rule


class ToolRules:
    """The rules that may name calls of one tool, compiled."""

    def __init__(self, rules: Iterable[ToolRule], commands: CommandRules, tool: Tool) -> None:
        self.tool = tool
        self.commands = commands if takes_command(tool) else None
        self.mistake: Ruling | None = None
        self.always: dict[Verdict, Hit] = {}
        parameters = list(tool.parameters.get("properties", {}))
        conditional: dict[Verdict, list[Conditional]] = {verdict: [] for verdict in Verdict}
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
                self.always[rule.verdict] = Hit(rule.verdict, rule.specificity, rule.rule)
        self.conditional = {
            verdict: self.compile(verdict, rules) for verdict, rules in conditional.items() if rules
        }

    def compile(self, verdict: Verdict, rules: Sequence["Conditional"]) -> list["Alternatives"]:
        """Rules on the same argument become one pattern."""
        groups: dict[tuple[str, ...], list[Conditional]] = {}
        for index, (rule, conditions) in enumerate(rules):
            names = tuple(condition.argument or "" for condition in conditions)
            # A rule on several arguments stands alone: each of its globs must match.
            groups.setdefault(names if len(names) == 1 else (str(index),), []).append(
                (rule, conditions)
            )
        return [Alternatives(verdict, group, self.tool) for group in groups.values()]

    def ruling(self, arguments: dict[str, Any]) -> Ruling | None:
        if self.mistake:
            return self.mistake
        line = command_line(arguments) if self.commands else None
        decides = self.strongest(Verdict.DENY, arguments, line)
        if decides is None:
            ask = self.strongest(Verdict.ASK, arguments, line)
            allow = self.strongest(Verdict.ALLOW, arguments, line)
            is_closer = ask and allow and allow.specificity > ask.specificity
            decides = allow if is_closer else ask or allow
        return Ruling(verdict=decides.verdict, rule=decides.rule) if decides else None

    def may_be(self, *verdicts: Verdict) -> bool:
        """Could a rule of one of these name some call?"""
        commands = self.commands
        return any(
            verdict in self.always
            or verdict in self.conditional
            or (commands is not None and commands.may_be(verdict))
            for verdict in verdicts
        )

    def strongest(
        self, verdict: Verdict, arguments: dict[str, Any], line: Line | None
    ) -> Hit | None:
        """The most specific rule of this verdict that names the call."""
        for alternatives in self.conditional.get(verdict, ()):
            if rule := alternatives.match(arguments, line):
                return Hit(verdict, Specificity.ARGUMENTS, rule.rule)
        if self.commands and line:
            if command := self.commands.first(verdict, line):
                return Hit(verdict, Specificity.ARGUMENTS, command.rule)
            if rule_of_shell := self.commands.of_shell(verdict, line):
                return Hit(verdict, Specificity.SHELL, rule_of_shell)
        return self.always.get(verdict)


Conditional = tuple[ToolRule, tuple[Condition, ...]]


class Alternatives:
    """Rules on the same arguments: each argument's globs as one pattern."""

    def __init__(self, verdict: Verdict, rules: Sequence[Conditional], tool: Tool) -> None:
        self.rules = [rule for rule, _ in rules]
        globs: dict[str, list[str]] = {}
        for _, conditions in rules:
            for condition in conditions:
                assert condition.argument is not None
                globs.setdefault(condition.argument, []).append(condition.glob)
        self.patterns: dict[str, ArgumentPattern] = {
            argument: argument_pattern(verdict, tool, argument, several)
            for argument, several in globs.items()
        }

    def match(self, arguments: dict[str, Any], line: Line | None) -> ToolRule | None:
        index: int | None = None
        for argument, pattern in self.patterns.items():
            if argument not in arguments:
                return None
            index = pattern.match(arguments[argument], line if argument == ARGUMENT else None)
            if index is None:
                return None
        return None if index is None else self.rules[index]


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
