"""Every preset decides as its comments say."""

from pathlib import Path

import pytest

from wardian_policies import Allow, Ask, Budgets, Decision, Deny, Policy, preset_names
from wardian_policies.file import PRESETS
from wardian_tools import Effect, Tool, builtin_tools, tool
from wardian_tools.types import ToolCall

TOOLS = {one.name: one for one in builtin_tools()}
CALLS: dict[str, dict[str, object]] = {
    "read_file": {"path": "a"},
    "list_files": {"path": "."},
    "search_files": {"pattern": "a", "path": "."},
    "write_file": {"path": "a", "content": ""},
    "edit_file": {"path": "a", "old": "a", "new": "b"},
    "python": {"code": "1 + 1"},
    "shell": {"command": "ls"},
}
READING = {"read_file", "list_files", "search_files"}


@tool
def own(x: int) -> int:
    """A user's own function."""
    return x


@tool(effects={Effect.EGRESS})
def send(x: int) -> int:
    """A user's own function that sends data out."""
    return x


@tool(effects={Effect.READS})
def look(x: int) -> int:
    """A user's own function that only looks."""
    return x


def decide(policy: Policy, tool: Tool, arguments: dict[str, object]) -> Decision:
    call = ToolCall(id="1", name=tool.name, arguments_text="", arguments=arguments)
    return policy.decide(call, tool)


def kinds(policy: Policy) -> dict[str, type]:
    built_in = {name: type(decide(policy, TOOLS[name], CALLS[name])) for name in CALLS}
    return built_in | {t.name: type(decide(policy, t, {"x": 1})) for t in (own, send, look)}


def test_every_built_in_tool_is_covered_here() -> None:
    assert set(CALLS) == set(TOOLS)


def test_default_allows_the_sandboxed_and_own_tools_and_asks_before_egress() -> None:
    expected: dict[str, type] = dict.fromkeys([*CALLS, "own", "look"], Allow)
    assert kinds(Policy.load("default")) == expected | {"send": Ask}


def test_strict_allows_looking_and_asks_for_the_rest() -> None:
    expected = {name: Allow if name in READING else Ask for name in CALLS}
    assert kinds(Policy.load("strict")) == expected | {"own": Ask, "send": Ask, "look": Allow}


def test_ci_never_asks_and_denies_what_is_not_named() -> None:
    expected: dict[str, type] = dict.fromkeys([*CALLS, "look"], Allow)
    assert kinds(Policy.load("ci")) == expected | {"own": Deny, "send": Deny}


def test_offline_denies_what_could_send_something_out() -> None:
    expected: dict[str, type] = dict.fromkeys([*CALLS, "own", "look"], Allow)
    policy = Policy.load("offline")
    assert kinds(policy) == expected | {"send": Deny}
    assert not policy.network.any_web


def test_trusted_repo_asks_before_work_is_published_or_lost() -> None:
    policy = Policy.load("trusted-repo")
    assert kinds(policy) == kinds(Policy.load("default"))
    for command in ("git push", "cd x && git clean -fd", "git reset --hard HEAD~1"):
        assert isinstance(decide(policy, TOOLS["shell"], {"command": command}), Ask)
    assert policy.flow.trusted_paths == ("**",)


def test_a_file_that_extends_ci_may_name_its_own_tools(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('extends = "ci"\n[tools]\nallow = ["own"]')
    assert isinstance(decide(Policy.load(file), own, {"x": 1}), Allow)
    assert isinstance(decide(Policy.load(file), send, {"x": 1}), Deny)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_no_network_and_protects_git_and_settings(name: str) -> None:
    policy = Policy.load(name)
    assert policy.name == name
    assert policy.confinement.egress.hosts == ()
    git = ("config", "config.worktree", "commondir", "hooks/pre-push", "modules/a/config")
    paths = [f".git/{name}" for name in (*git, "worktrees/a/commondir")]
    for path in (*paths, ".wardian/config.toml"):
        assert isinstance(decide(policy, TOOLS["write_file"], {"path": path}), Deny)


def test_the_default_preset_has_the_default_budgets() -> None:
    assert Policy.load("default").budgets == Budgets()


@pytest.mark.parametrize("name", ["strict", "ci"])
def test_strict_and_ci_bound_every_budget_tighter_than_default(name: str) -> None:
    budgets, default = Policy.load(name).budgets, Policy.load("default").budgets
    for key in ("steps", "tool_calls", "tokens", "cost_usd", "wall_seconds"):
        assert getattr(budgets, key) is not None
        assert getattr(budgets, key) < (getattr(default, key) or float("inf"))


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_fits_one_screen(name: str) -> None:
    lines = (PRESETS / f"{name}.toml").read_text().splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= 100


def test_the_presets_are_the_ones_documented() -> None:
    assert preset_names() == ("ci", "default", "offline", "strict", "trusted-repo")
