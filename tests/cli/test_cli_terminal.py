"""`agent run` on a terminal: what is shown, approvals, Ctrl-C."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text

ASK_ALL = '[tools]\ndefault = "ask"\n'
ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"
QUESTION = "n = no"


class OnScreen(Protocol):
    """What the tests use of the command on its terminal."""

    pid: int
    seen: str

    @property
    def text(self) -> str: ...
    def wait_for(self, text: str, times: int = 1) -> None: ...
    def type(self, keys: str) -> None: ...
    def exit_code(self) -> int: ...


Start = Callable[..., OnScreen]


@pytest.fixture
def start(screen: Callable[..., OnScreen], workspace: Path) -> Iterator[Start]:
    """`start(answers, *options)`: `agent run x` on a terminal, asking a server so scripted."""
    (workspace / "ask.toml").write_text(ASK_ALL)
    servers: list[ScriptedServer] = []

    def begin(answers: list[Answer], *options: str, **env: str) -> OnScreen:
        servers.append(ScriptedServer(answers).__enter__())
        base = ["--base-url", servers[-1].base_url, "-m", "scripted", "--sandbox", "none"]
        return screen("run", "x", *base, *options, **env)

    yield begin
    for server in servers:
        server.__exit__(None, None, None)


def shell(command: str) -> Answer:
    return stream_calls([("shell", {"command": command})])


def test_text_calls_and_results_are_shown_and_the_answer_once(start: Start) -> None:
    run = start([shell("wc -l < a.txt"), stream_text("The file has three lines.")])
    assert run.exit_code() == 0
    assert "● shell  wc -l < a.txt" in run.text
    assert "└ 3" in run.text
    assert run.text.count("The file has three lines.") == 1
    assert "2 steps · 1 tool call" in run.text


def test_no_alternate_screen_is_used(start: Start) -> None:
    run = start([shell("true"), stream_text("ok")])
    run.exit_code()
    assert "\x1b[?1049h" not in run.seen
    assert "\x1b[2J" not in run.seen


def test_no_color_writes_no_colour(start: Start) -> None:
    run = start([shell("true"), stream_text("ok")], NO_COLOR="1")
    assert run.exit_code() == 0
    assert "\x1b[3" not in run.seen.replace("\x1b[?", "")


@pytest.mark.parametrize("how", ["--plain", "TERM=dumb"])
def test_a_plain_terminal_gets_no_escape_sequence(start: Start, how: str) -> None:
    answers = [shell("true"), stream_text("ok")]
    run = start(answers, how) if how == "--plain" else start(answers, TERM="dumb")
    assert run.exit_code() == 0
    assert "\x1b" not in run.seen
    assert run.text.count("ok\n") == 1


def test_a_locale_without_utf8_gets_ascii(start: Start) -> None:
    run = start([shell("true"), stream_text("ok")], LC_ALL="C", LANG="C")
    assert run.exit_code() == 0
    assert run.text.isascii()
    assert "* shell" in run.text


def test_hostile_output_cannot_act_on_the_terminal(start: Start) -> None:
    run = start([shell("printf '\\033]0;owned\\007\\033[8mhidden'"), stream_text("a\x1b[2Jb\rc")])
    assert run.exit_code() == 0
    assert "\x1b]0;" not in run.seen
    assert "\x1b[8m" not in run.seen
    assert "a\\x1b[2Jb\\x0dc" in run.text


def test_markup_in_model_text_is_shown_as_it_is(start: Start) -> None:
    run = start([stream_text("[bold red]not markup[/] :smile:")])
    assert run.exit_code() == 0
    assert "[bold red]not markup[/] :smile:" in run.text


@pytest.mark.parametrize(("answer", "runs"), [("y", True), ("n", False), ("", False), ("j", False)])
def test_only_a_clear_yes_lets_a_call_run(
    start: Start, workspace: Path, answer: str, runs: bool
) -> None:
    run = start([shell("touch made"), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type(answer + ENTER)
    if answer == "j":
        run.wait_for(QUESTION, times=2)
        run.type("n" + ENTER)
    assert run.exit_code() == 0
    assert (workspace / "made").exists() == runs


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D])
def test_ctrl_c_and_end_of_input_at_the_question_are_no(
    start: Start, workspace: Path, keys: str
) -> None:
    run = start([shell("touch made"), stream_text("I may not.")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type(keys)
    assert run.exit_code() == 0
    assert not (workspace / "made").exists()
    assert "I may not." in run.text


def test_keys_typed_before_the_question_do_not_answer_it(start: Start, workspace: Path) -> None:
    run = start(
        [shell("until [ -e go ]; do sleep 0.01; done"), shell("touch made"), stream_text("ok")],
        "--policy",
        "ask.toml",
    )
    run.wait_for(QUESTION)
    run.type("y" + ENTER)
    run.wait_for("● shell")
    run.type("y" + ENTER)  # too early: the next question is not there yet
    (workspace / "go").touch()
    run.wait_for(QUESTION, times=2)
    run.type("n" + ENTER)
    assert run.exit_code() == 0
    assert not (workspace / "made").exists()


def test_yes_for_the_session_asks_once_a_rule(start: Start, workspace: Path) -> None:
    answers = [shell("touch one"), shell("touch two"), stream_text("ok")]
    run = start(answers, "--policy", "ask.toml")
    run.wait_for(QUESTION)
    run.type("s" + ENTER)
    assert run.exit_code() == 0
    assert run.text.count(QUESTION) == 1
    assert (workspace / "two").exists()


def test_the_question_shows_the_whole_command_sanitised_and_its_rule(start: Start) -> None:
    tail = "rm -rf precious"
    command = "echo " + "x" * 3000 + " \x1b[1A\x1b[2K; " + tail
    run = start([shell(command), stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    shown = run.text.replace("\n", "")
    assert "x" * 3000 in shown
    assert tail in shown
    assert "\\x1b[1A\\x1b[2K" in shown
    assert "ask.toml:2" in shown
    run.type("n" + ENTER)
    assert run.exit_code() == 0


def test_the_question_about_a_write_shows_its_diff(start: Start) -> None:
    call = stream_calls([("write_file", {"path": "a.txt", "content": "one\n2\nthree\n"})])
    run = start([call, stream_text("ok")], "--policy", "ask.toml")
    run.wait_for(QUESTION)
    assert "-two" in run.text
    assert "+2" in run.text
    assert " three" in run.text
    run.type("n" + ENTER)
    assert run.exit_code() == 0


def test_with_approve_never_nobody_is_asked(start: Start) -> None:
    run = start([shell("true")], "--policy", "ask.toml", "--approve", "never")
    assert run.exit_code() == 6
    assert QUESTION not in run.text


def test_ctrl_c_stops_the_step_and_enter_ends_the_run(start: Start, workspace: Path) -> None:
    run = start([shell("echo $$ > pid; exec sleep 600"), stream_text("never")])
    run.wait_for("● shell")
    run.type(CTRL_C)
    run.wait_for("press Enter to end")
    pid = (workspace / "pid").read_text() if (workspace / "pid").exists() else ""
    run.type(ENTER)
    assert run.exit_code() == 130
    assert "cancelled" in run.text
    assert "trajectory.jsonl" in run.text
    if pid.strip():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_after_ctrl_c_a_new_instruction_goes_on_with_the_conversation(start: Start) -> None:
    run = start([shell("sleep 600"), stream_text("I said hello instead.")])
    run.wait_for("● shell")
    run.type(CTRL_C)
    run.wait_for("press Enter to end")
    run.type("just say hello" + ENTER)
    assert run.exit_code() == 0
    assert "I said hello instead." in run.text


def test_a_second_ctrl_c_ends_with_130(start: Start) -> None:
    run = start([shell("sleep 600")])
    run.wait_for("● shell")
    run.type(CTRL_C)
    run.wait_for("press Enter to end")
    run.type(CTRL_C)
    assert run.exit_code() == 130


def test_insisting_with_ctrl_c_ends_at_once(start: Start) -> None:
    run = start([shell("sleep 600")], "--approve", "never")
    run.wait_for("● shell")
    for _ in range(4):
        os.kill(run.pid, signal.SIGINT)
    assert run.exit_code() == 130


def test_the_terminal_is_left_with_its_cursor(start: Start) -> None:
    run = start([shell("sleep 600")], "--approve", "never")
    run.wait_for("● shell")
    for _ in range(4):
        os.kill(run.pid, signal.SIGINT)
    run.exit_code()
    assert run.seen.rfind("\x1b[?25h") > run.seen.rfind("\x1b[?25l")
