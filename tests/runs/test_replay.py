"""A replay does the same again, and names the first event in which it does not."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from tests.runs.conftest import House

from wardian import Budgets, Policy
from wardian.approval import Answer as Said
from wardian.models.replies import Answer
from wardian.reruns import Replay, replay
from wardian.types import Finish, Message, Reply, Role
from wardian_policies.types import Ask
from wardian_tools import ToolCall

SCRIPT: list[Answer] = [
    [("write_file", {"path": "a.txt", "content": "one"}), ("read_file", "{broken")],
    Reply(message=Message(role=Role.ASSISTANT, content="Well,"), finish=Finish.LENGTH),
    [("shell", {"command": "cat a.txt; echo two >> a.txt"}), ("nosuchtool", {})],
    [("shell", {"command": "exit 3"})],
    "Done.",
]


def replayed(house: House, *, live_tools: bool = False, **options: Any) -> Replay:
    async def perform() -> Replay:
        async with house.agent([], **options) as agent:
            return await replay(agent, "last", live_tools=live_tools)

    return asyncio.run(perform())


def change(house: House, kind: str, edit: Callable[[dict[str, Any]], None]) -> int:
    """Change the last record of that kind as another version might have written it."""
    path = house.store.path("last")
    lines = path.read_bytes().splitlines()
    at = max(i for i, raw in enumerate(lines) if json.loads(raw)["kind"] == kind)
    record = json.loads(lines[at])
    edit(record["data"])
    data = json.dumps(record["data"], separators=(",", ":")).encode()
    head, _, _ = lines[at].partition(b',"crc"')
    lines[at] = head + b',"crc":"%08x","data":%b}' % (crc32(data), data)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return at


@pytest.mark.parametrize("live_tools", [False, True])
def test_an_unchanged_run_is_the_same(house: House, live_tools: bool) -> None:
    house.run(SCRIPT)
    (house.workspace / "a.txt").write_text("changed since")
    before = len(house.store.ids())
    found = replayed(house, live_tools=live_tools)
    assert found.difference is None
    assert found.compared == 16
    assert (house.workspace / "a.txt").read_text() == "changed since"
    assert len(house.store.ids()) == before


def test_another_decision_is_the_first_difference(house: House) -> None:
    house.run(SCRIPT)

    def deny(data: dict[str, Any]) -> None:
        data["decision"]["rule"]["text"] = "allow everything"

    at = change(house, "call_decided", deny)
    found = replayed(house).difference
    assert found is not None
    assert (found.seq, found.step, found.kind, found.what) == (at, 4, "call_decided", "rule")
    assert found.recorded == "allow everything"


def test_a_result_that_comes_out_otherwise_is_found_by_running_it(house: House) -> None:
    house.run(SCRIPT)
    at = change(house, "call_finished", lambda data: data["result"].update(content="exit code 0"))
    assert replayed(house).difference is None
    found = replayed(house, live_tools=True).difference
    assert found is not None
    assert (found.seq, found.what, found.recorded) == (at, "result.content", "exit code 0")


def test_another_prompt_and_another_set_of_tools_are_differences(house: House) -> None:
    house.run(SCRIPT)
    found = replayed(house, instructions="Be brief.").difference
    assert found is not None
    assert (found.seq, found.what) == (1, "system_prompt")


def test_a_run_that_was_killed_is_compared_as_far_as_it_went(house: House) -> None:
    run = house.run(SCRIPT)
    house.cut_before(run.run_id, "model_replied", 3)
    found = replayed(house)
    assert found.difference is None
    assert found.compared > 8


def test_a_resumed_run_is_compared_across_the_break(house: House) -> None:
    run = house.run(SCRIPT, budgets=Budgets(steps=3))
    house.resume(house.agent(SCRIPT, budgets=Budgets(steps=9)), run.run_id)
    found = replayed(house)
    assert (found.difference, found.compared) == (None, 16)


@pytest.mark.parametrize("live_tools", [False, True])
def test_what_a_person_answered_is_answered_again(house: House, live_tools: bool) -> None:
    said: list[bool | Said] = [
        Said.session(),
        Said.edit(path="b.txt", content="mine"),
        True,
        Said.no("Not that one."),
    ]
    script: list[Answer] = [
        [("shell", {"command": "echo one > a.txt"})],
        [("shell", {"command": "echo two >> a.txt"})],
        [("write_file", {"path": "a.txt", "content": "model's"})],
        [("write_file", {"path": "c.txt", "content": "c"})],
        "Done.",
    ]

    async def approve(ask: Ask, call: ToolCall) -> bool | Said:
        del ask, call
        return said.pop(0)

    path = house.workspace.parent / "asks.toml"
    path.write_text('extends = "default"\n[tools]\nask = ["shell", "write_file"]\n')
    policy = Policy.load(path)
    house.run(script, policy=policy, approve=approve)
    assert said == []
    found = replayed(house, live_tools=live_tools, policy=policy)
    assert (found.difference, found.compared) == (None, 16)
