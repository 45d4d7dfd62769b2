"""The policy: may this call run, and under what confinement?"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from wardian_policies.coherence import remarks
from wardian_policies.errors import PolicyError
from wardian_policies.file import PRESETS, SCHEMA, Layer, find, load_layer, parse_layer
from wardian_policies.globs import intersect
from wardian_policies.paths import PathRules
from wardian_policies.rules import RuleSet
from wardian_policies.schema import parse
from wardian_policies.tables import (
    TABLES,
    AgentRules,
    FlowRules,
    McpRules,
    NetworkRules,
    RedactionRules,
    SecretRules,
    narrowest_row,
    shared_hosts,
)
from wardian_policies.types import Allow, Ask, Budgets, Decision, Deny, Rule, Verdict
from wardian_sandbox.types import Confinement, Egress, EgressLimits, ResourceLimits
from wardian_tools.types import Tool, ToolCall

STRICTNESS = {Allow: 0, Ask: 1, Deny: 2}


def preset_names() -> tuple[str, ...]:
    """The policies that come with the package."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a run may do. Immutable; `decide` is pure.

    A call needs the leave of every layer. Covers which tools may be called, with what arguments,
    on which workspace paths, and how much a run may consume. Does not look inside code that
    `python` or `shell` run: the `Confinement` that an `Allow` carries bounds that.
    """

    name: str
    layers: tuple[Layer, ...]
    budgets: Budgets
    confinement: Confinement
    """The run's widest: no call gets more."""
    network: NetworkRules = field(default_factory=NetworkRules)
    secrets: SecretRules = field(default_factory=SecretRules)
    flow: FlowRules = field(default_factory=FlowRules)
    redaction: RedactionRules = field(default_factory=RedactionRules)
    mcp: McpRules = field(default_factory=McpRules)
    agents: AgentRules = field(default_factory=AgentRules)

    @classmethod
    def load(cls, name_or_path: str | Path, *, folder: Path | None = None) -> Self:
        """A preset by name, a policy of `folder` by name, or a file by path.

        Raises: PolicyError when there is none; PolicyFileError when the file is not a policy.
        """
        try:
            path = find(name_or_path, Path.cwd(), folder)
        except LookupError as error:
            cause = f"There is no policy {str(name_or_path)!r}."
            raise PolicyError(cause, str(error.args[0])) from error
        layer = load_layer(path, folder)
        name = path.stem if path.parent in (PRESETS, folder) else str(path)
        return cls.of(name, (layer,))

    @classmethod
    def of(cls, name: str, layers: tuple[Layer, ...]) -> Self:
        """The policy that allows what every layer allows. At least one layer is needed."""
        first, *rest = layers
        budgets, confinement = first.budgets, confinement_of(first)
        tables = {table: getattr(first, table) for table in TABLES}
        for layer in rest:
            budgets = least_budgets(budgets, layer.budgets)
            confinement = narrowest(confinement, confinement_of(layer))
            tables = {t: narrowest_row(t, row, getattr(layer, t)) for t, row in tables.items()}
        return cls(name=name, layers=layers, budgets=budgets, confinement=confinement, **tables)

    def decide(self, call: ToolCall, tool: Tool) -> Decision:
        """The strictest of what the layers say; the first of them at a tie."""
        if call.arguments is None:
            rule = Rule(text="arguments", source="built in")
            return Deny(reason=f"The arguments of {call.name} were not understood.", rule=rule)
        decision = decide_in(self.layers[0], call, tool, self.confinement)
        for layer in self.layers[1:]:
            other = decide_in(layer, call, tool, self.confinement)
            if STRICTNESS[type(other)] > STRICTNESS[type(decision)]:
                decision = other
        return decision

    def narrowed_by(self, other: "Policy") -> "Policy":
        """This policy and the other one: never more than either allows."""
        return Policy(
            name=self.name if self.name == other.name else f"{self.name} + {other.name}",
            layers=self.layers + tuple(one for one in other.layers if one not in self.layers),
            budgets=least_budgets(self.budgets, other.budgets),
            confinement=narrowest(self.confinement, other.confinement),
            **{t: narrowest_row(t, getattr(self, t), getattr(other, t)) for t in TABLES},
        )

    def narrowed_by_text(self, text: str, path: Path) -> "Policy":
        """This policy, narrowed by what a policy file of a folder worked on says.

        What the text does not mention stays as it is here; what it says can only take away. It may
        extend a preset and nothing else. Raises: PolicyFileError.
        """
        document = parse(path, text, SCHEMA)
        extended = document.values.get("extends")
        if extended and extended not in preset_names():
            cause = f"a project's policy extends a preset, which {extended!r} is not."
            raise document.fault("extends", cause, f"There are {', '.join(preset_names())}.")
        layer = parse_layer(path, text, self.as_base(), None)
        return self.narrowed_by(Policy.of(path.stem, (layer,)))

    def as_base(self) -> Layer:
        """What leaves this policy as it is when it is narrowed by it."""
        rule = Rule(text="default = allow", source="built in")
        return Layer(
            rules=RuleSet(rules=(), default=Verdict.ALLOW, default_rule=rule),
            paths=PathRules(),
            budgets=self.budgets,
            limits=self.confinement.limits,
            **{table: getattr(self, table) for table in TABLES},
        )

    def remarks(self, tools: Sequence[str]) -> list[str]:
        """Sentences on rules that name none of these tools, but nearly one: typos, most likely."""
        rules = [rule for layer in self.layers for rule in layer.rules.rules]
        return list(dict.fromkeys(remarks(rules, tools)))

    def with_budgets(self, budgets: Budgets) -> "Policy":
        """The same rules under other budgets. May widen: only for what the user says."""
        return replace(self, budgets=budgets)

    def rule(self, key: str) -> Rule:
        """A key's value in force, such as `flow.rule_of_two = ask`, and where it stands."""
        table, _, name = key.partition(".")
        value = getattr(getattr(self, table), name)
        where = (
            layer.sources.get(key, "built in")
            for layer in self.layers
            if getattr(getattr(layer, table), name) == value
        )
        shown = json.dumps(value, ensure_ascii=False)
        return Rule(text=f"{key} = {shown}", source=next(where, "several files"))

    @property
    def sha256(self) -> str:
        """Of the effective rules, without names and sources: alike for policies that are alike."""
        text = json.dumps(self._content(with_sources=False), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """For people and the trajectory: every rule with its source."""
        return {"name": self.name, "sha256": self.sha256, **self._content(with_sources=True)}

    def _content(self, *, with_sources: bool) -> dict[str, Any]:
        return {
            "budgets": asdict(self.budgets),
            "confinement": asdict(self.confinement),
            **{table: asdict(getattr(self, table)) for table in TABLES},
            "layers": [layer_as_json(layer, with_sources) for layer in self.layers],
        }


def decide_in(layer: Layer, call: ToolCall, tool: Tool, within: Confinement) -> Decision:
    """What one layer says; a yes carries the whole policy's confinement."""
    if denied := layer.paths.denial(call, tool):
        return denied
    ruling = layer.rules.ruling(call, tool)
    rule = ruling.rule
    match ruling.verdict:
        case Verdict.ALLOW:
            return Allow(within=within, rule=rule)
        case Verdict.ASK:
            question = f'Should {tool.name} run, as rule "{rule.text}" ({rule.source}) asks?'
            return Ask(question=question, rule=rule, granted=Allow(within=within, rule=rule))
        case Verdict.DENY:
            mistake = f", but {ruling.mistake}" if ruling.mistake else ""
            reason = f'The policy does not let {tool.name} run: rule "{rule.text}"{mistake}.'
            return Deny(reason=reason, rule=rule)


def confinement_of(layer: Layer) -> Confinement:
    paths = layer.paths
    return Confinement(
        readable=tuple(item.glob for item in paths.readable),
        writable=tuple(item.glob for item in paths.writable),
        protected=tuple(dict.fromkeys(item.glob for item in paths.protected)),
        egress=Egress(
            hosts=layer.network.hosts,
            private=layer.network.private,
            any_web=layer.network.any_web,
            ignore_robots=layer.network.ignore_robots,
        ),
        limits=layer.limits,
    )


def narrowest(one: Confinement, other: Confinement) -> Confinement:
    """What both grant."""
    return Confinement(
        readable=intersect(one.readable, other.readable),
        writable=intersect(one.writable, other.writable),
        protected=tuple(dict.fromkeys(one.protected + other.protected)),
        egress=narrowest_egress(one.egress, other.egress),
        limits=least_limits(one.limits, other.limits),
    )


def narrowest_egress(one: Egress, other: Egress) -> Egress:
    """What both let out."""
    return Egress(
        hosts=shared_hosts(one.hosts, other.hosts),
        private=one.private and other.private,
        any_web=one.any_web and other.any_web,
        ignore_robots=one.ignore_robots and other.ignore_robots,
        limits=EgressLimits(
            **{
                name: min(value, getattr(other.limits, name))
                for name, value in asdict(one.limits).items()
            }
        ),
    )


def least_budgets(one: Budgets, other: Budgets) -> Budgets:
    """The lower of each; None, no limit, is the highest."""
    pairs = {name: (value, getattr(other, name)) for name, value in asdict(one).items()}
    return Budgets(
        **{
            name: min((v for v in pair if v is not None), default=None)
            for name, pair in pairs.items()
        }
    )


def least_limits(one: ResourceLimits, other: ResourceLimits) -> ResourceLimits:
    return ResourceLimits(
        **{name: min(value, getattr(other, name)) for name, value in asdict(one).items()}
    )


def layer_as_json(layer: Layer, with_sources: bool) -> dict[str, Any]:
    def item(text: str, source: str, **more: str) -> str | dict[str, str]:
        return {"text": text, "source": source, **more} if with_sources else text

    commands = layer.rules.commands
    rules = [
        *(("tools", one.rule) for one in layer.rules.rules),
        *(("commands", one.rule) for one in commands.rules),
        *([("shell", commands.shell_rule)] if commands.shell_rule else []),
        ("default", layer.rules.default_rule),
    ]
    paths = layer.paths
    return {
        "rules": [item(rule.text, rule.source, table=table) for table, rule in rules],
        "readable": [item(path.glob, path.source) for path in paths.readable],
        "writable": [item(path.glob, path.source) for path in paths.writable],
        "protected": [item(path.glob, path.source) for path in paths.protected],
    }
