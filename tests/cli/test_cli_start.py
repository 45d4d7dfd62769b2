"""How `agent` starts: help, version, unknown commands, completion, and what that imports."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from wardian._version import __version__
from wardian.cli.application import application
from wardian.cli.commands import COMMANDS, HELP
from wardian.cli.dispatch import dispatch, run_command

Command = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = ["pydantic", "httpx2", "rich", "llama_cpp", "litellm", "asyncio", "typer", "numpy"]


def pages() -> list[list[str]]:
    """Every command that does something, as its words."""
    found: list[list[str]] = []
    for name in COMMANDS:
        command: Any = typer.main.get_command(application([name]))
        below = getattr(command.commands[name], "commands", {})
        found += [[name, sub] for sub in below] or [[name]]
    return found


PAGES = pages()
TOOL_S = ["tool", "run"]
"""Its options are the tool's"""


def test_help_imports_nothing_heavy(environment: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "from wardian.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as e:\n    assert not e.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "[]"
    assert "Commands:" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command(agent: Command, arguments: list[str]) -> None:
    done = agent(*arguments)
    assert done.returncode == 0
    assert done.stdout == HELP
    assert all(re.search(rf"^  {name} ", done.stdout, re.MULTILINE) for name in COMMANDS)


def test_version_is_the_package_s(agent: Command) -> None:
    assert agent("--version").stdout == f"agent {__version__}\n"


def test_an_unknown_command_names_the_nearest_one(agent: Command) -> None:
    done = agent("rum", "task")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "`agent run`" in done.stderr


def test_an_unknown_option_is_a_usage_error_with_a_remedy(agent: Command) -> None:
    done = agent("run", "--modle", "x", "task")
    assert done.returncode == 2
    assert "--modle" in done.stderr
    assert "agent run --help" in done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page != TOOL_S], ids=" ".join)
def test_wrong_usage_of_a_command_points_to_the_help_of_that_very_one(
    capsys: pytest.CaptureFixture[str], page: list[str]
) -> None:
    assert dispatch([*page, "--no-such-option"]) == 2
    assert f"`agent {' '.join(page)} --help`" in capsys.readouterr().err


def test_an_option_without_its_value_points_to_its_commands_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert dispatch(["runs", "list", "--min-steps"]) == 2
    assert "`agent runs list --help`" in capsys.readouterr().err


def test_a_command_with_commands_alone_shows_its_help_as_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert dispatch(["runs"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err[:18]) == ("", "Usage: agent runs ")


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_every_help_page_has_an_example_that_parses(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    page: list[str],
) -> None:
    monkeypatch.setenv("WARDIAN_HOME", str(tmp_path))
    assert run_command([*page, "--help"]) == 0
    shown = capsys.readouterr().out
    example = re.search(r"Example: (agent .+)", shown)
    assert example, shown
    words = shlex.split(example[1])
    assert words[1 : 1 + len(page)] == page
    # `--help` at the end of the options parses everything before it and then stops.
    end = words.index("--") if "--" in words else len(words)
    assert run_command([*words[1:end], "--help", *words[end:]]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_agent(agent: Command, shell: str) -> None:
    done = agent("completion", shell)
    assert done.returncode == 0
    assert "_AGENT_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("agent ru", {"run", "runs"}),
        ("agent policy ", {"show", "explain", "test", "edit"}),
    ],
)
def test_completion_offers_commands(agent: Command, words: str, expected: set[str]) -> None:
    done = agent(
        env={
            "_AGENT_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
    )
    assert set(done.stdout.split()) == expected


def test_a_reader_that_leaves_is_not_an_error(environment: dict[str, str], tmp_path: Path) -> None:
    pipe = subprocess.run(
        f"{shlex.join([sys.executable, '-P', '-m', 'wardian'])} tools list | true",
        shell=True,
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert pipe.stderr == ""
