"""Servers as a run's tools: what was approved is what is offered and called."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wardian_tools import Registry, ToolCall, run_call
from wardian_tools.mcp.connection import NEEDS_A_TASK, Connection
from wardian_tools.mcp.definitions import Definition, Offer
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.pins import Pin
from wardian_tools.mcp.servers import McpServers
from wardian_tools.mcp.setting import Setting
from wardian_tools.types import Confidentiality, Effect, Integrity, ResultStatus, Tool, ToolResult

MakeEntry = Callable[..., Entry]
ADD = Definition(
    name="add",
    description="Add two numbers.",
    schema={
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    },
)
SAY = Definition(
    name="say",
    description="Say a text again.",
    schema={"type": "object", "properties": {"text": {"type": "string"}}},
)
OFFER = Offer(tools=(ADD, SAY))


def servers(entry: Entry, setting: Setting, offer: Offer = OFFER) -> McpServers:
    return McpServers({entry.name: entry}, {entry.name: Pin.of(entry, offer)}, setting)


def calling(
    entry: Entry, setting: Setting, *calls: tuple[str, dict[str, Any]], offer: Offer = OFFER
) -> list[ToolResult]:
    """The results of calls, as a run makes them."""

    async def one(registry: Registry, name: str, arguments: dict[str, Any]) -> ToolResult:
        call = registry.parse(ToolCall(id="1", name=name, arguments_text=json.dumps(arguments)))
        tool = registry.get(name)
        assert tool is not None
        return await run_call(tool, call, None)  # type: ignore[arg-type] # unused by these tools

    async def run() -> list[ToolResult]:
        found = servers(entry, setting, offer)
        try:
            return [await one(Registry(found.tools), *call) for call in calls]
        finally:
            await found.close()

    return asyncio.run(run())


def by_name(found: McpServers) -> dict[str, Tool]:
    return {tool.name: tool for tool in found.tools}


def test_tools_are_known_without_a_server_being_started(workspace: Any) -> None:
    entry = Entry(name="gone", command="no-such-command")
    tools = by_name(servers(entry, Setting(environ={}, workspace=workspace)))
    assert set(tools) == {"gone__add", "gone__say"}
    assert tools["gone__add"].parameters == ADD.schema


def test_a_server_nobody_approved_offers_nothing(workspace: Any) -> None:
    entry, setting = Entry(name="a", command="x"), Setting(environ={}, workspace=workspace)
    found = McpServers({"a": entry}, {}, setting)
    assert found.tools == ()
    assert found.notices == ("MCP server 'a' is not approved: `agent mcp approve a`.",)
    swapped = replace(entry, args=("--evil",))
    found = McpServers({"a": swapped}, {"a": Pin.of(entry, OFFER)}, setting)
    assert found.tools == ()
    assert "changed since it was approved" in found.notices[0]


def test_a_server_without_a_sandbox_is_said_in_every_run(workspace: Any) -> None:
    entry = Entry(name="a", command="x", sandbox="none")
    found = servers(entry, Setting(environ={}, workspace=workspace))
    assert found.notices == ("MCP server 'a' runs without a sandbox, with your own rights.",)


@pytest.mark.parametrize(
    ("more", "effects"),
    [
        ({}, {Effect.EXECUTES}),
        ({"hosts": ("example.org",)}, {Effect.EXECUTES, Effect.EGRESS}),
        ({"sandbox": "none"}, {Effect.EXECUTES, Effect.EGRESS}),
        ({"workspace": "read"}, {Effect.EXECUTES, Effect.READS}),
        ({"workspace": "write"}, {Effect.EXECUTES, Effect.READS, Effect.WRITES}),
        ({"read_only": ("add",)}, set()),
        ({"read_only": ("add",), "hosts": ("example.org",)}, {Effect.EGRESS}),
    ],
)
def test_what_a_tool_may_do_is_what_its_box_lets_it(
    workspace: Any, more: dict[str, Any], effects: set[Effect]
) -> None:
    entry = Entry(name="a", command="x", **more)
    tools = by_name(servers(entry, Setting(environ={}, workspace=workspace)))
    assert tools["a__add"].effects == effects
    assert tools["a__add"].read_only == (effects == set())


def test_a_call_goes_to_the_server_and_its_result_is_untrusted(
    raw: MakeEntry, setting: Setting
) -> None:
    results = calling(
        raw(),
        setting,
        ("raw__add", {"a": 20, "b": 22}),
        ("raw__say", {"text": "hostile"}),
        ("raw__say", {"text": "long"}),
        ("raw__add", {"a": "twenty"}),
    )
    assert [result.status for result in results] == ["ok", "ok", "ok", "malformed"]
    assert results[0].content == "42"
    assert all(result.integrity is Integrity.UNTRUSTED for result in results)
    assert all(result.confidentiality is Confidentiality.PRIVATE for result in results)
    assert len(results[2].content) <= 24_000


def test_results_of_a_server_that_knows_nothing_private_may_be_public(
    raw: MakeEntry, setting: Setting
) -> None:
    (result,) = calling(raw(results="public"), setting, ("raw__add", {"a": 1, "b": 1}))
    assert result.confidentiality is Confidentiality.PUBLIC


@pytest.mark.parametrize(
    ("mode", "said"), [("altered", "was changed by"), ("renamed", "was renamed to 'sum' by")]
)
def test_a_tool_that_is_not_as_approved_is_not_called(
    raw: MakeEntry, setting: Setting, mode: str, said: str
) -> None:
    changed, same = calling(
        raw(mode), setting, ("raw__add", {"a": 1, "b": 1}), ("raw__say", {"text": "hello"})
    )
    assert changed.status is ResultStatus.DENIED
    assert said in changed.content
    assert "agent mcp approve raw" in changed.content
    assert same.content == "hello"


def test_a_tool_that_changes_while_the_server_runs_is_not_called_again(
    raw: MakeEntry, setting: Setting
) -> None:
    before, _, after = calling(
        raw(),
        setting,
        ("raw__add", {"a": 1, "b": 1}),
        ("raw__say", {"text": "changed"}),
        ("raw__add", {"a": 1, "b": 1}),
    )
    assert before.content == "2"
    assert after.status is ResultStatus.DENIED


def test_a_crash_is_a_result_for_the_model(raw: MakeEntry, setting: Setting) -> None:
    crashed, after = calling(
        raw(), setting, ("raw__say", {"text": "crash"}), ("raw__say", {"text": "hello"})
    )
    assert crashed.status is ResultStatus.ERROR
    assert "about to crash" in crashed.content
    assert after.content == "hello"


def test_a_tool_that_runs_only_as_a_task_is_left_out_and_said(
    raw: MakeEntry, setting: Setting
) -> None:
    async def offered() -> Offer:
        connection = Connection(raw("task"), setting)
        try:
            return await connection.offer()
        finally:
            await connection.close()

    offer = asyncio.run(offered())
    assert [tool.name for tool in offer.tools] == ["add"]
    assert offer.left_out == {"say": NEEDS_A_TASK}


def test_descriptions_reach_the_model_without_hidden_signs(
    raw: MakeEntry, setting: Setting
) -> None:
    async def offered(connection: Connection) -> Offer:
        try:
            return await connection.offer()
        finally:
            await connection.close()

    entry = raw("hostile")
    offer = asyncio.run(offered(Connection(entry, setting)))
    tools = by_name(servers(entry, setting, offer))
    assert {"raw__add", "raw__sa_y__x"} <= set(tools)
    assert "\x1b" not in tools["raw__add"].description
    assert "\\u202e" in tools["raw__add"].description
    assert "\x1b" in offer.tools[0].description  # what is approved is what was sent


def test_the_sdks_own_server_is_served(sdk: MakeEntry, setting: Setting) -> None:
    entry = sdk()

    async def work() -> tuple[Offer, list[Any]]:
        connection = Connection(entry, setting)
        try:
            offer = await connection.offer()
            arguments = {"point": {"x": 1, "y": 2}, "by": 5}
            moved = await connection.call("move", arguments)
            failed = await connection.call("fail", {})
            read = await connection.read("note://today")
            asked = await connection.prompt("review", {"code": "x = 1"})
            return offer, [moved, failed, read, asked, await connection.resources()]
        finally:
            await connection.close()

    offer, (moved, failed, read, asked, resources) = asyncio.run(work())
    assert [tool.name for tool in offer.tools] == ["fail", "move"]
    assert (offer.resources, offer.prompts) == (True, True)
    assert moved.structured_content == {"x": 6, "y": 7}
    assert failed.is_error
    assert read.contents[0].text == "water the plants"
    assert "Please review: x = 1" in asked.messages[0].content.text
    assert [str(one.uri) for one in resources] == ["note://today"]


def test_resources_are_tools_that_only_read(raw: MakeEntry, setting: Setting) -> None:
    offer = Offer(tools=(), resources=True)
    assert all(tool.read_only for tool in servers(raw(), setting, offer).tools)
    listed, read, missing = calling(
        raw(),
        setting,
        ("raw__list_resources", {}),
        ("raw__read_resource", {"uri": "note://today"}),
        ("raw__read_resource", {"uri": "note://never"}),
        offer=offer,
    )
    assert listed.content == "note://today: To do"
    assert read.content == "water the plants"
    assert missing.status is ResultStatus.ERROR
