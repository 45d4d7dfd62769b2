"""`agent runs|models|tools|policy|config|doctor`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text

Command = Callable[..., subprocess.CompletedProcess[str]]
LISTS = [
    ["runs", "list"],
    ["models", "list"],
    ["tools", "list"],
    ["tools", "show", "read_file"],
    ["policy", "show"],
    ["config", "show"],
]


@pytest.fixture
def recorded(agent: Command) -> str:
    """The id of a run that is recorded."""
    answers = [stream_calls([("shell", {"command": "echo hi \x1b[2J"})]), stream_text("Said hi.")]
    with ScriptedServer(answers) as server:
        options = ["--base-url", server.base_url, "-m", "m", "--sandbox", "none", "--json"]
        done = agent("run", "say hi", *options)
    run_id: str = json.loads(done.stdout.splitlines()[-1])["run_id"]
    return run_id


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_every_list_is_plain_text_and_json_on_demand(agent: Command, command: list[str]) -> None:
    plain, as_json = agent(*command), agent(*command, "--json")
    assert (plain.returncode, as_json.returncode) == (0, 0), plain.stderr + as_json.stderr
    assert "\x1b" not in plain.stdout
    assert json.loads(as_json.stdout) is not None


def test_no_runs_yet_says_how_to_make_one(agent: Command) -> None:
    done = agent("runs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "agent run" in done.stderr


def test_a_run_is_listed_shown_found_and_removed(agent: Command, recorded: str) -> None:
    assert recorded in agent("runs", "list").stdout
    shown = agent("runs", "show", recorded[:16]).stdout
    assert "echo hi \\x1b[2J" in shown
    assert "Said hi." in shown
    assert Path(agent("runs", "path", "last").stdout.strip()).is_file()
    assert agent("runs", "rm", "last").returncode == 0
    assert agent("runs", "show", recorded).returncode == 8


def test_a_shown_run_in_json_is_the_stream_it_was(agent: Command, recorded: str) -> None:
    done = agent("runs", "show", "last", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["event"] == "run_started"
    assert lines[-1]["event"] == "result"
    assert lines[-1]["answer"] == "Said hi."


def test_removing_is_all_or_nothing_when_a_name_is_wrong(agent: Command, recorded: str) -> None:
    assert agent("runs", "rm", recorded, "NOSUCHRUN").returncode == 8
    assert recorded in agent("runs", "list").stdout


def test_an_unknown_tool_names_the_nearest(agent: Command) -> None:
    done = agent("tools", "show", "pyhton")
    assert done.returncode == 3
    assert "python" in done.stderr


def test_an_unknown_policy_names_the_nearest(agent: Command) -> None:
    done = agent("policy", "show", "strcit")
    assert done.returncode == 3
    assert "strict" in done.stderr


def test_a_setting_that_was_set_is_shown_with_its_origin(agent: Command) -> None:
    assert agent("config", "set", "max_steps", "7").returncode == 0
    path = agent("config", "path").stdout.strip()
    shown = agent("config", "show", "--origin", env={"WARDIAN_SEED": "3"}).stdout.splitlines()
    assert any("max_steps" in line and "7" in line and path in line for line in shown)
    assert any("seed" in line and "environment WARDIAN_SEED" in line for line in shown)
    assert any("sandbox" in line and "auto" in line and "default" in line for line in shown)


@pytest.mark.parametrize(("key", "value"), [("max_stesp", "7"), ("max_steps", "many")])
def test_a_setting_that_cannot_be_is_refused(agent: Command, key: str, value: str) -> None:
    done = agent("config", "set", key, value)
    assert done.returncode == 3
    assert "max_steps" in done.stderr


def test_doctor_says_what_works_and_never_shows_a_key(agent: Command) -> None:
    secret = "sk-live-0123456789"
    env = {"OPENAI_API_KEY": secret, "WARDIAN_MODEL": "openai/gpt-x"}
    done = agent("doctor", "--json", env=env)
    report = json.loads(done.stdout)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert report["exit_code"] == done.returncode
    assert states["python"] == "ok"
    assert states["model"] == "ok"
    assert done.returncode == (0 if states["sandbox"] == "ok" else 7)
    assert "OPENAI_API_KEY" in done.stdout
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("env", "code", "named"),
    [
        ({"WARDIAN_MODEL": "gguf:/missing.gguf"}, 4, "/missing.gguf"),
        ({"WARDIAN_MODLE": "tiny"}, 3, "WARDIAN_MODEL"),
        ({"WARDIAN_POLICY": "defautl"}, 3, "default"),
        ({"WARDIAN_MODEL": "openai/x", "WARDIAN_HOME": "/dev/null/home"}, 8, "/dev/null"),
    ],
)
def test_doctor_fails_with_the_code_a_run_would(
    agent: Command, env: dict[str, str], code: int, named: str
) -> None:
    done = agent("doctor", env=env)
    assert "FAIL" in done.stdout
    assert named in done.stdout
    assert "→" in done.stdout
    assert done.returncode in (code, 7)
