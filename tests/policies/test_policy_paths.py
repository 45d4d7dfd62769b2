"""What the path rules say of a tool's path arguments."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_policies import Allow, Decision, Deny, Policy
from wardian_policies.paths import respelled
from wardian_tools import builtin_tools
from wardian_tools.types import ToolCall

Write = Callable[[str], Policy]
TOOLS = {tool.name: tool for tool in builtin_tools()}


def decide(policy: Policy, name: str, **arguments: object) -> Decision:
    call = ToolCall(id="1", name=name, arguments_text="", arguments=arguments)
    return policy.decide(call, TOOLS[name])


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "./.git/hooks/pre-commit",
        "src/../.git/config",
        ".GIT/Config",
        "/workspace/.git/hooks/x",
        ".git/hooks",
        ".wardian/config.toml",
        ".envrc",
    ],
)
def test_a_protected_path_is_not_written_however_it_is_spelled(path: str) -> None:
    decision = decide(Policy.load("default"), "write_file", path=path, content="x")
    assert isinstance(decision, Deny)
    assert decision.rule.text.startswith("paths.protected")
    assert "write_file" in decision.reason
    assert isinstance(decide(Policy.load("default"), "read_file", path=path), Allow)


def test_an_unprotected_neighbour_is_written() -> None:
    policy = Policy.load("default")
    assert isinstance(decide(policy, "write_file", path=".git/info/x", content=""), Allow)
    assert isinstance(decide(policy, "write_file", path="docs/.envrc", content=""), Allow)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\0"])
@pytest.mark.parametrize("name", ["read_file", "write_file", "list_files"])
def test_a_path_outside_the_workspace_is_denied(name: str, path: str) -> None:
    decision = decide(Policy.load("default"), name, path=path, content="")
    assert isinstance(decision, Deny)
    assert "not a relative path inside the workspace" in decision.reason


def test_readable_and_writable_bound_the_file_tools(write: Write) -> None:
    policy = write(
        '[tools]\ndefault = "allow"\n[paths]\nreadable = ["src/**"]\nwritable = ["src/gen/*"]'
    )
    assert isinstance(decide(policy, "read_file", path="src/a/b.py"), Allow)
    assert isinstance(decide(policy, "read_file", path="docs/a"), Deny)
    assert isinstance(decide(policy, "write_file", path="src/gen/a", content=""), Allow)
    assert isinstance(decide(policy, "write_file", path="src/gen/a/b", content=""), Deny)
    assert policy.confinement.readable == ("src/**",)
    assert policy.confinement.writable == ("src/gen/*",)


def test_a_folder_above_something_readable_may_be_listed(write: Write) -> None:
    policy = write('[tools]\ndefault = "allow"\n[paths]\nreadable = ["src/lib/**"]')
    assert isinstance(decide(policy, "list_files", path="."), Allow)
    assert isinstance(decide(policy, "list_files", path="src"), Allow)
    assert isinstance(decide(policy, "list_files", path="docs"), Deny)


def test_an_empty_list_leaves_nothing_writable(write: Write) -> None:
    policy = write('extends = "default"\n[paths]\nwritable = []')
    assert policy.confinement.writable == ()
    assert isinstance(decide(policy, "write_file", path="a", content=""), Deny)
    assert isinstance(decide(policy, "read_file", path="a"), Allow)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/home/me/w/a.txt", " Use 'a.txt'."),
        ("/home/me/w/b/../a.txt", " Use 'a.txt'."),
        ("/home/me/w", " Use '.'."),
        ("/home/me/w/../.ssh/id_rsa", ""),
        ("/home/me/wide/a.txt", ""),
        ("../a.txt", ""),
    ],
)
def test_a_whole_path_within_the_workspace_is_answered_by_its_relative_one(
    path: str, hint: str
) -> None:
    call = ToolCall(id="1", name="read_file", arguments_text="", arguments={"path": path})
    tool = TOOLS["read_file"]
    denied = Policy.load("default").decide(call, tool)
    assert isinstance(denied, Deny)
    said = respelled(denied, call, tool, Path("/home/me/w")).reason
    assert said == denied.reason + hint
