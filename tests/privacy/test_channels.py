"""A byte sniffer on every channel of a run: what is sent, written, streamed, shown and raised."""

import asyncio
import base64
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from wardian import Agent, RunStore, tool
from wardian.errors import WardianError
from wardian.events import CallFinished, ModelReplied
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.keys import ApiKey
from wardian.models.scripted import ScriptedModel
from wardian.models.scripted_server import ScriptedServer, refuse, stream_calls, stream_text
from wardian.types import Task, TextDelta
from wardian_tools.types import Effect, Output

KEY = "sk-provider-key-0123456789"


CANARY = 'sk-canary"7/+=&é\\9Q~zZ'
"""Differs in every encoding from itself."""


def forms(value: str) -> dict[str, bytes]:
    content = value.encode()
    found = {
        "raw": content,
        "json": json.dumps(value)[1:-1].encode(),
        "json utf-8": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "json twice": json.dumps(json.dumps(value)[1:-1])[1:-1].encode(),
        "url": quote(value, safe="").encode(),
        "url plus": quote_plus(value).encode(),
        "hex": content.hex().encode(),
        "hex upper": content.hex().upper().encode(),
    }
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + content).rstrip(b"=")
        shared = (offset + len(content)) % 3 > 0
        found[f"base64 after {offset}"] = encoded[(0, 2, 3)[offset] : len(encoded) - shared]
    return found


def traces(data: bytes, value: str = CANARY) -> list[str]:
    """The encodings in which the value stands in the data."""
    return [name for name, form in forms(value).items() if form in data]


def traces_below(folder: Path, value: str = CANARY) -> dict[str, list[str]]:
    """File → encodings, for every file below the folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): found for path in files if (found := traces(path.read_bytes(), value))}


@tool(effects={Effect.READS})
def leak() -> Output:
    """Say the secret in every encoding."""
    said = b"\n".join(forms(CANARY).values()).decode()
    page = f"<svg><text>{CANARY}</text></svg>".encode()
    figure = {"path": "a.svg", "base64": base64.b64encode(page).decode()}
    return Output(content=said, data={"nested": [{CANARY: said}], "figures": [figure]})


@tool(effects={Effect.READS}, description=f"Ask the service, whose key is {CANARY}.")
def describe() -> str:
    """Told to the model as it is above."""
    return "nothing"


@tool(effects={Effect.READS})
def stumble() -> str:
    """Fail with the secret in the message."""
    raise RuntimeError(f"cannot log in with {CANARY} or {quote(CANARY, safe='')}")


SENT: list[str] = []


@tool(effects={Effect.READS})
def send(text: str) -> str:
    """Take what the model sends."""
    SENT.append(text)
    return f"sent {text}"


def elsewhere(url: str) -> str:
    """The same server under an address that does not count as this machine."""
    return url.replace("127.0.0.1", "0.0.0.0")


def chat(server: ScriptedServer) -> ChatModel:
    return ChatModel(
        "openai/m",
        endpoint=Endpoint(base_url=elsewhere(server.base_url)),
        model_id="m",
        api_key=ApiKey("TEST_KEY", lambda: KEY),
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_API_KEY", CANARY)
    SENT.clear()


def agent_of(model: Any, tmp_path: Path, policy: Path | str = "default") -> Agent[str]:
    store = RunStore(tmp_path / "runs")
    return Agent(
        model, tools=[leak, describe, stumble, send], policy=policy, store=store, workspace=tmp_path
    )


@pytest.mark.usefixtures("registered")
def test_no_channel_of_a_run_carries_a_registered_value(tmp_path: Path) -> None:
    script = [
        stream_calls([("leak", {}), ("stumble", {})]),
        stream_calls([("send", {"text": f"the key is {CANARY}, {CANARY.encode().hex()}"})]),
        stream_text(f"It was {CANARY} or {quote(CANARY, safe='')}, and {KEY}.", piece_chars=3),
    ]
    streamed: list[Any] = []
    with ScriptedServer(script) as server:
        model = chat(server)
        assert not model.is_local
        task = Task(prompt=f"Look, {CANARY}", context=json.dumps({"a": CANARY}))

        async def follow() -> None:
            async with agent_of(model, tmp_path) as agent:
                streamed.extend([event async for event in agent.stream(task)])

        asyncio.run(follow())
        received = b"\n".join(
            request.body
            + repr({k: v for k, v in request.headers.items() if k != "authorization"}).encode()
            for request in server.received
        )
    assert traces(received) == []
    assert traces_below(tmp_path) == {}
    assert traces(repr(streamed).encode()) == []
    assert traces("".join(d.text for d in streamed if isinstance(d, TextDelta)).encode()) == []
    assert len(SENT) == 1
    assert traces(SENT[0].encode()) == []
    assert KEY.encode() not in received
    assert all(KEY.encode() not in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    # and the harmless part of it all is there
    assert b"[REDACTED:CANARY_API_KEY]" in received
    assert b"cannot log in with" in received
    results = [event.result for event in streamed if isinstance(event, CallFinished)]
    figure = base64.b64decode(results[0].data["figures"][0]["base64"])
    assert figure.startswith(b"<svg><text>***")


@pytest.mark.usefixtures("registered")
def test_a_reply_that_was_changed_keeps_no_tokens_that_say_more(tmp_path: Path) -> None:
    model = ScriptedModel([f"It is {CANARY}."])
    result = agent_of(model, tmp_path).run_sync("What is it?")
    assert result.answer == "It is [REDACTED:CANARY_API_KEY]."
    stored = RunStore(tmp_path / "runs").load(result.run_id)
    replies = [event.reply for event in stored.events if isinstance(event, ModelReplied)]
    assert [reply.tokens for reply in replies] == [None]


@pytest.mark.usefixtures("registered")
def test_an_error_and_its_traceback_are_clean(tmp_path: Path) -> None:
    refused = refuse(400, f"bad key {CANARY} in request")
    with ScriptedServer(lambda _: refused) as server, pytest.raises(WardianError) as caught:
        agent_of(chat(server), tmp_path).run_sync("Go")
    text = "".join(traceback.format_exception(caught.value))
    assert traces(text.encode()) == []
    assert traces_below(tmp_path) == {}
    assert "bad key" in text


@pytest.mark.usefixtures("registered")
def test_a_file_is_not_overwritten_with_the_mark_of_a_secret(tmp_path: Path) -> None:
    written: list[str] = []

    @tool(effects={Effect.WRITES})
    def keep(text: str) -> str:
        """Write it down."""
        written.append(text)
        return "kept"

    model = ScriptedModel(
        [
            [("keep", {"text": "PASSWORD=[REDACTED:CANARY_API_KEY]"})],
            [("keep", {"text": "something else"})],
            "done",
        ]
    )
    agent = Agent(model, tools=[keep], workspace=tmp_path, store=False)
    result = agent.run_sync("Keep it")
    assert written == ["something else"]
    assert "stands for a secret" in result.messages[3].content


PERSONAL = '[redaction]\npersonal = true\n[tools]\ndefault = "allow"\n'
MAIL = "jane@example.org"


def test_a_model_elsewhere_sees_pseudonyms_and_tools_and_users_see_values(tmp_path: Path) -> None:
    SENT.clear()
    policy = tmp_path / "policy.toml"
    policy.write_text(PERSONAL)
    seen: list[str] = []

    def answer(received: Any) -> Any:
        messages = received.json["messages"]
        seen.append(messages[1]["content"])
        pseudonym = messages[1]["content"].split()[-1]
        if len(seen) == 1:
            return stream_calls([("send", {"text": f"to {pseudonym}"})])
        return stream_text(f"Wrote to {pseudonym}.", piece_chars=2)

    with ScriptedServer(answer) as server:
        result = agent_of(chat(server), tmp_path, policy).run_sync(f"Write to {MAIL}")
        received = b"".join(request.body for request in server.received)
    assert MAIL.encode() not in received
    assert seen[0].startswith("Write to [[EMAIL_1:")
    assert [f"to {MAIL}"] == SENT
    assert result.answer == f"Wrote to {MAIL}."
    folder = tmp_path / "runs" / result.run_id
    assert MAIL not in (folder / "trajectory.jsonl").read_text()
    assert (folder / "pseudonyms.json").stat().st_mode & 0o777 == 0o600


def test_a_forged_pseudonym_stops_the_call_and_not_the_run(tmp_path: Path) -> None:
    SENT.clear()
    policy = tmp_path / "policy.toml"
    policy.write_text(PERSONAL)
    script = [
        stream_calls([("send", {"text": "to [[EMAIL_1:0000000000]]"})]),
        stream_text("It did not work."),
    ]
    with ScriptedServer(script) as server:
        result = agent_of(chat(server), tmp_path, policy).run_sync(f"Write to {MAIL}")
    assert SENT == []
    assert result.ok
    assert "is not a pseudonym of this run" in result.messages[3].content


def test_a_secret_registered_after_a_run_is_not_shown_from_it(tmp_path: Path) -> None:
    home = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "WARDIAN_HOME": str(tmp_path),
    }
    model = ScriptedModel([f"It is {CANARY}."])
    store = RunStore(tmp_path / "runs")
    Agent(model, tools=[send], store=store, workspace=tmp_path).run_sync(f"Say {CANARY}")
    for known, expected in (({}, True), ({"LATER_TOKEN": CANARY}, False)):
        for command in (["show", "last"], ["list"]):
            shown = subprocess.run(
                [sys.executable, "-P", "-m", "wardian", "runs", *command],
                env=home | known,
                capture_output=True,
                timeout=300,
                check=True,
            )
            assert bool(traces(shown.stdout)) is expected


def test_the_command_shows_and_stores_no_registered_value(tmp_path: Path) -> None:
    """`agent run` and `agent runs show`, plain and as JSON: stdout, stderr, and every file."""
    home = tmp_path / "home"
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "notes.txt").write_text(f"key: {CANARY}\n")
    script = [
        stream_calls([("read_file", {"path": "notes.txt"})]),
        stream_text(f"It says {CANARY}.", piece_chars=5),
    ] * 2
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(home),
        "WARDIAN_HOME": str(home / "wardian"),
        "CANARY_API_KEY": CANARY,
        "OPENAI_API_KEY": KEY,
    }
    home.mkdir()
    with ScriptedServer(script) as server:
        url = elsewhere(server.base_url)
        run = ["run", "-m", "openai/m", "--base-url", url, f"What is {CANARY}?"]
        for arguments in (run, [*run, "--json"], ["runs", "show", "last"], ["runs", "list"]):
            done = subprocess.run(
                [sys.executable, "-P", "-m", "wardian", *arguments],
                cwd=tmp_path / "w",
                env=environment,
                capture_output=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert traces(done.stdout + done.stderr) == []
        sent = b"".join(request.body for request in server.received)
    assert traces(sent) == []
    assert KEY.encode() not in sent
    assert traces_below(home) == {}
