"""What storing a run costs: bytes and time a step, states of the workspace, the list of many runs.

python -P bench/runs.py [bytes] [share] [states] [index]
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from wardian import Agent, Budgets, RunStore, ScriptedModel, tool
from wardian.models.replies import Answer
from wardian.runs import new_run_id
from wardian.runs.index import RunIndex
from wardian.runs.states import States
from wardian.types import Finish, Message, Reply, Role, TokenRecord, Usage
from wardian_tools import Effect, ToolCall

STEPS = 1_000
RUNS = 10_000
FILES = 2_000
UNLIMITED = Budgets(steps=None, tool_calls=None, tokens=None, cost_usd=None, wall_seconds=None)


@tool(effects=[Effect.READS])
def look(name: str) -> str:
    """Look at a thing.

    Args:
        name: Its name.
    """
    return f"{name} is there. " * 10


def reply(step: int, *, with_tokens: bool) -> Reply:
    """A reply as a local model gives it, of 100 tokens to a prompt grown by 200."""
    call = ToolCall(
        id=f"c{step}", name="look", arguments_text=json.dumps({"name": f"thing {step}"})
    )
    tokens = TokenRecord(
        prompt_suffix_ids=tuple(range(1000, 1200)),
        kept_ids=300 * step,
        sampled_ids=tuple(range(2000, 2100)),
        logprobs=tuple(-0.123456 - i / 1000 for i in range(100)),
        constrained=(False,) * 100,
    )
    return Reply(
        message=Message(role=Role.ASSISTANT, content="Let me look.", calls=(call,)),
        finish=Finish.CALLS,
        usage=Usage(prompt_tokens=300 * step, completion_tokens=100),
        tokens=tokens if with_tokens else None,
    )


def perform(
    store: RunStore | bool, steps: int, *, with_tokens: bool = False
) -> tuple[str, float, float]:
    """One run: its id, wall and processor seconds."""
    script: list[Answer] = [reply(step, with_tokens=with_tokens) for step in range(steps)]
    agent = Agent(ScriptedModel([*script, "Done."]), tools=[look], store=store, budgets=UNLIMITED)
    wall, used = time.perf_counter(), time.process_time()
    result = asyncio.run(agent.run("Look at everything."))
    assert result.steps == steps + 1, result
    return result.run_id, time.perf_counter() - wall, time.process_time() - used


def bench_bytes(folder: Path) -> None:
    print(f"bytes a step over {STEPS:,} steps")
    print(f"{'':16} {'first 100':>10} {'last 100':>10}")
    store = RunStore(folder / "bytes")
    for name, with_tokens in (("without tokens", False), ("with token ids", True)):
        run_id, _, _ = perform(store, STEPS, with_tokens=with_tokens)
        lines = store.path(run_id).read_bytes().splitlines(keepends=True)[2:-1]
        per_step = len(lines) // (STEPS + 1)
        first = sum(map(len, lines[: 100 * per_step])) / 100
        last = sum(map(len, lines[-100 * per_step :])) / 100
        print(f"{name:16} {first:10.0f} {last:10.0f}")


def bench_share(folder: Path) -> None:
    steps = 200
    perform(False, 20)
    print(f"\nmilliseconds a step of a run of {steps} steps that does nothing else")
    print(f"{'':16} {'wall':>8} {'processor':>10}")
    for name, store in (("not stored", False), ("stored", RunStore(folder / "share"))):
        rounds = [perform(store, steps) for _ in range(5)]
        wall = min(seconds for _, seconds, _ in rounds) / steps * 1e3
        used = min(seconds for _, _, seconds in rounds) / steps * 1e3
        print(f"{name:16} {wall:8.2f} {used:10.2f}")


def bench_states(folder: Path) -> None:
    workspace, run = folder / "workspace", folder / "run"
    run.mkdir()
    for index in range(FILES):
        path = workspace / f"d{index % 50}" / f"{index}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line {index}\n" * 300)
    time.sleep(0.05)  # so that the files are older than a tick of the kernel's clock
    states = States(run)
    print(f"\nmilliseconds for a state of a workspace of {FILES:,} files, 8 MB")
    timed("first", lambda: states.save(workspace))
    time.sleep(0.05)
    timed("nothing changed", lambda: states.save(workspace))
    (workspace / "d1" / "1.py").write_text("changed\n")
    timed("one file changed", lambda: states.save(workspace))
    other = folder / "other"
    other.mkdir()
    timed("first of the next run", lambda: States(other).save(workspace, alike=states))
    (workspace / "d1" / "1.py").write_text("changed again\n")
    timed(
        "one file put back",
        lambda: states.put_back({"d1/1.py": states.latest["d1/1.py"]}, workspace),
    )
    size = sum(path.stat().st_size for path in (run / "states").iterdir())
    print(f"{'states on disk':24} {size / 1e3:8.0f} kB beside the contents")


def bench_index(folder: Path) -> None:
    store = RunStore(folder / "index")
    run_id, _, _ = perform(store, 20)
    content = store.path(run_id).read_bytes()
    for _ in range(RUNS - 1):
        path = store.root / new_run_id() / "trajectory.jsonl"
        path.parent.mkdir()
        path.write_bytes(content)
    print(f"\nmilliseconds to list {RUNS:,} runs of 20 steps")
    index = RunIndex(store.root)
    seconds = timed("no index", index.summaries)
    print(f"{'':24} {RUNS / seconds:8.0f} runs/s indexed")
    timed("index up to date", index.summaries)
    store.path(run_id).write_bytes(content + b"\n")
    timed("one run changed", index.summaries)


def timed(name: str, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(f"{name:24} {seconds * 1e3:8.1f}")
    return seconds


def main() -> None:
    benches = {
        "bytes": bench_bytes,
        "share": bench_share,
        "states": bench_states,
        "index": bench_index,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or benches:
            benches[name](Path(folder))


if __name__ == "__main__":
    main()
