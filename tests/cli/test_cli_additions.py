"""What a person's folder and a trusted project add to `agent run`, as the model gets it."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from wardian.cli.additions import strange_tools
from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text
from wardian.subagents import SubAgent

Command = Callable[..., CompletedProcess[str]]
Ask = Callable[..., tuple[CompletedProcess[str], list[dict[str, Any]]]]
CRITIC = "---\ndescription: Judges a text.\ntools: read_file\nmax_steps: 3\n---\nBe strict.\n"


@pytest.fixture
def ask(agent: Command) -> Ask:
    """`ask(answers, *options)`: the run, and the requests that the server got."""

    def run(answers: list[Answer], *options: str) -> tuple[Any, list[dict[str, Any]]]:
        with ScriptedServer(answers) as server:
            done = agent("run", "Do it.", "-m", "openai/x", "--base-url", server.base_url, *options)
            return done, [json.loads(one.body) for one in server.received]

    return run


def names(request: dict[str, Any]) -> set[str]:
    return {tool["function"]["name"] for tool in request["tools"]}


@pytest.fixture
def home(environment: dict[str, str]) -> Path:
    home = Path(environment["WARDIAN_HOME"])
    (home / "agents").mkdir(parents=True)
    (home / "agents" / "critic.md").write_text(CRITIC)
    (home / "skills" / "tidy").mkdir(parents=True)
    (home / "skills" / "tidy" / "SKILL.md").write_text(
        "---\nname: tidy\ndescription: Tidies.\n---\nSweep.\n"
    )
    return home


@pytest.mark.usefixtures("home")
def test_sub_agents_skills_and_a_plan_are_offered_and_shown_as_they_are_used(ask: Ask) -> None:
    steps = {"steps": [{"text": "Judge it", "state": "doing"}]}
    answers = [
        stream_calls([("todo", steps)]),
        stream_calls([("skill", {"name": "tidy"})]),
        stream_calls([("critic", {"task": "Judge a.txt."})]),
        stream_text("It is poor."),
        stream_text("Done."),
    ]
    done, requests = ask(answers)
    assert (done.returncode, done.stdout) == (0, "Done.\n"), done.stderr
    assert {"todo", "skill", "critic"} <= names(requests[0])
    assert "ask_user" in names(requests[0])
    assert "- tidy: Tidies." in requests[0]["messages"][0]["content"]
    assert names(requests[3]) == {"read_file"}
    assert "Be strict." in requests[3]["messages"][0]["content"]
    assert "[>] Judge it" in done.stderr
    assert "sub-agent critic: run 0" in done.stderr
    assert "ok" in done.stderr
    assert requests[4]["messages"][-1]["content"] == "It is poor."


@pytest.mark.usefixtures("home")
def test_sub_agents_and_skills_are_listed_and_explained_as_tools(agent: Command) -> None:
    listed = {one["name"]: one for one in json.loads(agent("tools", "list", "--json").stdout)}
    assert listed["critic"]["effects"] == ["reads"]
    assert listed["skill"]["read_only"]
    explained = agent("policy", "explain", "critic(Judge a.txt.)", "--policy", "strict")
    assert explained.stdout.startswith("allow: allow @read-only"), explained.stderr


def test_a_tool_that_a_sub_agents_file_names_and_nobody_has_is_said() -> None:
    named = ["raed_file", "tracker__search", "shell", "slugify"]
    critic = SubAgent(name="critic", description="Judges.", tools=named, source="critic.md")
    (said,) = strange_tools([critic], {"slugify"})
    assert said == (
        "The agent in critic.md names the tool 'raed_file', which is not here."
        " Did you mean 'read_file'?"
    )


@pytest.mark.usefixtures("home")
def test_tools_that_are_named_are_all_there_is(ask: Ask) -> None:
    done, requests = ask([stream_text("Done.")], "--tools", "critic,read_file")
    assert done.returncode == 0, done.stderr
    assert names(requests[0]) == {"critic", "read_file"}
    assert "tidy" not in requests[0]["messages"][0]["content"]


def test_a_folder_leads_the_model_only_once_it_is_trusted(
    ask: Ask, agent: Command, workspace: Path
) -> None:
    (workspace / "AGENTS.md").write_text("Answer in French.\n")
    done, requests = ask([stream_text("Done.")])
    assert "French" not in requests[0]["messages"][0]["content"]
    assert "AGENTS.md" in done.stderr
    assert agent("trust", "--yes").returncode == 0
    done, requests = ask([stream_text("Fini.")])
    assert "Answer in French." in requests[0]["messages"][0]["content"]
    assert "AGENTS.md" not in done.stderr


def test_a_question_nobody_can_answer_does_not_stop_the_run(ask: Ask) -> None:
    answers = [stream_calls([("ask_user", {"question": "Which?"})]), stream_text("Red.")]
    done, requests = ask(answers)
    assert (done.returncode, done.stdout) == (0, "Red.\n")
    assert "Nobody can be asked" in requests[1]["messages"][-1]["content"]


def test_a_question_is_answered_at_the_terminal(screen: Callable[..., Any]) -> None:
    question = {"question": "Which \x1b[2Jcolour?", "choices": ["red", "blue"]}
    answers = [stream_calls([("ask_user", question)]), stream_text("Noted.")]
    with ScriptedServer(answers) as server:
        shown = screen("run", "Ask.", "-m", "openai/x", "--base-url", server.base_url)
        shown.wait_for("only Enter for none")
        shown.type("2\n")
        assert shown.exit_code() == 0
        told = json.loads(server.received[1].body)["messages"][-1]["content"]
    assert told == "blue"
    before, question_, after = shown.text.partition("? Which \\x1b[2Jcolour?")
    assert question_
    assert "ask_user" in before  # the call, and nothing moves while a person types
    assert "ask_user runs" not in after


def test_an_answer_of_a_schema_is_printed_as_the_json_it_is(ask: Ask, workspace: Path) -> None:
    (workspace / "schema.json").write_text('{"type": "object", "required": ["n"]}')
    fenced = stream_text('```json\n{"n": 3}\n```')
    options = ("--output-schema", "schema.json", "-o", "out.json")
    done, _ = ask([stream_text('{"m": 1}'), fenced], *options)
    assert (done.returncode, done.stdout) == (0, '{"n": 3}\n')
    assert json.loads((workspace / "out.json").read_text()) == {"n": 3}
    done, _ = ask([fenced], *options, "--json")
    assert json.loads(done.stdout.splitlines()[-1])["value"] == {"n": 3}


def test_an_answer_that_never_fits_its_schema_ends_the_run_after_a_few_attempts(
    ask: Ask, workspace: Path
) -> None:
    (workspace / "schema.json").write_text('{"type": "object"}')
    done, requests = ask([stream_text("no")] * 9, "--output-schema", "schema.json")
    assert (done.returncode, done.stdout, len(requests)) == (1, "", 3)


def test_a_picture_goes_to_a_model_that_sees_and_is_refused_by_one_that_does_not(
    ask: Ask, agent: Command, workspace: Path
) -> None:
    (workspace / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    done, requests = ask([stream_text("A dot.")], "--image", "dot.png")
    assert done.returncode == 0, done.stderr
    assert requests[0]["messages"][-1]["content"][1]["type"] == "image_url"
    refused = agent("run", "What is it?", "-m", "tiny", "--image", "dot.png")
    assert refused.returncode == 4
    assert "tiny cannot see images" in refused.stderr
    wrong = agent("run", "What is it?", "-m", "tiny", "--image", "a.txt")
    assert wrong.returncode == 3
