"""The protocol's own reference server, of npm, in a box. CI installs it into build/mcp."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from wardian_tools.mcp.connection import NEEDS_A_TASK, Connection
from wardian_tools.mcp.definitions import Offer
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.pins import Pin
from wardian_tools.mcp.results import output_of, prompt_text, resource_output
from wardian_tools.mcp.servers import McpServers
from wardian_tools.mcp.setting import Setting
from wardian_tools.types import Confidentiality

MODULES = Path(__file__).parents[2] / "build" / "mcp" / "node_modules"
SERVER = MODULES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
NODE = shutil.which("node", path="/usr/local/bin:/usr/bin:/bin")


@pytest.mark.skipif(NODE is None, reason="no node in /usr: apt-get install nodejs npm")
@pytest.mark.skipif(
    not SERVER.exists(),
    reason="not installed: npm install --prefix build/mcp @modelcontextprotocol/server-everything",
)
def test_the_reference_server_is_served(setting: Setting) -> None:
    entry = Entry(
        name="everything",
        command="node",
        args=(str(SERVER), "stdio"),
        readable=(str(MODULES),),
        env={"GREETING": "hello"},
        start_seconds=60.0,
        timeout_seconds=60.0,
    )
    private = Confidentiality.PRIVATE

    async def work() -> tuple[Offer, dict[str, Any]]:
        connection = Connection(entry, setting)
        try:
            offer = await connection.offer()
            uri = str((await connection.resources())[0].uri)
            found = {
                "echo": output_of(await connection.call("echo", {"message": "hi"}), private),
                "sum": output_of(await connection.call("get-sum", {"a": 2, "b": 3}), private),
                "image": output_of(await connection.call("get-tiny-image", {}), private),
                "env": output_of(await connection.call("get-env", {}), private),
                "wrong": output_of(await connection.call("get-sum", {"a": "x"}), private),
                "structured": output_of(
                    await connection.call("get-structured-content", {"location": "Chicago"}),
                    private,
                ),
                "resource": resource_output(await connection.read(uri), private),
                "prompt": await connection.prompt("args-prompt", {"city": "Rome"}),
            }
            return offer, found
        finally:
            await connection.close()

    offer, found = asyncio.run(work())
    tools = {t.name for t in McpServers({"e": entry}, {"e": Pin.of(entry, offer)}, setting).tools}
    assert {"everything__echo", "everything__get-sum", "everything__read_resource"} <= tools
    assert offer.left_out == {"simulate-research-query": NEEDS_A_TASK}
    assert "hi" in found["echo"].content
    assert "5" in found["sum"].content
    assert "[image, image/png" in found["image"].content
    assert "hello" in found["env"].content
    assert "t0ken" not in found["env"].content
    assert found["wrong"].status == "error"
    assert found["structured"].data["structured"]["temperature"]
    assert found["resource"].content
    assert "Rome" in prompt_text(found["prompt"])
