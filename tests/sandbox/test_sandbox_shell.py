"""Shell commands, on every backend."""

from collections.abc import Callable
from typing import Any

import pytest

from wardian_sandbox import Confinement, Ending, ExecResult, ResourceLimits, SupervisedSandbox

Shell = Callable[..., ExecResult]
SHORT = Confinement(limits=ResourceLimits(wall_seconds=1.0))
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_a_command_runs_in_the_workspace(shell: Shell) -> None:
    result = shell("cat notes.txt | head -1; ls")
    assert result.output == "alpha\nnotes.txt\nsrc\n"
    assert (result.ending, result.exit_code) == (Ending.EXITED, 0)


def test_both_streams_come_in_the_order_written(shell: Shell) -> None:
    assert shell("echo a; echo b >&2; echo c").output == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("command", "ending", "code"),
    [
        ("false", Ending.EXITED, 1),
        ("exit 42", Ending.EXITED, 42),
        ("no-such-program", Ending.EXITED, 127),
        ("kill -9 $$", Ending.SIGNALLED, 137),
        ("(", Ending.EXITED, 2),
    ],
)
def test_the_ending_is_a_fact(shell: Shell, command: str, ending: Ending, code: int) -> None:
    result = shell(command)
    assert (result.ending, result.exit_code) == (ending, code)


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60",
        "trap '' TERM INT; while :; do :; done",
        "sleep 60 | cat",
        "(setsid sleep 60; echo no)",
    ],
)
def test_a_command_that_takes_too_long_is_killed_with_its_group(shell: Shell, command: str) -> None:
    result = shell(command, within=SHORT)
    assert (result.ending, result.exit_code) == (Ending.TIMED_OUT, 137)


@pytest.mark.parametrize(
    "background", ["sleep 60 &", "(setsid sleep 60 &)", "nohup sleep 60 >/dev/null 2>&1 &"]
)
def test_what_a_command_leaves_running_neither_holds_the_call_nor_outlives_it(
    work: Callable[..., Any], background: str
) -> None:
    marked = background.replace("sleep 60", "bash -c 'exec -a left-behind sleep 60'")

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        first = await box.shell(f"{marked}\necho started", PLENTY)
        return first, await box.shell("grep -sl ^left-behind /proc/[0-9]*/cmdline | wc -l", PLENTY)

    first, second = work(do)
    assert (first.output, first.ending) == ("started\n", Ending.EXITED)
    assert second.output.strip() == "0"


def test_a_command_with_nul_or_of_great_length_is_refused_in_words(shell: Shell) -> None:
    for command in ("echo \x00", "echo " + "x" * 3_000_000):
        result = shell(command)
        assert result.exit_code == 126
        assert "could not be started" in result.output


def test_calls_overlap(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> list[ExecResult]:
        import asyncio

        # Each waits for the other, so they end only if both run.
        wait = "while [ ! -e {0} ]; do sleep 0.01; done; echo met"
        one = box.shell("touch one; " + wait.format("two"), PLENTY)
        two = box.shell("touch two; " + wait.format("one"), PLENTY)
        return list(await asyncio.gather(one, two))

    assert [result.output for result in work(do)] == ["met\n", "met\n"]


def test_the_environment_is_made_anew(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    result = shell("env")
    assert "sk-very-secret" not in result.output
    assert {"AGENT=wardian", "TERM=dumb", "LANG=C.UTF-8"} <= set(result.output.splitlines())
