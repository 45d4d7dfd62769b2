"""What exporting costs: runs and megabytes a second of processor time, and whether memory grows.

python -P bench/export.py [RUNS] [FORMAT]...   (10,000 and all formats where nothing is said)
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wardian import Agent, RunStore, ScriptedModel, tool
from wardian.export import FORMATS, export
from wardian.models.replies import Answer
from wardian.runs import new_run_id
from wardian.runs.encode import dumps, line
from wardian.runs.log import LOG_NAME
from wardian_tools import Effect

RUNS = 10_000
STEPS = 20
FIRST = 1_000
"""Of them, for the memory that a tenth takes"""


@tool(effects=[Effect.READS])
def look(name: str) -> str:
    """Look at a thing.

    Args:
        name: Its name.
    """
    return f"{name} is there. " * 20


def make_runs(root: Path, count: int) -> int:
    """Runs that differ in their task, and the bytes of them all."""
    store = RunStore(root)
    script: list[Answer] = [[("look", {"name": f"thing {step}"})] for step in range(STEPS - 1)]
    agent = Agent(ScriptedModel([*script, "Done."]), tools=[look], store=store)
    result = agent.run_sync("Look at everything.")
    assert result.steps == STEPS, result
    source = store.path(result.run_id)
    lines = source.read_bytes().splitlines(keepends=True)
    record: Any = json.loads(lines[1])
    for number in range(count):
        run_id = new_run_id()
        record["data"]["run_id"] = run_id
        record["data"]["task"]["prompt"] = f"Look at everything, for the {number}th time."
        head = line(1, record["wall"], record["mono"], record["kind"], dumps(record["data"]))
        path = root / run_id / LOG_NAME
        path.parent.mkdir(mode=0o700)
        path.write_bytes(b"".join([lines[0], head, *lines[2:]]))
    store.remove(result.run_id)
    return count * len(b"".join([lines[0], head, *lines[2:]]))


def measure(root: Path, format_name: str, count: int, output: Path) -> Iterator[str]:
    """One export, in a process of its own."""
    store = RunStore(root)
    ids = store.ids()[:count]
    began, used = time.perf_counter(), time.process_time()
    done = export(store, ids, format_name=format_name, output=output)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    assert done.rows == count, done
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(file["bytes"] for file in done.files)
    yield json.dumps(
        {"seconds": seconds, "processor": processor, "bytes": size, "rows": done.rows, "kib": peak}
    )


def measured(root: Path, format_name: str, count: int, output: Path) -> Any:
    words = [sys.executable, "-P", __file__, "--one", str(root), format_name, str(count)]
    done = subprocess.run([*words, str(output)], capture_output=True, check=True, env=os.environ)
    output.unlink(missing_ok=True)
    return json.loads(done.stdout)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        root, format_name, count, output = sys.argv[2:]
        print(*measure(Path(root), format_name, int(count), Path(output)))
        return
    count = int(sys.argv[1]) if sys.argv[1:] else RUNS
    formats = sys.argv[2:] or ["openai", "trl-sft", "sharegpt", "atif", "parquet", "otel"]
    assert set(formats) <= set(FORMATS), formats
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        size = make_runs(root, count)
        print(f"{count:,} runs of {STEPS} steps, {size / 1e6:,.0f} MB")
        print(f"{'':10} {'runs/s':>8} {'MB/s read':>10} {'MB written':>11}", end="")
        print(f" {'MB of memory':>13} {f'for {FIRST:,}':>10}")
        for name in formats:
            output = Path(folder) / "out"
            first = measured(root, name, min(FIRST, count), output)
            whole = measured(root, name, count, output)
            rate = count / whole["processor"]
            print(f"{name:10} {rate:8.0f} {rate * size / count / 1e6:10.1f}", end="")
            print(f" {whole['bytes'] / 1e6:11.1f}", end="")
            print(f" {whole['kib'] / 1024:13.0f} {first['kib'] / 1024:10.0f}", flush=True)


if __name__ == "__main__":
    main()
