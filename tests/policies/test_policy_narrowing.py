"""A policy narrowed by another never allows more than either."""

from dataclasses import asdict, replace
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_policies import Budgets, Policy, preset_names
from wardian_policies.commands import CommandRules, parse_command
from wardian_policies.deciding import STRICTNESS
from wardian_policies.file import Layer
from wardian_policies.globs import one_of, path_regex
from wardian_policies.paths import PathGlob, PathRules
from wardian_policies.rules import RuleSet, parse_rule
from wardian_policies.tables import TABLES, keys, narrowest_row
from wardian_policies.types import Rule, Verdict
from wardian_sandbox.egress.names import parse_host
from wardian_sandbox.egress.rules import Rules, parse_host_rule
from wardian_sandbox.types import ResourceLimits
from wardian_tools import builtin_tools
from wardian_tools.types import ToolCall

TOOLS = {tool.name: tool for tool in builtin_tools()}
VERDICTS = st.sampled_from(list(Verdict))
PATTERNS = st.sampled_from(
    [
        "*",
        "@read-only",
        "@writes",
        "*_file",
        "read_file",
        "shell",
        "write_file(path=docs/**)",
        "write_file(path=**/a)",
        "read_file(docs/*)",
        "shell(git *)",
        "shell(git push*)",
        "*(path=src/**)",
        "write_file(nowhere=x)",
    ]
)
COMMAND_PATTERNS = st.sampled_from(["git push", "git **", "ls", "sh -c **", "cd *"])
GLOBS = st.sampled_from(["**", "docs/**", "src/*", "**/a", "src/a", ".git/**", "*/a*"])
WORDS = st.sampled_from(["docs", "src", "a", "b", "..", ".", ".git", "abc"])
PATHS = st.lists(WORDS, min_size=1, max_size=4).map("/".join)
COMMANDS = st.sampled_from(
    ["git push", "git status", "cd x; git push", "ls", "git x | sh", "sh -c ls"]
)
COUNTS = st.none() | st.integers(1, 9)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    def globs() -> tuple[PathGlob, ...]:
        drawn = draw(st.lists(GLOBS, max_size=3))
        return tuple(PathGlob(glob=glob, source="test") for glob in drawn)

    commands = draw(st.lists(st.tuples(VERDICTS, COMMAND_PATTERNS), max_size=4))
    shell = draw(st.none() | VERDICTS)
    written = draw(st.lists(st.tuples(VERDICTS, PATTERNS), max_size=6))
    return Layer(
        rules=RuleSet(
            rules=tuple(parse_rule(verdict, pattern, "test") for verdict, pattern in written),
            default=draw(VERDICTS),
            default_rule=Rule(text="default", source="test"),
            commands=CommandRules(
                rules=tuple(parse_command(verdict, p, "test") for verdict, p in commands),
                shell=shell,
                shell_rule=Rule(text="shell", source="test") if shell else None,
            ),
        ),
        paths=PathRules(readable=globs(), writable=globs(), protected=globs()),
        budgets=Budgets(steps=draw(COUNTS), tokens=draw(COUNTS), cost_usd=draw(COUNTS)),
        limits=ResourceLimits(processes=draw(st.integers(1, 9))),
        network=draw(tables("network")),
    )


def tables(name: str) -> st.SearchStrategy[Any]:
    """A table of a policy file with values of every kind."""
    texts = HOSTS if name == "network" else st.sampled_from(["A", "a.org", "b/**", "**", "*"])
    kinds: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(1, 9),
        tuple: st.lists(texts, max_size=3, unique=True).map(tuple),
        Verdict: VERDICTS,
    }
    defaults = TABLES[name]()
    values = {key: kinds[type(getattr(defaults, key))] for key in keys(TABLES[name])}
    for key in values:
        if key.endswith("_hosts"):
            values[key] = st.lists(HOSTS, max_size=3, unique=True).map(tuple)
    return st.builds(TABLES[name], **values)


HOSTS = st.sampled_from(
    [
        "a.org",
        "*.a.org",
        "b.org",
        "x.a.org",
        "a.org:443",
        "*.a.org:8443",
        "x.a.org:8443",
        "10.0.0.5",
    ]
)
POLICIES = layers().map(lambda layer: Policy.of("drawn", (layer,)))


@st.composite
def calls(draw: st.DrawFn) -> ToolCall:
    name = draw(st.sampled_from(["read_file", "write_file", "edit_file", "shell", "list_files"]))
    arguments = {"command": draw(COMMANDS)} if name == "shell" else {"path": draw(PATHS)}
    return ToolCall(id="1", name=name, arguments_text="", arguments=dict(arguments))


def strictness(policy: Policy, call: ToolCall) -> int:
    return STRICTNESS[type(policy.decide(call, TOOLS[call.name]))]


@given(POLICIES, POLICIES, calls())
def test_no_call_is_decided_less_strictly(one: Policy, other: Policy, call: ToolCall) -> None:
    both = one.narrowed_by(other)
    assert strictness(both, call) == max(strictness(one, call), strictness(other, call))


@given(POLICIES, POLICIES, POLICIES, calls())
def test_narrowing_again_never_widens(
    one: Policy, other: Policy, third: Policy, call: ToolCall
) -> None:
    both = one.narrowed_by(other)
    assert strictness(both.narrowed_by(third), call) >= strictness(both, call)


@given(POLICIES, POLICIES, PATHS)
def test_no_path_is_granted_that_one_side_withholds(one: Policy, other: Policy, path: str) -> None:
    both = one.narrowed_by(other).confinement
    for name in ("readable", "writable"):

        def grants(globs: tuple[str, ...]) -> bool:
            return one_of(path_regex(glob) for glob in globs).fullmatch(path) is not None

        sides = [grants(getattr(policy.confinement, name)) for policy in (one, other)]
        assert all(sides) or not grants(getattr(both, name))
    for policy in (one, other):
        assert set(policy.confinement.protected) <= set(both.protected)


NAMES = st.sampled_from(["a.org", "x.a.org", "y.x.a.org", "b.org", "ba.org", "10.0.0.5"])


@given(POLICIES, POLICIES, NAMES, st.sampled_from([443, 80, 8443, 22]))
def test_a_host_is_reachable_when_both_name_it(
    one: Policy, other: Policy, name: str, port: int
) -> None:
    both = one.narrowed_by(other).confinement.egress
    sides = [Rules(policy.confinement.egress) for policy in (one, other)]
    host = parse_host(name)
    assert Rules(both).lists(host, port) == all(side.lists(host, port) for side in sides)
    assert both.private == all(policy.confinement.egress.private for policy in (one, other))


@given(POLICIES, POLICIES)
def test_every_budget_and_limit_is_the_lower_one(one: Policy, other: Policy) -> None:
    both = one.narrowed_by(other)
    for name, value in asdict(both.budgets).items():
        sides = [getattr(policy.budgets, name) for policy in (one, other)]
        assert value == min((side for side in sides if side is not None), default=None)
    for name, value in asdict(both.confinement.limits).items():
        sides = [getattr(policy.confinement.limits, name) for policy in (one, other)]
        assert value == min(sides)


@pytest.mark.parametrize("table", TABLES)
@given(data=st.data())
@hypothesis.settings(max_examples=25)
def test_a_table_grants_no_more_than_either_side(table: str, data: st.DataObject) -> None:
    sides = [data.draw(tables(table)) for _ in range(2)]
    both = narrowest_row(table, *sides)
    for key in keys(TABLES[table]):
        values, found = [getattr(side, key) for side in sides], getattr(both, key)
        match found:
            case Verdict():
                assert all(VERDICT_ORDER.index(found) >= VERDICT_ORDER.index(v) for v in values)
            case bool():
                protects = table == "redaction"
                assert found == (any(values) if protects else all(values))
            case int():
                assert found == min(values)
            case tuple() if key in KEEPS_AWAY:
                assert set(found) == set(values[0]) | set(values[1])
            case _:
                assert grants_within(key, found, values)


def test_each_table_of_a_policy_is_narrowed() -> None:
    """By example what the property above says of each table alone."""
    narrow: dict[str, dict[str, Any]] = {
        "network": {"any_web": False},
        "secrets": {"environment": ("MY_PIN",)},
        "flow": {"rule_of_two": Verdict.DENY},
        "redaction": {"personal": True},
        "mcp": {"servers": ("a",)},
        "agents": {"depth": 0},
    }
    assert set(narrow) == set(TABLES)
    wide = Policy.load("default")
    rows = {name: replace(getattr(wide, name), **values) for name, values in narrow.items()}
    strict = Policy.of("strict", (replace(wide.layers[0], **rows),))
    for one, other in ((wide, strict), (strict, wide)):
        both = one.narrowed_by(other)
        for name in rows:
            sides = getattr(one, name), getattr(other, name)
            assert getattr(both, name) == narrowest_row(name, *sides)
        assert (both.flow.rule_of_two, both.mcp.servers) == (Verdict.DENY, ("a",))


VERDICT_ORDER = list(Verdict)
KEEPS_AWAY = {
    *("environment", "keyring", "files", "patterns"),
    *("private_paths", "private_hosts", "private_tools"),
}
"""Lists that protect: narrowing may only add to them."""


def grants_within(key: str, found: tuple[str, ...], sides: list[tuple[str, ...]]) -> bool:
    """Does each side grant what is in `found`?"""
    if key.endswith("hosts"):
        rules = [[parse_host_rule(text) for text in side] for side in sides]
        return all(
            any(rule.covers(parse_host_rule(text)) for rule in side)
            for text in found
            for side in rules
        )
    if key in ("give", "ignore"):
        return all(set(found) <= set(side) for side in sides)
    return all(
        one_of(path_regex(glob) for glob in side).fullmatch(path) is not None
        for path in ("A", "a.org", "b/c", "b", "d/e/f")
        if one_of(path_regex(glob) for glob in found).fullmatch(path)
        for side in sides
    )


@given(POLICIES, POLICIES, calls())
def test_an_allowed_call_gets_the_narrowed_confinement(
    one: Policy, other: Policy, call: ToolCall
) -> None:
    both = one.narrowed_by(other)
    decision = both.decide(call, TOOLS[call.name])
    granted = getattr(decision, "granted", decision)
    assert getattr(granted, "within", both.confinement) == both.confinement


@pytest.mark.parametrize("name", preset_names())
def test_narrowing_by_itself_changes_nothing(name: str) -> None:
    policy = Policy.load(name)
    assert policy.narrowed_by(Policy.load(name)) == policy


def test_new_budgets_replace_those_of_the_file_and_leave_the_rules() -> None:
    policy = Policy.load("ci")
    wider = policy.with_budgets(Budgets(steps=None, tool_calls=1))
    assert wider.budgets == Budgets(steps=None, tool_calls=1)
    assert wider.layers == policy.layers
    assert wider.sha256 != policy.sha256
