"""`agent run` without a terminal: where things are written, and the exit codes."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from wardian.models.scripted_server import (
    Answer,
    ScriptedServer,
    refuse,
    stream_calls,
    stream_text,
)

Command = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., list[str]]

ASK_SHELL = '[tools]\ndefault = "allow"\nask = ["shell(touch*)"]\n'


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(*answers)`: the options that make `agent run` ask a server with these answers."""
    servers: list[ScriptedServer] = []

    def start(*answers: Answer) -> list[str]:
        servers.append(ScriptedServer(answers).__enter__())
        return ["--base-url", servers[-1].base_url, "-m", "scripted", "--sandbox", "none"]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def shell(command: str) -> Answer:
    return stream_calls([("shell", {"command": command})])


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["v"] == 1 for line in lines)
    assert [line["event"] for line in lines].count("result") == 1
    assert lines[-1]["event"] == "result"
    assert lines[-1]["exit_code"] == done.returncode
    return lines


def test_the_answer_alone_goes_to_stdout(agent: Command, serve: Serve) -> None:
    done = agent("run", "count", *serve(shell("wc -l < a.txt"), stream_text("Three lines.")))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Three lines.\n"
    assert "wc -l < a.txt" in done.stderr
    assert "2 steps" in done.stderr
    assert "1 tool call" in done.stderr
    assert "trajectory.jsonl" in done.stderr


def test_quiet_leaves_stderr_empty(agent: Command, serve: Serve) -> None:
    done = agent("run", "-q", "say hi", *serve(stream_text("hi")), "--sandbox", "auto")
    assert (done.stdout, done.stderr) == ("hi\n", "")


def test_the_answer_is_also_written_to_the_file_asked_for(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    assert agent("run", "-o", "answer.txt", "x", *serve(stream_text("näh"))).returncode == 0
    assert (workspace / "answer.txt").read_text(encoding="utf-8") == "näh"


def test_what_the_model_writes_cannot_act_on_the_terminal(agent: Command, serve: Serve) -> None:
    done = agent("run", "x", *serve(shell("printf '\\033]0;owned\\007'"), stream_text("ok")))
    assert "\x1b" not in done.stderr
    assert "\\x1b]0;owned\\x07" in done.stderr


@pytest.mark.parametrize("how", ["", "--plain", "-q", "--json"])
def test_running_without_a_sandbox_is_said_once_however_little_else(
    agent: Command, serve: Serve, how: str
) -> None:
    done = agent("run", "x", *serve(shell("true"), stream_text("ok")), *([how] if how else []))
    assert done.stderr.count("NO SANDBOX: calls run with your rights") == 1
    assert "NO SANDBOX" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "piped", "prompt"),
    [
        (["a task"], None, "a task"),
        (["-"], "from stdin\n", "from stdin"),
        ([], "from a pipe", "from a pipe"),
        (["-f", "task.md"], None, "from a file"),
        (["sum up"], "a piped text", "sum up\n\n<context>\na piped text\n</context>"),
        (["sum up", "--context", "task.md"], "", "sum up\n\n<context>\nfrom a file\n</context>"),
        (["sum up", "--context", "-"], "late", "sum up\n\n<context>\nlate\n</context>"),
    ],
)
def test_the_task_comes_from_where_it_was_put(
    agent: Command, workspace: Path, arguments: list[str], piped: str | None, prompt: str
) -> None:
    (workspace / "task.md").write_text("from a file")
    more = {} if piped is None else {"input": piped}
    with ScriptedServer([stream_text("ok")]) as server:
        options = ["--base-url", server.base_url, "-m", "m", "--sandbox", "none"]
        done = agent("run", *arguments, *options, **more)
        assert done.returncode == 0, done.stderr
        assert server.received[0].json["messages"][-1]["content"] == prompt


def test_an_open_and_silent_stdin_is_not_waited_for(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    reading, writing = os.pipe()
    try:
        done = agent("run", "say hi", *serve(stream_text("hi")), stdin=reading, input=None)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == "hi\n"
    assert "open but silent" in done.stderr


USAGE = [
    [],
    ["two", "-f", "a.txt"],
    ["-f", "missing.txt"],
    ["x", "--context", "missing.txt"],
    ["x", "--sandbox", "docker9"],
    ["x", "--max-steps", "0"],
    ["x", "-o", "missing/answer.txt"],
    ["x", "--output-schema", "missing.json"],
    ["x", "--image", "missing.png"],
    ["x", "--no-such-option"],
    ["-", "--context", "-"],
]
CONFIGURATION = [
    ["x", "--policy", "defautl"],
    ["x", "--policy", "bad.toml"],
    ["x", "--workspace", "a.txt"],
    ["x", "--workspace", "missing"],
    ["x", "--output-schema", "a.txt"],
    ["x", "--image", "a.txt"],
    ["x", "--output-schema", "list.json"],
    ["x", "--tools", "pyhton"],
]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [*((2, case) for case in USAGE), *((3, case) for case in CONFIGURATION)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_wrong_command_line_gets_a_cause_a_remedy_and_its_code(
    agent: Command, serve: Serve, workspace: Path, code: int, arguments: list[str]
) -> None:
    (workspace / "bad.toml").write_text("[tools\n")
    (workspace / "list.json").write_text("[]")
    done = agent("run", *serve(stream_text("never")), *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert_cause_and_remedy(done.stderr)
    as_json = agent("run", "--json", *serve(stream_text("never")), *arguments)
    result = lines_of(as_json)[-1]
    assert result["error"]["cause"]
    assert result["error"]["remedy"]


def assert_cause_and_remedy(stderr: str) -> None:
    cause, remedy = stderr.strip().splitlines()[-2:]
    assert cause.startswith("agent: ")
    assert remedy.startswith("  → ")
    assert "Traceback" not in stderr


def test_an_unknown_setting_in_the_environment_names_the_nearest(
    agent: Command, serve: Serve
) -> None:
    done = agent("run", "x", *serve(stream_text("no")), env={"WARDIAN_MODLE": "tiny"})
    assert done.returncode == 3
    assert "WARDIAN_MODEL" in done.stderr


@pytest.mark.parametrize(
    ("code", "answers", "options"),
    [
        (0, [stream_text("done")], []),
        (1, [stream_text(" ")] * 3, []),
        (4, [refuse(401, "bad key")], []),
        (5, [shell("true")] * 3, ["--max-steps", "2"]),
        (5, [shell("true")] * 3, ["--max-tool-calls", "1"]),
        (5, [shell("true")] * 3, ["--max-tokens", "20"]),
        (5, [shell("true"), shell("sleep 60")], ["--timeout", "3"]),
        (6, [shell("touch x")], ["--policy", "ask.toml"]),
    ],
)
def test_each_end_of_a_run_has_its_exit_code(
    agent: Command,
    serve: Serve,
    workspace: Path,
    code: int,
    answers: Sequence[Answer],
    options: list[str],
) -> None:
    (workspace / "ask.toml").write_text(ASK_SHELL)
    done = agent("run", "x", *serve(*answers), *options)
    assert done.returncode == code, done.stderr
    assert bool(done.stdout) == (code == 0)
    assert "trajectory.jsonl" in done.stderr
    assert not (workspace / "x").exists()
    result = lines_of(agent("run", "x", "--json", *serve(*answers), *options))[-1]
    assert (result["error"] is None) == (code == 0)
    assert Path(result["path"]).is_file()


def test_a_call_nobody_can_allow_is_named_with_the_rule_that_asked(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    (workspace / "ask.toml").write_text(ASK_SHELL)
    done = agent("run", "x", *serve(shell("touch x")), "--policy", "ask.toml")
    assert "touch x" in done.stderr
    assert "ask shell(touch*)" in done.stderr
    assert f"change the rule at {workspace}/ask.toml:3" in done.stderr


def test_what_is_said_to_allow_the_call_does_allow_it(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    answers = [shell("touch made"), stream_text("ok")]
    denied = agent("run", "x", *serve(*answers), "--policy", "strict")
    assert denied.returncode == 6
    advice = re.search(r'extends = .*allow = \["\w+"\]', denied.stderr, re.DOTALL)
    assert advice, denied.stderr
    (workspace / "mine.toml").write_text(advice[0].replace("\n    ", "\n"))
    allowed = agent("run", "x", *serve(*answers), "--policy", "mine.toml")
    assert allowed.returncode == 0, allowed.stderr
    assert (workspace / "made").exists()


def test_an_unreachable_server_is_a_model_error(agent: Command) -> None:
    done = agent("run", "x", "--base-url", "http://127.0.0.1:9/v1", "-m", "m", "--sandbox", "none")
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr


def test_a_model_that_is_of_no_use_twice_gives_way_to_the_next_and_it_is_said_once(
    agent: Command, serve: Serve
) -> None:
    with ScriptedServer([shell("true"), stream_text("42")]) as second:
        done = agent(
            "run",
            "what is 6*7?",
            *serve(stream_text(""), stream_text("")),
            env={
                "WARDIAN_FALLBACK_MODELS": "ollama/second",
                "OLLAMA_HOST": second.base_url.removesuffix("/v1"),
            },
        )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert done.stderr.count("the next model goes on, after ") == 1
    assert ": 2 replies of no use, the last empty" in done.stderr


def test_a_home_that_cannot_be_written_is_a_storage_error(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    home = workspace / "a.txt" / "home"
    done = agent("run", "x", *serve(stream_text("no")), env={"WARDIAN_HOME": str(home)})
    assert done.returncode == 8, done.stderr
    assert_cause_and_remedy(done.stderr)


def test_a_disk_that_fills_up_ends_the_run_with_the_storage_code(
    agent: Command, serve: Serve
) -> None:
    limit_bytes = 2_000  # of any file written, which is what a full disk looks like to the log

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    # Python would cut its bytecode files at the limit too, and trip over them ever after.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    done = agent("run", "x", "--json", *serve(stream_text("no")), preexec_fn=fill, env=env)
    assert done.returncode == 8, done.stderr
    assert_cause_and_remedy(done.stderr)
    assert lines_of(done)[-1]["error"]["kind"] == "StorageError"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_run_with_its_code_and_keeps_it(
    environment: dict[str, str], serve: Serve, workspace: Path, number: int, code: int
) -> None:
    command = [sys.executable, "-P", "-m", "wardian", "run", "x", "--json"]
    command += serve(shell("sleep 600"))
    with subprocess.Popen(
        command,
        env=environment,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "call_started":
                process.send_signal(number)
                break
        last = json.loads(process.stdout.read().splitlines()[-1])
    assert process.returncode == code
    assert (last["event"], last["stop"], last["exit_code"]) == ("result", "cancelled", code)
    assert '"kind":"run_finished"' in Path(last["path"]).read_text()


def test_the_json_stream_is_ascii_and_holds_the_run(agent: Command, serve: Serve) -> None:
    done = agent("run", "x", "--json", *serve(shell("printf 'é\\033[2J'"), stream_text("da\u202e")))
    lines = lines_of(done)
    assert done.stdout.isascii()
    assert done.stdout.replace("\n", "").isprintable()
    assert done.stderr == "agent: NO SANDBOX: calls run with your rights\n"
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "run_started"
    assert {"model_asked", "call_delta", "model_replied", "call_decided", "call_started"} < {*kinds}
    finished = next(line for line in lines if line["event"] == "call_finished")
    assert finished["content"].startswith("é\x1b[2J")
    assert lines[-1]["answer"] == "da\u202e"
    assert lines[-1]["usage"]["prompt_tokens"] == 20


def test_a_schema_is_met_or_the_run_says_so(agent: Command, serve: Serve, workspace: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (workspace / "s.json").write_text(json.dumps(schema))
    options = ["--output-schema", "s.json"]
    good = agent("run", "x", *serve(stream_text("three"), stream_text('{"n": 3}')), *options)
    assert (good.returncode, json.loads(good.stdout)) == (0, {"n": 3})
    bad = agent("run", "x", *serve(*[stream_text("three")] * 4), *options)
    assert (bad.returncode, bad.stdout) == (1, "")


def test_an_error_inside_is_one_sentence_and_debug_shows_the_traceback(agent: Command) -> None:
    script = (
        "import sys\nfrom wardian.cli import dispatch\n"
        "def broken(argv):\n    raise RuntimeError('bang')\n"
        "dispatch.run_command = broken\n"
        "sys.exit(dispatch.dispatch(sys.argv[1:]))"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-c", script, *arguments],
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    plain, debug = run("doctor"), run("doctor", "--debug")
    assert plain.returncode == debug.returncode == 1
    assert_cause_and_remedy(plain.stderr)
    assert "--debug" in plain.stderr
    assert "Traceback" in debug.stderr
