"""What the policy keeps on this machine, and models that are not on it."""

import asyncio
from pathlib import Path

import pytest

from wardian import Agent
from wardian.errors import ExitCode, PrivateContent
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.scripted import ScriptedModel
from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text


def elsewhere(server: ScriptedServer) -> ChatModel:
    url = server.base_url.replace("127.0.0.1", "0.0.0.0")
    return ChatModel("openai/m", endpoint=Endpoint(base_url=url), model_id="m")


@pytest.fixture
def private_project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".env").write_text("COLOUR=very-private-indeed\n")
    (folder / "a.txt").write_text("COLOUR=blue\n")
    (folder / "b.pem").write_text("COLOUR=very-private-too\n")
    return folder


def test_private_files_are_not_read_for_a_model_elsewhere(private_project: Path) -> None:
    script = [
        stream_calls(
            [
                ("read_file", {"path": ".env"}),
                ("search_files", {"pattern": "COLOUR"}),
                ("read_file", {"path": "a.txt"}),
            ]
        ),
        stream_text("done"),
    ]
    with ScriptedServer(script) as server:
        agent = Agent(elsewhere(server), workspace=private_project, store=False)
        result = agent.run_sync("Read")
        received = b"".join(request.body for request in server.received)
    assert b"very-private" not in received
    assert b"COLOUR=blue" in received, "what is not private is read"
    assert "keeps on this machine" in result.messages[3].content
    assert "Withheld" in result.messages[4].content


def test_code_shows_no_secret_of_a_private_file_to_a_model_elsewhere(private_project: Path) -> None:
    (private_project / ".env").write_text("DB_PASSWORD=unguessable\nMODE=production\n")
    script = [stream_calls([("shell", {"command": "cat .env; base64 .env"})]), stream_text("done")]
    with ScriptedServer(script) as server:
        result = Agent(elsewhere(server), workspace=private_project, store=False).run_sync("Look")
        received = b"".join(request.body for request in server.received)
    assert b"unguessable" not in received
    assert "DB_PASSWORD=[REDACTED:.env DB_PASSWORD]" in result.messages[3].content
    assert "MODE=production" in result.messages[3].content


def test_a_private_model_takes_over_what_is_private(private_project: Path) -> None:
    private = ScriptedModel(["It is set."], name="private")
    with ScriptedServer([stream_calls([("read_file", {"path": ".env"})])]) as server:
        agent = Agent(
            elsewhere(server), private_model=private, workspace=private_project, store=False
        )
        result = agent.run_sync("Is the colour set?")
        received = b"".join(request.body for request in server.received)
    assert result.answer == "It is set."
    assert b"very-private" not in received
    assert "very-private" in private.requests[0].messages[-1].content


def test_a_model_on_this_machine_reads_private_files(private_project: Path) -> None:
    model = ScriptedModel([[("read_file", {"path": ".env"})], "done"])
    result = Agent(model, workspace=private_project, store=False).run_sync("Read")
    assert "very-private" in result.messages[3].content
    assert result.flow.local is not None


def test_private_content_of_an_earlier_run_never_goes_elsewhere(private_project: Path) -> None:
    model = ScriptedModel([[("read_file", {"path": ".env"})], "done"])
    first = Agent(model, workspace=private_project, store=False).run_sync("Read")
    with ScriptedServer([stream_text("thanks")]) as server:
        agent = Agent(elsewhere(server), workspace=private_project, store=False)
        with pytest.raises(PrivateContent) as caught:
            asyncio.run(agent.run("Go on", earlier=first.messages))
        assert server.received == []
    assert caught.value.exit_code is ExitCode.APPROVAL
