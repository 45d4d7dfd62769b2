"""One agent, and many, against an OpenAI-compatible server on loopback that calls a tool each step.

    python bench/agent.py            # all figures
    python bench/agent.py step       # processor time a step, durable logging on, growth over steps
    python bench/agent.py many       # steps a second and memory at 1, 32, 256, 1,000 agents

The server runs in a process of its own; only this process's time and memory are counted. Each
figure stands beside the same number of requests sent with bare httpx2, so that it can be read as a
ratio on any machine.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from wardian import Agent, Budgets, ChatModel, RunStore, tool
from wardian_tools.types import Effect

SERVER = Path(__file__).with_name("loop_server.py")


@tool(effects={Effect.READS})
async def look(n: int) -> str:
    """Look at item n."""
    return f"item {n} is there"


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def make_agent(base_url: str, folder: Path, steps: int) -> Agent[str]:
    model = ChatModel(f"bench-{steps}", endpoint=base_url, model_id=f"bench-{steps}")
    return Agent(
        model,
        tools=[look],
        workspace=folder,
        store=RunStore(folder / "runs"),
        budgets=Budgets(steps=None, tool_calls=None, wall_seconds=None),
    )


async def bare(base_url: str, steps: int) -> float:
    """Processor milliseconds a request with httpx2 alone, the history growing as an agent's."""
    messages: list[dict[str, object]] = [{"role": "user", "content": "Go."}]
    began = processor_seconds()
    async with httpx2.AsyncClient() as client:
        for step in range(steps):
            body = {"model": f"bench-{steps}", "messages": messages, "stream": True}
            async with client.stream("POST", f"{base_url}/chat/completions", json=body) as answer:
                async for _ in answer.aiter_bytes():
                    pass
            call = {"name": "look", "arguments": json.dumps({"n": step})}
            messages += [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": f"c{step}", "type": "function", "function": call}],
                },
                {"role": "tool", "tool_call_id": f"c{step}", "content": f"item {step} is there"},
            ]
    return (processor_seconds() - began) / steps * 1e3


async def one(base_url: str, folder: Path, steps: int) -> float:
    """Processor milliseconds a step of one agent."""
    async with make_agent(base_url, folder, steps) as agent:
        began = processor_seconds()
        result = await agent.run("Go.")
        assert result.steps == steps + 1, result
        return (processor_seconds() - began) / (steps + 1) * 1e3


async def bench_step(base_url: str, folder: Path) -> None:
    await one(base_url, folder, 10)
    print("processor milliseconds a step")
    print(f"{'steps':>6} {'wardian':>8} {'bare httpx2':>12} {'ratio':>6}")
    for steps in (10, 50, 200):
        ours = statistics.median([await one(base_url, folder, steps) for _ in range(5)])
        theirs = statistics.median([await bare(base_url, steps) for _ in range(5)])
        print(f"{steps:6} {ours:8.2f} {theirs:12.2f} {ours / theirs:6.2f}")


async def bench_many(base_url: str, folder: Path, count: int) -> None:
    steps = 10
    agent = make_agent(base_url, folder, steps)
    async with agent:
        await agent.run("Warm up.")
        before, began, used = memory_mb(), time.perf_counter(), processor_seconds()
        results = await asyncio.gather(*(agent.run("Go.") for _ in range(count)))
        seconds, after = time.perf_counter() - began, memory_mb()
        used = processor_seconds() - used
    done = sum(result.steps for result in results)
    assert all(result.ok for result in results)
    grown = (after - before) / count
    print(f"{count:6} {done / seconds:10.0f} {used / done * 1e3:14.2f} {grown:12.3f}")


def main() -> None:
    wanted = sys.argv[1:] or ["step", "many"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            base_url = server.stdout.readline().strip()
            if "step" in wanted:
                asyncio.run(bench_step(base_url, Path(folder)))
            if "many" in wanted:
                print(f"\n{'agents':>6} {'steps/s':>10} {'cpu ms/step':>14} {'MB an agent':>12}")
                for count in (1, 32, 256, 1000):
                    asyncio.run(bench_many(base_url, Path(folder), count))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
