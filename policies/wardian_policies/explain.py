"""Why a call is decided as it is, and what would change that."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from wardian_policies.commands import command_line, takes_command
from wardian_policies.deciding import decide, decide_in, verdict
from wardian_policies.file import Layer
from wardian_policies.hosts import ARGUMENTS, HOSTS
from wardian_policies.patterns import pattern_for
from wardian_policies.rules import NAMED, NEXT_NAMED, parse_rule
from wardian_policies.types import Decision, Deny, Rule, Verdict
from wardian_sandbox.types import Confinement
from wardian_tools.types import Effect, Tool, ToolCall


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What `Policy.decide` says of a call, and why."""

    call: ToolCall
    decision: Decision
    facts: tuple[str, ...]
    """Sentences: how the call was understood, what other layers say, what flow rules may add."""
    would_change: tuple[str, ...]
    """Sentences: edits that give another answer. Each was tried."""

    @property
    def verdict(self) -> Verdict:
        return verdict(self.decision)

    @property
    def rule(self) -> Rule:
        return self.decision.rule

    def as_json(self) -> dict[str, Any]:
        return {
            "tool": self.call.name,
            "arguments": self.call.arguments,
            "verdict": self.verdict,
            "rule": self.rule.text,
            "source": self.rule.source,
            "facts": list(self.facts),
            "would_change": list(self.would_change),
        }


def parse_call(text: str, tool: Tool) -> ToolCall:
    """The call that a pattern such as `shell(git push)` or `write_file(path=a, content=b)` writes.

    Arguments that are not given are left out.
    Raises: ValueError for one that the tool lacks, and where the closing parenthesis is missing.
    """
    if "(" in text and not text.endswith(")"):
        raise ValueError("its closing parenthesis is missing.")
    inside = text.partition("(")[2].removesuffix(")")
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    arguments: dict[str, Any] = {}
    if inside.startswith("{"):
        arguments = json.loads(inside)
    elif NAMED.match(inside) and (
        Effect.EXECUTES not in tool.effects or is_named(inside, properties)
    ):
        for part in NEXT_NAMED.split(inside):
            name, _, value = part.partition("=")
            arguments[name] = typed(value, properties.get(name))
    elif inside:
        if not properties:
            raise ValueError(f"{tool.name} takes no argument.")
        first = next(iter(properties))
        arguments[first] = typed(inside, properties[first])
    if unknown := [name for name in arguments if name not in properties]:
        has = ", ".join(properties) or "none"
        raise ValueError(f"{tool.name} has no argument {unknown[0]!r}; it has {has}.")
    return ToolCall(id="explained", name=tool.name, arguments_text=inside, arguments=arguments)


def is_named(inside: str, properties: dict[str, Any]) -> bool:
    """Is it `name=…` with a name of the tool's? `shell(X=1 make)` is a command."""
    return inside.partition("=")[0] in properties


def typed(value: str, schema: Any) -> object:
    """The value as its schema has it; a text where that is not to be told."""
    if not isinstance(schema, dict) or schema.get("type") == "string":  # pyright: ignore[reportUnknownMemberType] — JSON
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def explain(
    layers: tuple[Layer, ...], call: ToolCall, tool: Tool, within: Confinement, flow: Rule
) -> Explanation:
    """Pure; tries edits on copies. `flow` is the rule in force on what sends something out."""
    tried = Trial(layers=layers, call=call, tool=tool, within=within)
    return Explanation(
        call=call,
        decision=tried.decision,
        facts=tuple(facts(tried, flow)),
        would_change=tuple(changes(tried)),
    )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One call, to be decided by these layers or by edited ones."""

    layers: tuple[Layer, ...]
    call: ToolCall
    tool: Tool
    within: Confinement

    @property
    def decision(self) -> Decision:
        return decide(self.layers, self.call, self.tool, self.within)

    def said_by(self, layer: Layer) -> Decision:
        return decide_in(layer, self.call, self.tool, self.within)

    def with_layer(self, old: Layer, new: Layer) -> Verdict:
        """What would be said with one layer replaced."""
        layers = tuple(new if layer is old else layer for layer in self.layers)
        return verdict(decide(layers, self.call, self.tool, self.within))


def facts(tried: Trial, flow: Rule) -> Iterator[str]:
    if takes_command(tried.tool):
        line = command_line(tried.call.arguments or {})
        if line.argv is None:
            yield f"The command is for a shell: it {line.why}."
        else:
            words = json.dumps(line.argv, ensure_ascii=False)
            yield f"The command is one program with its words: {words}."
    heard = [said for said in map(tried.said_by, tried.layers) if said.rule.source != "built in"]
    for said in heard if len(heard) > 1 else ():
        yield f"One layer says {verdict(said)}: {said.rule.text} ({said.rule.source})."
    if Effect.EGRESS in tried.tool.effects:
        yield (
            "In a run that holds untrusted content and private data, a flow rule is asked too: "
            f"{flow.text} ({flow.source})."
        )


def changes(tried: Trial) -> Iterator[str]:
    """Edits of the deciding layer."""
    decision = tried.decision
    now, rule = verdict(decision), decision.rule
    if (rule.text == HOSTS or rule == ARGUMENTS) and isinstance(decision, Deny):
        yield decision.reason
        return
    if rule.text.startswith("paths."):
        yield f"Change {rule.text} ({rule.source})."
        return
    layer = next((one for one in tried.layers if tried.said_by(one) == tried.decision), None)
    if layer is None:
        return
    fewer = lacking(layer, rule)
    if fewer and (other := tried.with_layer(layer, fewer)) is not now:
        yield f"Without {rule.text!r} ({rule.source}) it would be {other}."
    pattern = pattern_for(tried.call, tried.tool)
    for wanted in Verdict:
        if pattern is None or wanted is now:
            continue
        added = parse_rule(wanted, pattern, "an edit")
        rules = replace(layer.rules, rules=(*layer.rules.rules, added))
        if tried.with_layer(layer, replace(layer, rules=rules)) is wanted:
            written = json.dumps(pattern, ensure_ascii=False)
            yield f"With {written} in [tools] {wanted}{where(rule)} it would be {wanted}."


def allowing_pattern(
    layers: tuple[Layer, ...], call: ToolCall, tool: Tool, within: Confinement
) -> str | None:
    """What would allow the call, if it stood in `[tools] allow` of the first layer."""
    pattern = pattern_for(call, tool)
    if pattern is None:
        return None
    added = parse_rule(Verdict.ALLOW, pattern, "an edit")
    rules = replace(layers[0].rules, rules=(*layers[0].rules.rules, added))
    edited = (replace(layers[0], rules=rules), *layers[1:])
    allows = verdict(decide(edited, call, tool, within)) is Verdict.ALLOW
    return pattern if allows else None


def lacking(layer: Layer, rule: Rule) -> Layer | None:
    """The layer without this rule, if it is one that can be removed."""
    rules = layer.rules
    kept = tuple(one for one in rules.rules if one.rule != rule)
    commands = tuple(one for one in rules.commands.rules if one.rule != rule)
    shell_kept = rules.commands.shell_rule != rule
    if len(kept) == len(rules.rules) and len(commands) == len(rules.commands.rules) and shell_kept:
        return None
    fewer = replace(
        rules.commands,
        rules=commands,
        shell=rules.commands.shell if shell_kept else None,
        shell_rule=rules.commands.shell_rule if shell_kept else None,
    )
    return replace(layer, rules=replace(rules, rules=kept, commands=fewer))


def where(rule: Rule) -> str:
    """Which file to edit: a preset cannot be, but can be extended."""
    if rule.source.startswith("preset "):
        return f' of a file that extends "{rule.source.removeprefix("preset ")}"'
    path, _, line = rule.source.rpartition(":")
    return f" of {path}" if line.isdigit() else ""
