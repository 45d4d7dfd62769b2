"""The policy: may this call run, and under what confinement?"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Self

from wardian_policies.coherence import unnamed_secrets, unnamed_tools
from wardian_policies.deciding import decide
from wardian_policies.errors import PolicyError
from wardian_policies.explain import Explanation, allowing_pattern, explain
from wardian_policies.file import PRESETS, SCHEMA, Layer, find, load_layer, parse_layer
from wardian_policies.flow import BUILT_IN, flow_ruling, with_flow
from wardian_policies.labels import AT_FIRST, Situation
from wardian_policies.narrowing import confinement_of, least_budgets, narrowest
from wardian_policies.paths import PathGlob, PathRules
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
)
from wardian_policies.types import Budgets, Decision, Deny, Rule, Verdict
from wardian_sandbox.types import Confinement
from wardian_tools.types import Tool, ToolCall


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

    def decide(self, call: ToolCall, tool: Tool, situation: Situation = AT_FIRST) -> Decision:
        """The strictest of what the layers and the flow rules say; the first of them at a tie."""
        decision = decide(self.layers, call, tool, self.confinement)
        if isinstance(decision, Deny):
            return decision
        ruling = flow_ruling(call, tool, situation, self.flow, self.confinement)
        if ruling is None:
            return decision
        return with_flow(decision, ruling, self.rule(ruling.key) if ruling.key else BUILT_IN)

    def may_allow(self, tool: Tool) -> bool:
        """Could some call of the tool run, if only after asking? False where its rules deny all.

        What it says of paths and hosts is not looked at: that is about arguments.
        """
        return not any(layer.rules.denies_all(tool) for layer in self.layers)

    def explain(self, call: ToolCall, tool: Tool, situation: Situation = AT_FIRST) -> Explanation:
        """What `decide` says, why, and which edits of a file would change it."""
        found = explain(self.layers, call, tool, self.confinement, self.rule("flow.rule_of_two"))
        decision = self.decide(call, tool, situation)
        if decision == found.decision:
            return found
        asked = getattr(decision, "question", "") or getattr(decision, "reason", "")
        change = f"Change {decision.rule.text} ({decision.rule.source})."
        facts = (*found.facts, f"A flow rule is stricter than the others: {asked}")
        return replace(found, decision=decision, facts=facts, would_change=(change,))

    def allowing_pattern(self, call: ToolCall, tool: Tool) -> str | None:
        """What would allow the call for good in `[tools] allow` of its file; None if nothing."""
        return allowing_pattern(self.layers, call, tool, self.confinement)

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

    def protecting(self, globs: Sequence[str]) -> "Policy":
        """The same policy with more workspace paths protected."""
        own = tuple(PathGlob(glob=glob, source="built in") for glob in globs)
        base = self.as_base()
        paths = replace(base.paths, protected=base.paths.protected + own)
        return self.narrowed_by(Policy.of(self.name, (replace(base, paths=paths),)))

    def as_base(self) -> Layer:
        """What leaves this policy as it is when it is narrowed by it."""
        rule = Rule(text="default = allow", source="built in")
        return Layer(
            rules=RuleSet(rules=(), default=Verdict.ALLOW, default_rule=rule),
            paths=PathRules(),
            budgets=Budgets(**dict.fromkeys(asdict(self.budgets))),
            limits=self.confinement.limits,
            **{table: getattr(self, table) for table in TABLES},
        )

    @property
    def added_budgets(self) -> Budgets:
        """What the layers laid over the user's say of budgets; nothing is no limit."""
        nothing = Budgets(**dict.fromkeys(asdict(self.budgets)))
        return reduce(least_budgets, (layer.budgets for layer in self.layers[1:]), nothing)

    def remarks(self, tools: Sequence[str]) -> list[str]:
        """Sentences on what its author may not have meant.

        Rules that name none of these tools, but nearly one; usual secrets that are none here.
        """
        rules = [rule for layer in self.layers for rule in layer.rules.rules]
        source = self.rule("secrets.environment").source
        secrets = unnamed_secrets(self.secrets.environment, source)
        return list(dict.fromkeys([*unnamed_tools(rules, tools), *secrets]))

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
