"""What a call of a tool server costs over the SDK's bare client: python -P bench/mcp.py."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from wardian_tools import Registry, ToolCall, run_call
from wardian_tools.mcp.connection import Connection
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.pins import Pin
from wardian_tools.mcp.servers import McpServers
from wardian_tools.mcp.setting import Setting

SERVER = str(Path(__file__).parents[1] / "tests" / "mcp" / "servers" / "raw.py")
PYTHON = "/usr/bin/python3"
ROUNDS = 300
ARGUMENTS = {"a": 20, "b": 22}


async def milliseconds(call: Callable[[], Awaitable[Any]]) -> list[float]:
    """Of each round, sorted."""
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def show(label: str, times: list[float]) -> None:
    low, high = times[len(times) // 10], times[len(times) * 9 // 10]
    print(f"{label:<42}{statistics.median(times):8.2f}  ({low:.2f}-{high:.2f})")


async def bare() -> list[float]:
    parameters = StdioServerParameters(command=PYTHON, args=[SERVER])
    async with Client(parameters) as client:
        return await milliseconds(lambda: client.call_tool("add", ARGUMENTS))


async def boxed(entry: Entry, setting: Setting) -> tuple[float, list[float], list[float]]:
    connection = Connection(entry, setting)
    began = time.perf_counter()
    offer = await connection.offer()
    start = (time.perf_counter() - began) * 1000
    direct = await milliseconds(lambda: connection.call("add", ARGUMENTS))
    await connection.close()

    servers = McpServers({"raw": entry}, {"raw": Pin.of(entry, offer)}, setting)
    registry = Registry(servers.tools)
    tool = registry.get("raw__add")
    assert tool is not None

    async def call() -> None:
        asked = ToolCall(id="1", name="raw__add", arguments_text='{"a": 20, "b": 22}')
        result = await run_call(tool, registry.parse(asked), None)  # type: ignore[arg-type]
        assert result.content == "42", result

    await call()
    whole = await milliseconds(call)
    await servers.close()
    return start, direct, whole


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(environ={}, workspace=Path(folder))
        entry = Entry(name="raw", command=PYTHON, args=(SERVER,), readable=(SERVER,))
        print(f"milliseconds, median (10th-90th percentile) of {ROUNDS}")
        show("a call, the SDK's client, no box", await bare())
        start, direct, whole = await boxed(entry, setting)
        show("a call, ours, the server in a box", direct)
        show("the same as a run makes it", whole)
        print(f"{'from nothing to a listing, in a box':<42}{start:8.0f}")


def import_milliseconds() -> float:
    code = "import time; t = time.process_time(); import mcp; print(time.process_time() - t)"
    command = [sys.executable, "-c", code]
    times = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return min(times) * 1000


if __name__ == "__main__":
    asyncio.run(main())
    print(f"{'importing the SDK, once, processor time':<42}{import_milliseconds():8.0f}")
