"""`agent run` with several attempts, or with criticism."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wardian.models.scripted_server import Answer, ScriptedServer, refuse, stream_text

Command = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., list[str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(*answers)`: the options that make `agent run` ask a server with these answers."""
    servers: list[ScriptedServer] = []

    def start(*answers: Answer) -> list[str]:
        servers.append(ScriptedServer(answers).__enter__())
        return ["--base-url", servers[-1].base_url, "-m", "scripted", "--tools", "read_file"]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def judged(met: float) -> Answer:
    marks = [{"name": "kind", "met": met, "why": "It is rude."}]
    return stream_text(json.dumps({"criteria": marks}))


def test_most_answers_win_and_each_attempt_is_shown(agent: Command, serve: Serve) -> None:
    answers = [stream_text(text) for text in ("Paris", "Lyon", "Paris.")]
    done = agent("run", "capital?", "--samples", "3", *serve(*answers))
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("Paris\n", "Paris.\n")
    assert re.search(r"was chosen, with 2 of [23] answers\. Together: [23] steps, ", done.stderr)
    assert len(re.findall(r"^agent: attempt \d: ", done.stderr, re.MULTILINE)) == 3


def test_attempts_without_a_sandbox_are_said_to_be_so_once(agent: Command, serve: Serve) -> None:
    options = ["--samples", "2", "-q", "--sandbox", "none"]
    done = agent("run", "capital?", *options, *serve(*[stream_text("Paris")] * 2))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "agent: NO SANDBOX: calls run with your rights\n"


def test_a_critic_s_words_make_it_try_again(agent: Command, serve: Serve, workspace: Path) -> None:
    (workspace / "rubric.md").write_text("- kind: it is polite\n")
    answers = [stream_text("Go away."), judged(0), stream_text("Hello!"), judged(1)]
    options = ["--refine", "2", "--rubric", "rubric.md", *serve(*answers)]
    done = agent("run", "greet me", *options)
    assert (done.returncode, done.stdout) == (0, "Hello!\n"), done.stderr
    assert "attempt 1 (0.00): Go away." in done.stderr
    assert "The critic found nothing wanting." in done.stderr


def test_what_was_chosen_among_several_is_criticised_in_turn(
    agent: Command, serve: Serve, workspace: Path
) -> None:
    (workspace / "rubric.md").write_text("- kind: it is polite\n")
    answers = [stream_text("Go away.")] * 2
    answers += [judged(0), stream_text("Hello!"), judged(1)]
    options = ["--samples", "2", "--refine", "1", "--rubric", "rubric.md", *serve(*answers)]
    done = agent("run", "greet me", *options)
    assert (done.returncode, done.stdout) == (0, "Hello!\n"), done.stderr
    assert "attempt 3 (1.00): Hello!" in done.stderr
    assert "was chosen, with 2 of 2 answers. All rounds were made." in done.stderr


def test_a_program_gets_the_chosen_attempt_as_the_result(agent: Command, serve: Serve) -> None:
    answers = [stream_text("42")] * 2
    done = agent("run", "?", "--samples", "2", "--json", *serve(*answers))
    (line,) = [json.loads(text) for text in done.stdout.splitlines()]
    assert (line["event"], line["answer"], line["exit_code"]) == ("result", "42", 0)


def test_when_every_attempt_breaks_it_is_said_once(agent: Command, serve: Serve) -> None:
    done = agent("run", "?", "--samples", "2", *serve(refuse(401), refuse(401)))
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("Every attempt broke") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--refine", "1", "--rubric", "absent.md"], "absent.md"),
        (["--samples", "0"], "--samples"),
        (["--samples", "2", "--select", "luck"], "--select"),
        (["--select", "judge"], "there is to be one"),
        (["--rubric", "pyproject.toml"], "there is to be one"),
        (["--critic", "tiny"], "there is to be one"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    agent: Command, options: list[str], said: str
) -> None:
    done = agent("run", "?", "-m", "tiny", *options)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


NUMBER = '{"kind": "number", "expected": 42}'


@pytest.mark.parametrize(
    ("select", "form"), [("verifier", "file.json"), ("reward", "file.toml"), ("reward", "json")]
)
def test_a_check_that_the_user_gives_chooses(
    agent: Command, serve: Serve, workspace: Path, select: str, form: str
) -> None:
    (workspace / "file.json").write_text(NUMBER)
    (workspace / "file.toml").write_text('[verifier]\nkind = "number"\nexpected = 42\n')
    answers = [stream_text(text) for text in ("It is 41.", "It is 42.", "It is 41.")]
    by = ["--select", select, "--verifier", NUMBER if form == "json" else form]
    done = agent("run", "?", "--samples", "3", *by, *serve(*answers))
    assert (done.returncode, done.stdout) == (0, "It is 42.\n"), done.stderr
    assert "(1.00): It is 42." in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--samples", "2", "--select", "verifier"], 2, "There is no verifier to choose by."),
        (["--verifier", NUMBER], 2, "The verifier would not be asked"),
        (["--samples", "2", "--verifier", NUMBER], 2, "The verifier would not be asked"),
        (
            ["--samples", "2", "--select", "verifier", "--verifier", '{"kind": "nmber"}'],
            3,
            "Did you mean 'number'",
        ),
        (["--samples", "2", "--select", "reward", "--verifier", "{"], 3, "cannot be read"),
    ],
    ids=["none", "one attempt", "vote", "unknown", "no json"],
)
def test_a_check_that_could_not_choose_is_refused(
    agent: Command, serve: Serve, options: list[str], code: int, said: str
) -> None:
    done = agent("run", "?", *options, *serve(stream_text("42")))
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
