"""What storing a run costs: bytes and time a step, states of the workspace, the list of many runs.

python -P bench/runs.py [bytes] [share] [states] [index]
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from wardian import Agent, Budgets, RunStore, ScriptedModel, tool
from wardian.models.catalogue import resolve_model
from wardian.models.replies import Answer
from wardian.runs import RunSummary, new_run_id
from wardian.runs.encode import line
from wardian.runs.filters import Filters
from wardian.runs.index import RunIndex
from wardian.runs.search import Hit, SearchIndex, find_runs
from wardian.runs.states import States
from wardian.runs.words import Words
from wardian.types import Finish, Message, Reply, Role, TokenRecord, Usage
from wardian_tools import Effect, ToolCall

STEPS = 1_000
RUNS = 10_000
FILES = 2_000
QUESTION = "How many lines are in a.txt?"
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
    bench_real_share(folder)


def bench_real_share(folder: Path) -> None:
    """With the built-in model and a box, which is about the quickest step there is."""
    workspace = folder / "share_workspace"
    workspace.mkdir()
    (workspace / "a.txt").write_text("1\n2\n3\n")

    async def steps(store: RunStore | bool) -> float:
        agent = Agent(resolve_model("tiny"), workspace=workspace, store=store)
        async with agent:
            await agent.run(QUESTION)  # loads the model
            rounds: list[float] = []
            for _ in range(10):
                began = time.perf_counter()
                result = await agent.run(QUESTION)
                rounds.append((time.perf_counter() - began) / result.steps)
        return min(rounds) * 1e3

    without, stored = asyncio.run(steps(False)), asyncio.run(steps(RunStore(folder / "share")))
    share = max(0.0, stored - without) / stored
    print(f"{'tiny, in a box':16} {without:8.1f} not stored, {stored:.1f} stored: {share:.1%}")


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
    for number in range(RUNS - 1):
        path = store.root / new_run_id() / "trajectory.jsonl"
        path.parent.mkdir()
        text = json.dumps({"step": 3, "text": f"thing rare{number}"}).encode()
        path.write_bytes(content + line(999, "2026-03-01T12:00:00Z", 1.0, "noted", text))
    print(f"\nmilliseconds for {RUNS:,} runs of 20 steps, {len(content):,} bytes each")
    bench_list(store, run_id)
    bench_search(store, run_id)


def bench_list(store: RunStore, run_id: str) -> None:
    index = RunIndex(store.root)
    seconds = timed("list, no index", partial(first, index))
    print(f"{'':28} {RUNS / seconds:8.0f} runs/s indexed")
    timed("list, index up to date", partial(first, index))
    with store.path(run_id).open("ab") as log:
        log.write(b"\n")
    timed("list, one run changed", partial(first, index))


def first(index: RunIndex) -> list[RunSummary]:
    """As `agent runs list` shows them."""
    return list(islice(index.newest(), 20))


def bench_search(store: RunStore, run_id: str) -> None:
    index = SearchIndex(store.root)
    seconds = timed("index of texts made anew", index.facts)
    size = index.path.stat().st_size
    print(f"{'':28} {RUNS / seconds:8.0f} runs/s, {size / RUNS / 1e3:.1f} kB a run")
    lists = {
        "list --status --tool": Filters(status=("done",), tools=("look",)),
        "list --tag of none": Filters(tags=("none",)),
        "list --text, in one run": Filters(text="rare77"),
        "list --text, in every run": Filters(text="thing"),
    }
    for name, filters in lists.items():
        timed(name, partial(find_runs, store.root, filters))
    for query in ("rare77", '"thing rare77"', "rare*", "thing", "there let"):
        timed(f"search {query}", partial(hits, index, query))
    with store.path(run_id).open("ab") as log:
        log.write(b"\n")
    timed("search, one run changed", partial(hits, index, "rare77"))
    timed("a run removed", lambda: store.remove(run_id))


def hits(index: SearchIndex, query: str) -> list[Hit]:
    words = Words.of(query)
    assert words
    return index.hits(words, lambda _: True, lambda hit: hit, 20)


def timed(name: str, work: Callable[[], object]) -> float:
    """Prints wall and processor time; gives the processor's, which other work disturbs less."""
    began, used = time.perf_counter(), time.process_time()
    work()
    wall, spent = time.perf_counter() - began, time.process_time() - used
    print(f"{name:28} {wall * 1e3:8.1f} {spent * 1e3:8.1f}")
    return spent


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
