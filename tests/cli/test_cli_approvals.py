"""Approvals on a terminal: always, edit, several at once, no with a reason."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text

ENTER = "\r"
QUESTION = "n = no"
END = "the model is told these words"
"""What the question ends with."""


class OnScreen(Protocol):
    """What the tests use of the command on its terminal."""

    @property
    def text(self) -> str: ...
    def wait_for(self, text: str, times: int = 1) -> None: ...
    def type(self, keys: str) -> None: ...
    def exit_code(self) -> int: ...


Start = Callable[..., OnScreen]


@pytest.fixture
def start(screen: Callable[..., OnScreen], workspace: Path) -> Iterator[Start]:
    """`start(answers, *options)`: `agent run x` on a terminal, asking a server so scripted."""
    (workspace / "ask.toml").write_text('# mine\n[tools]\ndefault = "ask"  # careful\n')
    servers: list[ScriptedServer] = []

    def begin(answers: list[Answer], *options: str, **env: str) -> OnScreen:
        servers.append(ScriptedServer(answers).__enter__())
        base = ["--base-url", servers[-1].base_url, "-m", "scripted", "--sandbox", "none"]
        return screen("run", "x", *base, *options, **env)

    yield begin
    for server in servers:
        server.__exit__(None, None, None)


def shell(*commands: str) -> Answer:
    return stream_calls([("shell", {"command": command}) for command in commands])


def decided(environment: dict[str, str]) -> list[dict[str, Any]]:
    """Of the only run there is."""
    (file,) = Path(environment["WARDIAN_HOME"]).glob("runs/*/trajectory.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["data"] for line in lines if line.get("kind") == "call_decided"]


def test_always_saves_the_rule_that_was_shown_where_it_was_shown(
    start: Start, workspace: Path, environment: dict[str, str]
) -> None:
    run = start([shell("touch one"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(END)
    shown = run.text.replace("\n", "")
    assert "always: allow shell(command=touch one)" in shown
    assert f"is saved in {workspace}/ask.toml" in shown
    run.type("a" + ENTER)
    assert run.exit_code() == 0
    assert (workspace / "one").exists()
    assert (workspace / "ask.toml").read_text() == (
        '# mine\n[tools]\ndefault = "ask"  # careful\nallow = ["shell(command=touch one)"]\n'
    )
    (event,) = decided(environment)
    assert event["answer"] == "always"
    assert event["saved"] == f"allow shell(command=touch one) ({workspace}/ask.toml)"
    (workspace / "one").unlink()
    again = start([shell("touch one"), stream_text("ok")], "--policy", "ask.toml")
    assert again.exit_code() == 0
    assert QUESTION not in again.text
    assert (workspace / "one").exists()


def test_always_under_a_preset_makes_a_policy_of_ones_own(
    start: Start, environment: dict[str, str]
) -> None:
    home = Path(environment["WARDIAN_HOME"])
    home.mkdir()
    (home / "config.toml").write_text('policy = "strict"  # mine\n')
    run = start([shell("true"), stream_text("ok")])
    run.wait_for(END)
    assert "which extends strict, and becomes your policy" in run.text.replace("\n", "")
    run.type("a" + ENTER)
    assert run.exit_code() == 0
    assert (home / "config.toml").read_text() == 'policy = "my-strict"  # mine\n'
    saved = (home / "policies/my-strict.toml").read_text()
    assert 'extends = "strict"' in saved
    assert 'allow = ["shell(command=true)"]' in saved


def test_an_edited_command_runs_in_the_place_of_the_other(
    start: Start, workspace: Path, environment: dict[str, str]
) -> None:
    run = start([shell("touch one"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type("e" + ENTER)
    run.wait_for("typed anew")
    run.type("touch two" + ENTER)
    run.wait_for(QUESTION, times=2)
    assert "command: touch two" in run.text
    run.type("y" + ENTER)
    assert run.exit_code() == 0
    assert (workspace / "two").exists()
    assert not (workspace / "one").exists()
    first, second = decided(environment)
    assert (first["answer"], first["edit"]) == ("edit", {"command": "touch two"})
    assert (second["answer"], second["call"]["arguments"]["command"]) == ("yes", "touch two")


def test_a_call_with_more_to_it_is_edited_in_the_editor(start: Start, workspace: Path) -> None:
    editor = workspace / "editor.sh"
    editor.write_text('sed -i s/wrong/right/ "$1"; cat "$1"\n')
    call = stream_calls([("write_file", {"path": "a.txt", "content": "one\nwrong\n"})])
    run = start([call, stream_text("ok")], "--policy", "ask.toml", EDITOR=f"sh {editor}")
    run.wait_for(QUESTION)
    run.type("e" + ENTER)
    run.wait_for(QUESTION, times=2)
    assert "+right" in run.text
    run.type("y" + ENTER)
    assert run.exit_code() == 0
    assert (workspace / "a.txt").read_text() == "one\nright\n"


def test_an_edit_that_is_no_toml_can_be_gone_on_with(start: Start, workspace: Path) -> None:
    editor = workspace / "editor.sh"
    editor.write_text(
        'if grep -q half "$1"; then sed -i s/half.*// "$1"\n'
        'else sed -i s/wrong/right/ "$1"; echo half a line >> "$1"; fi\n'
    )
    call = stream_calls([("write_file", {"path": "a.txt", "content": "one\nwrong\n"})])
    run = start([call, stream_text("ok")], "--policy", "ask.toml", EDITOR=f"sh {editor}")
    run.wait_for(QUESTION)
    run.type("e" + ENTER)
    run.wait_for("edit it again as you left it")
    assert "is no TOML" in run.text
    run.type("e" + ENTER)
    run.wait_for(QUESTION, times=2)
    run.type("y" + ENTER)
    assert run.exit_code() == 0
    assert (workspace / "a.txt").read_text() == "one\nright\n"


def test_several_calls_are_asked_about_in_one_prompt(
    start: Start, workspace: Path, environment: dict[str, str]
) -> None:
    call = shell("touch one", "touch two", "touch three")
    run = start([call, stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    for number, name in enumerate(("one", "two", "three"), start=1):
        assert f"{number}  Should shell run" in run.text
        assert f"command: touch {name}" in run.text
    run.type("1 4" + ENTER)
    run.wait_for(QUESTION, times=2)
    assert "numbers from 1 to 3" in run.text
    assert "is writing" not in run.text.partition("calls need your yes")[2]
    run.type("1 3" + ENTER)
    assert run.exit_code() == 0
    made = {name for name in ("one", "two", "three") if (workspace / name).exists()}
    assert made == {"one", "three"}
    assert [event["answer"] for event in decided(environment)] == ["yes", "no", "yes"]


@pytest.mark.parametrize("keys", ["", "n"])
def test_several_calls_are_denied_by_default(start: Start, workspace: Path, keys: str) -> None:
    run = start([shell("touch one", "touch two"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type(keys + ENTER)
    assert run.exit_code() == 0
    assert not list(workspace.glob("t*o"))


def test_words_after_a_no_reach_the_model(start: Start, environment: dict[str, str]) -> None:
    run = start([shell("touch one"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type("n use make instead" + ENTER)
    assert run.exit_code() == 0
    (file,) = Path(environment["WARDIAN_HOME"]).glob("runs/*/trajectory.jsonl")
    assert "They say: use make instead" in file.read_text()


def test_nothing_in_a_question_acts_on_the_terminal_or_is_hidden(start: Start) -> None:
    hostile = "echo \x1b[2K\u202eevil\u200b [bold]x[/x] \x07; rm -rf precious" + " " * 500 + "#end"
    run = start([shell(hostile, "true"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    shown = run.text.replace("\n", "")
    assert "\\x1b[2K\\u202eevil\\u200b [bold]x[/x] \\x07; rm -rf precious" in shown
    assert "#end" in shown
    assert "\u202e" not in shown
    run.type(ENTER)
    assert run.exit_code() == 0


def test_the_folder_that_is_named_is_the_one_that_calls_act_on(
    start: Start, screen: Callable[..., OnScreen], workspace: Path, environment: dict[str, str]
) -> None:
    copied = start([shell("touch one"), stream_text("ok")], "--policy", "ask.toml", "--copy")
    copied.wait_for(END)
    assert f"in a copy of {workspace}" in copied.text.replace("\n", "")
    copied.type("y" + ENTER)
    assert copied.exit_code() == 0

    run = start([shell("touch two"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(END)
    run.type("y" + ENTER)
    assert run.exit_code() == 0
    with ScriptedServer([shell("touch three"), stream_text("ok")]) as server:
        more = ("--base-url", server.base_url, "--sandbox", "none")
        fork = screen("fork", "last", "--at", "1", "-m", "scripted", *more)
        fork.wait_for(END)
        place = Path(environment["WARDIAN_HOME"]) / "runs"
        assert f"in {place}/" in fork.text.replace("\n", "")
        fork.type("y" + ENTER)
        assert fork.exit_code() == 0
    assert (workspace / "two").exists()
    assert not (workspace / "three").exists()
