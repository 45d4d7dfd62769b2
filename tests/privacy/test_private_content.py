"""What the policy keeps on this machine, and models that are not on it."""

import asyncio
import base64
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from wardian import Agent, SubAgent
from wardian.errors import ExitCode, PrivateContent
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.scripted import ScriptedModel
from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text
from wardian.reruns.forking import fork
from wardian.runs import RunStore
from wardian_policies import Policy
from wardian_policies.types import Ask
from wardian_tools import ToolCall


def elsewhere(server: ScriptedServer) -> ChatModel:
    url = server.base_url.replace("127.0.0.1", "0.0.0.0")
    return ChatModel("openai/m", endpoint=Endpoint(base_url=url), model_id="m")


def to_api(project: Path, verdict: str, more: str = "", port: int | None = None) -> Policy:
    file = project.parent / "policy.toml"
    flow = f'[flow]\nprivate_to_api = "{verdict}"\n{more}\n'
    hosts = f'[network]\nhosts = ["127.0.0.1:{port}"]\n' if port else ""
    file.write_text(f'extends = "default"\n{flow}{hosts}')
    return Policy.load(file)


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
    assert result.messages[4].content.count("COLOUR") == 1, "the search sees nothing private"


def test_code_does_not_see_private_files_for_a_model_elsewhere(private_project: Path) -> None:
    code = "import pathlib\nprint(pathlib.Path('b.pem').read_text())"
    calls = [
        ("shell", {"command": "cat a.txt .env *.pem | base64"}),
        ("shell", {"command": "cat a.txt .env *.pem"}),
        ("python", {"code": code}),
        ("write_file", {"path": ".env", "content": "COLOUR=mine"}),
    ]
    with ScriptedServer([stream_calls(calls), stream_text("done")]) as server:
        result = Agent(elsewhere(server), workspace=private_project, store=False).run_sync("Look")
        received = b"".join(request.body for request in server.received)
    encoded, plain, python, written = (message.content for message in result.messages[3:7])
    assert base64.b64encode(b"COLOUR=blue\n").decode() in encoded
    assert "COLOUR=blue" in plain
    assert "Error: " in python
    assert "keeps on this machine" in written
    assert b"very-private" not in received
    assert (private_project / ".env").read_text() == "COLOUR=very-private-indeed\n"


def test_no_secret_of_a_private_file_is_sent_where_code_finds_it_elsewhere(
    private_project: Path,
) -> None:
    (private_project / ".env").write_text("DB_PASSWORD=unguessable\nMODE=production\n")
    (private_project / "copy.txt").write_text("DB_PASSWORD=unguessable\nMODE=production\n")
    script = [stream_calls([("shell", {"command": "cat copy.txt"})]), stream_text("done")]
    with ScriptedServer(script) as server:
        result = Agent(elsewhere(server), workspace=private_project, store=False).run_sync("Look")
        received = b"".join(request.body for request in server.received)
    assert b"unguessable" not in received
    assert "DB_PASSWORD=[REDACTED:.env DB_PASSWORD]" in result.messages[3].content
    assert "MODE=production" in result.messages[3].content


def test_code_sees_private_files_where_the_policy_lets_them_go(private_project: Path) -> None:
    policy = to_api(private_project, "allow")
    script = [stream_calls([("shell", {"command": "cat .env"})]), stream_text("done")]
    with ScriptedServer(script) as server:
        agent = Agent(elsewhere(server), policy=policy, workspace=private_project, store=False)
        assert "very-private" in agent.run_sync("Look").messages[3].content


def test_code_sees_what_somebody_let_a_call_read_and_no_more(private_project: Path) -> None:
    look: list[tuple[str, dict[str, Any]]] = [("shell", {"command": "cat .env b.pem"})]

    async def yes(ask: Ask, call: ToolCall) -> bool:
        return True

    policy = to_api(private_project, "ask")
    script = [
        stream_calls(look),
        stream_calls([("read_file", {"path": "./.env"})]),
        stream_calls(look),
        stream_text("done"),
    ]
    with ScriptedServer(script) as server:
        agent = Agent(
            elsewhere(server), policy=policy, workspace=private_project, store=False, approve=yes
        )
        result = agent.run_sync("Look")
        received = b"".join(request.body for request in server.received)
    before, read, after = (result.messages[at].content for at in (3, 5, 7))
    assert "very-private" not in before
    assert "very-private-indeed" in read
    assert "very-private-indeed" in after
    assert b"very-private-too" not in received


def test_a_private_model_reads_what_code_of_the_other_could_not_see(private_project: Path) -> None:
    private = ScriptedModel([[("shell", {"command": "cat .env"})], "It is set."], name="private")
    script = [
        stream_calls([("shell", {"command": "cat .env"})]),
        stream_calls([("read_file", {"path": ".env"})]),
    ]
    with ScriptedServer(script) as server:
        agent = Agent(
            elsewhere(server), private_model=private, workspace=private_project, store=False
        )
        result = agent.run_sync("Is the colour set?")
        received = b"".join(request.body for request in server.received)
    assert b"very-private" not in received
    assert "very-private-indeed" in result.messages[5].content
    assert "very-private-indeed" in result.messages[7].content


@pytest.mark.parametrize("mode", ["mount", "copy"])
@pytest.mark.parametrize("remote", ["caller", "sub-agent"])
def test_nor_does_the_code_of_a_run_that_one_elsewhere_has_a_part_in(
    private_project: Path, remote: str, mode: str
) -> None:
    """Of a model on this machine too: what it finds goes to its caller, or to whom it calls."""
    look: list[tuple[str, dict[str, Any]]] = [("shell", {"command": "cat .env; ls"})]
    with ScriptedServer(
        [stream_calls([("helper", {"task": "look"})]), stream_text("done")]
        if remote == "caller"
        else [stream_text("nothing to do")]
    ) as server:
        away = elsewhere(server)
        if remote == "caller":
            here = ScriptedModel([look, "seen"])
            helper = SubAgent(name="helper", description="Looks.", model=here)
            agent = Agent(away, subagents=[helper], workspace=private_project, workspace_mode=mode)
        else:
            here = ScriptedModel([look, [("helper", {"task": "go"})], "done"])
            helper = SubAgent(name="helper", description="Looks.", model=away)
            agent = Agent(here, subagents=[helper], workspace=private_project, workspace_mode=mode)
        agent.store = None
        agent.run_sync("Look")
    said = here.requests[1].messages[-1].content
    assert "a.txt" in said
    assert "very-private" not in said


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


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"very-private-page")

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("is_here", [True, False])
def test_code_gets_nothing_from_private_hosts_for_a_model_elsewhere(
    private_project: Path, is_here: bool
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        port = site.server_address[1]
        policy = to_api(private_project, "deny", 'private_hosts = ["127.0.0.1"]', port)
        curl = f"curl -s --noproxy '' --proxy $http_proxy http://127.0.0.1:{port}/"
        calls = [("shell", {"command": curl})]
        with ScriptedServer([stream_calls(calls), stream_text("done")]) as server:
            model = ScriptedModel([calls, "done"]) if is_here else elsewhere(server)
            agent = Agent(model, policy=policy, workspace=private_project, store=False)
            said = agent.run_sync("Look").messages[3].content
        site.shutdown()
    if is_here:
        assert "very-private-page" in said
    else:
        assert "the policy keeps it from this run" in said


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


def test_a_fork_holds_what_its_run_had_read(private_project: Path, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    model = ScriptedModel([[("read_file", {"path": ".env"})], "done"])
    run = Agent(model, workspace=private_project, store=store).run_sync("Read")
    assert run.flow.local is not None
    with ScriptedServer([stream_text("thanks")]) as server:
        agent = Agent(elsewhere(server), workspace=private_project, store=store)

        async def go_on() -> None:
            for one in await fork(agent, run.run_id, 2):
                await one.rerun.perform()

        with pytest.raises(PrivateContent):
            asyncio.run(go_on())
        assert server.received == []
