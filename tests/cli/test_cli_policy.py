"""`agent policy` and `agent trust`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_explain_names_the_rule_and_what_would_change_it(agent: Command, workspace: Path) -> None:
    (workspace / "mine.toml").write_text('extends = "default"\n[commands]\nask = ["git push"]')
    done = agent("policy", "explain", "shell(git push)", "--policy", "mine.toml")
    assert done.returncode == 0
    assert done.stdout.startswith("ask: ask command git push\n")
    assert f"in {workspace}/mine.toml:3" in done.stdout
    assert "Without 'ask command git push'" in done.stdout
    as_json = agent("policy", "explain", "shell(git push)", "--policy", "mine.toml", "--json")
    assert json.loads(as_json.stdout)["verdict"] == "ask"


def test_explain_of_what_is_no_call_names_the_nearest(agent: Command) -> None:
    done = agent("policy", "explain", "shel(ls)")
    assert done.returncode == 3
    assert "Did you mean 'shell'?" in done.stderr
    done = agent("policy", "explain", "read_file(pth=a)")
    assert done.returncode == 3
    assert "has no argument 'pth'; it has path" in done.stderr


def test_a_file_of_expectations_is_compared(agent: Command, workspace: Path) -> None:
    file = workspace / "expected.toml"
    file.write_text(
        'policy = "strict"\nallow = ["read_file(a)"]\nask = [\n  "shell(ls)",\n'
        '  "list_files(.)",\n]\ndeny = ["write_file(path=.wardian/x)"]\n'
    )
    done = agent("policy", "test", "expected.toml")
    assert done.returncode == 1
    assert done.stdout == (
        f"{file}:5: list_files(.): expected ask, got allow: allow @read-only (preset strict)\n"
    )
    assert "3 of 4 as expected" in done.stderr
    assert agent("policy", "test", "expected.toml", "--policy", "ci").returncode == 1
    file.write_text('policy = "strict"\nask = ["shell(ls)"]')
    assert agent("policy", "test", "expected.toml").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expects nothing"),
        ('alow = ["shell"]', "Did you mean 'allow'?"),
        ('allow = [\n"shel(ls)"]', "expected.toml:2: There is no tool 'shel'"),
    ],
)
def test_expectations_that_are_none_are_named(
    agent: Command, workspace: Path, text: str, said: str
) -> None:
    (workspace / "expected.toml").write_text(text)
    done = agent("policy", "test", "expected.toml")
    assert done.returncode == 3
    assert said in done.stderr


def editor(workspace: Path, script: str) -> dict[str, str]:
    file = workspace / "editor.sh"
    file.write_text(script)
    return {"EDITOR": f"sh {file}", "VISUAL": ""}


def test_editing_a_preset_makes_a_policy_that_extends_it(
    agent: Command, workspace: Path, environment: dict[str, str]
) -> None:
    add = editor(workspace, 'printf "[commands]\\nask = [\\"git push\\"]\\n" >> "$1"')
    done = agent("policy", "edit", "strict", env=add)
    assert done.returncode == 0
    file = Path(environment["WARDIAN_HOME"]) / "policies/my-strict.toml"
    assert 'extends = "strict"' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "agent config set policy my-strict" in done.stderr
    shown = agent("policy", "explain", "shell(git push)", "--policy", "my-strict")
    assert shown.stdout.startswith("ask: ask command git push")


def test_what_is_no_policy_never_takes_the_place_of_one(agent: Command, workspace: Path) -> None:
    mine = workspace / "mine.toml"
    mine.write_text('extends = "default"\n')
    broken = editor(workspace, 'echo "[comands]" >> "$1"')
    done = agent("policy", "edit", "./mine.toml", env=broken)
    assert done.returncode == 3
    assert "mine.toml:2: 'comands' is not a known key" in done.stderr
    assert mine.read_text() == 'extends = "default"\n'
    draft = done.stderr.rpartition("Your version is in ")[2].strip().removesuffix(".")
    assert "[comands]" in Path(draft).read_text()
    assert "new.toml is not made" in agent("policy", "edit", "./new.toml", env=broken).stderr
    failing = editor(workspace, "exit 7")
    assert "ended with 7" in agent("policy", "edit", "./mine.toml", env=failing).stderr
    missing = agent("policy", "edit", "./mine.toml", env={"EDITOR": "/no/such", "VISUAL": ""})
    assert missing.returncode == 3
    nobody = agent("policy", "edit", "./mine.toml", env={"EDITOR": "", "VISUAL": ""})
    assert nobody.returncode == 3
    assert "Set EDITOR" in nobody.stderr


def test_a_folder_is_trusted_only_on_a_clear_word(agent: Command, workspace: Path) -> None:
    (workspace / "AGENTS.md").write_text("Say \x1b[2Jhello.")
    done = agent("trust", "--show")
    assert done.returncode == 6
    assert "Say \\x1b[2Jhello." in done.stdout
    assert "give --yes" in done.stderr
    assert agent("trust", "--list").stdout == ""
    assert agent("trust", "--yes").returncode == 0
    assert str(workspace) in agent("trust", "--list").stdout
    (workspace / "AGENTS.md").write_text("Say something else.")
    assert "changed" in agent("trust").stdout
    assert agent("trust", "--remove").returncode == 0
    assert agent("trust", "--list").stdout == ""


def test_the_policy_shown_is_narrowed_by_a_trusted_folder(agent: Command, workspace: Path) -> None:
    (workspace / ".wardian").mkdir()
    (workspace / ".wardian/policy.toml").write_text('[tools]\ndeny = ["shell"]')
    assert agent("policy", "explain", "shell(ls)").stdout.startswith("allow")
    agent("trust", "--yes")
    done = agent("policy", "explain", "shell(ls)")
    assert done.stdout.startswith("deny: deny shell")
    assert ".wardian/policy.toml:2" in done.stdout
    named = agent("policy", "explain", "shell(ls)", "--policy", "strict")
    assert named.stdout.startswith("deny: deny shell"), "as a run here with --policy strict"


@pytest.mark.parametrize(("keys", "code"), [("y\r", 0), ("\r", 6), ("yse\r", 6), ("\x04", 6)])
def test_at_a_terminal_only_a_clear_yes_trusts(
    screen: Callable[..., Any], agent: Command, workspace: Path, keys: str, code: int
) -> None:
    (workspace / "AGENTS.md").write_text("x")
    shown = screen("trust")
    shown.wait_for("[y/N]")
    shown.type(keys)
    assert shown.exit_code() == code
    assert (agent("trust", "--list").stdout != "") == (code == 0)
