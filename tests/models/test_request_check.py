"""A run's events make every request that was sent, byte for byte."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, RunStore
from wardian.events import ModelReplied
from wardian.models.catalogue import resolve_model
from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text
from wardian.reruns.verifying import Verified, Verifier
from wardian.runs.encode import dumps, line


def verified(store: RunStore) -> Verified:
    return asyncio.run(Verifier(store).verify(store.find("last")))


def record(tmp_path: Path, call_style: str = "auto") -> RunStore:
    """A run of two requests, with what is hard to write the same way twice."""
    store = RunStore(tmp_path / "runs")
    call = stream_calls([("write_file", {"path": "ä \u2028", "content": "1e5\n\ud800 é"})])
    with ScriptedServer([call, stream_text("Done. ✓")]) as server:
        model = resolve_model("m", base_url=server.base_url, call_style=call_style)
        agent = Agent(model, workspace=tmp_path / "w", store=store, sandbox="none")
        (tmp_path / "w").mkdir()
        assert agent.run_sync("Write — 日本 \ud800.").steps == 2
        sent = len(server.received)
    replies = [e for e in store.load("last").events if isinstance(e, ModelReplied)]
    assert len(replies) == sent == 2
    return store


@pytest.mark.parametrize("call_style", ["auto", "native", "text", "code"])
def test_each_request_is_made_of_the_events_again(tmp_path: Path, call_style: str) -> None:
    found = verified(record(tmp_path, call_style))
    assert found.is_sound, found
    assert (found.requests, found.replies, found.unchecked) == (2, 2, {})


def having(kind: str, change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def altered(raw: bytes) -> bytes:
        one = json.loads(raw)
        if one["kind"] == kind:
            change(one["data"])
        return line(one["seq"], one["wall"], one["mono"], one["kind"], dumps(one["data"]))

    return altered


def longer(data: dict[str, Any]) -> None:
    data["result"]["content"] += "."


def renamed(data: dict[str, Any]) -> None:
    data["tools"][0]["description"] += "."


@pytest.mark.parametrize(
    ("altered", "steps"),
    [(having("call_finished", longer), [2]), (having("run_started", renamed), [1, 2])],
    ids=["a result", "a tool"],
)
def test_an_event_that_was_changed_is_noticed_from_there_on(
    tmp_path: Path, altered: Callable[[bytes], bytes], steps: list[int]
) -> None:
    store = record(tmp_path)
    path = store.path("last")
    path.write_bytes(b"".join(map(altered, path.read_bytes().splitlines())))
    assert [drift.step for drift in verified(store).drift] == steps


def test_what_the_server_said_of_its_answer_is_kept(tmp_path: Path) -> None:
    run = record(tmp_path).load("last")
    exchanges = [e.reply.exchange for e in run.events if isinstance(e, ModelReplied)]
    assert all(one and one.options["model"] == "m" and one.answered["id"] for one in exchanges)
