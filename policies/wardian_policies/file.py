"""The policy file: TOML text to a `Layer`.

    extends = "default"          a preset, a path beside this file, or nothing
    [tools]     allow, ask, deny: lists of patterns (see `rules`); default = "ask"
    [commands]  allow, ask, deny: programs by their words (see `commands`); shell = "ask"
    [paths]     readable, writable, protected
    [budgets]   steps, tool_calls, tokens, cost_usd, wall_seconds; a number or "unlimited"
    [limits]    what one call may consume, as in the sandbox's `ResourceLimits`
    [network] [secrets] [flow] [redaction] [mcp] [agents]      see `tables`

With `extends`, rules on tools and commands and protected paths add to those of the extended policy;
every other key replaces its value.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from wardian_policies.checks import check_path
from wardian_policies.coherence import check_document, check_rules
from wardian_policies.commands import CommandRules, parse_command
from wardian_policies.paths import PathGlob, PathRules
from wardian_policies.rules import RuleSet, parse_rule
from wardian_policies.schema import (
    Document,
    Kind,
    choice,
    nearest,
    number,
    or_unlimited,
    parse,
    positive,
    read_text,
    text,
    texts,
    whole,
)
from wardian_policies.tables import (
    KEYS,
    TABLES,
    AgentRules,
    FlowRules,
    McpRules,
    NetworkRules,
    RedactionRules,
    SecretRules,
)
from wardian_policies.types import Budgets, Rule, Verdict
from wardian_sandbox.types import ResourceLimits

SCHEMA: dict[str, Kind] = {
    "extends": text("the name of a preset or a path"),
    **{f"tools.{verdict}": texts() for verdict in Verdict},
    "tools.default": choice(*Verdict),
    **{f"commands.{verdict}": texts() for verdict in Verdict},
    "commands.shell": choice(*Verdict),
    **{f"paths.{name}": texts(check_path) for name in ("readable", "writable", "protected")},
    **{f"budgets.{name}": or_unlimited(whole()) for name in ("steps", "tool_calls", "tokens")},
    "budgets.cost_usd": or_unlimited(number()),
    "budgets.wall_seconds": or_unlimited(positive()),
    "limits.wall_seconds": positive(),
    **{f"limits.{item.name}": whole() for item in fields(ResourceLimits)[1:]},
    **{name: key.kind for name, key in KEYS.items()},
}
MAX_EXTENDS = 8
PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one policy file says, with what it extends."""

    rules: RuleSet
    paths: PathRules
    budgets: Budgets
    limits: ResourceLimits
    network: NetworkRules = field(default_factory=NetworkRules)
    secrets: SecretRules = field(default_factory=SecretRules)
    flow: FlowRules = field(default_factory=FlowRules)
    redaction: RedactionRules = field(default_factory=RedactionRules)
    mcp: McpRules = field(default_factory=McpRules)
    agents: AgentRules = field(default_factory=AgentRules)
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where each key stands that is written in the file or in what it extends."""


NOTHING = Layer(
    rules=RuleSet(
        rules=(),
        default=Verdict.ASK,
        default_rule=Rule(text="default = ask", source="built in"),
    ),
    paths=PathRules(),
    budgets=Budgets(),
    limits=ResourceLimits(),
)
"""What a file that extends nothing starts from."""


def find(name: str | Path, beside: Path, folder: Path | None) -> Path:
    """The file of a policy: a preset's, one of `folder` by name, or a path from `beside`.

    Raises: LookupError with a remedy.
    """
    if isinstance(name, Path) or "/" in name or name.endswith(".toml"):
        path = (beside / Path(name).expanduser()).absolute()
        if path.is_file():
            return path
        raise LookupError(f"Check the path: {path} is not a file.")
    places = [PRESETS, folder] if folder else [PRESETS]
    known = {path.stem: path for place in reversed(places) for path in place.glob("*.toml")}
    if name not in known:
        raise LookupError(nearest(name, sorted(known)))
    return known[name]


def load_layer(path: Path, folder: Path | None) -> Layer:
    """What the file at `path` says, with what it extends. Raises: PolicyFileError."""
    return parse_layer(path, read_text(path), NOTHING, folder)


def parse_layer(path: Path, text: str, base: Layer, folder: Path | None, depth: int = 0) -> Layer:
    """What a text that stands at `path` says, on top of what it extends or else of `base`.

    Raises: PolicyFileError.
    """
    document = parse(path, text, SCHEMA)
    check_document(document)
    if extended := document.values.get("extends"):
        if depth == MAX_EXTENDS:
            cause = f"extends = {extended!r} goes round in a circle or is too long a chain."
            raise document.fault("extends", cause, f"Extend at most {MAX_EXTENDS} deep.")
        try:
            found = find(extended, path.parent, folder)
        except LookupError as error:
            cause = f"there is no policy {extended!r} to extend."
            raise document.fault("extends", cause, str(error.args[0])) from error
        base = parse_layer(found, read_text(found), base, folder, depth + 1)
    layer = build(document, base)
    check_rules(layer.rules)
    return layer


def build(document: Document, base: Layer) -> Layer:
    """What the document says on top of `base`."""
    values = document.values
    paths = base.paths
    return Layer(
        rules=tool_rules(document, base.rules),
        paths=PathRules(
            readable=path_globs(document, "paths.readable", paths.readable),
            writable=path_globs(document, "paths.writable", paths.writable),
            protected=paths.protected + path_globs(document, "paths.protected", ()),
        ),
        budgets=replace(base.budgets, **below(values, "budgets.")),
        limits=replace(base.limits, **below(values, "limits.")),
        **{name: replace(getattr(base, name), **below(values, f"{name}.")) for name in TABLES},
        sources={**base.sources, **{key: source(document, key) for key in values}},
    )


def below(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The values of one table, by their own names."""
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


def source(document: Document, key: str, index: int | None = None) -> str:
    """Where a rule stands: `preset NAME`, or path:line."""
    if document.path.parent == PRESETS:
        return f"preset {document.path.stem}"
    return f"{document.path}:{document.line(key, index)}"


def tool_rules(document: Document, base: RuleSet) -> RuleSet:
    default, default_rule = base.default, base.default_rule
    if written := document.values.get("tools.default"):
        default = Verdict(written)
        where = source(document, "tools.default")
        default_rule = Rule(text=f"default = {default}", source=where)
    return RuleSet(
        rules=(*base.rules, *own_rules(document, "tools", parse_rule)),
        default=default,
        default_rule=default_rule,
        commands=command_rules(document, base.commands),
    )


def command_rules(document: Document, base: CommandRules) -> CommandRules:
    shell, shell_rule = base.shell, base.shell_rule
    if written := document.values.get("commands.shell"):
        shell = Verdict(written)
        where = source(document, "commands.shell")
        shell_rule = Rule(text=f"commands.shell = {shell}", source=where)
    return CommandRules(
        rules=(*base.rules, *own_rules(document, "commands", parse_command)),
        shell=shell,
        shell_rule=shell_rule,
    )


R = TypeVar("R")


def own_rules(
    document: Document, table: str, parse: Callable[[Verdict, str, str], R]
) -> Iterator[R]:
    """The rules that this file itself has in the table."""
    for verdict in Verdict:
        key = f"{table}.{verdict}"
        for index, pattern in enumerate(document.values.get(key, ())):
            try:
                yield parse(verdict, pattern, source(document, key, index))
            except ValueError as error:
                raise document.fault(key, str(error), "Change the pattern.", index) from error


def path_globs(document: Document, key: str, unset: tuple[PathGlob, ...]) -> tuple[PathGlob, ...]:
    """The globs under `key`, which may be none at all; `unset` when the file has no such key."""
    if key not in document.values:
        return unset
    return tuple(
        PathGlob(glob=glob, source=source(document, key, index))
        for index, glob in enumerate(document.values[key])
    )
