"""Training on a processor, against the bare thing.

    python -P bench/training.py            # both
    python -P bench/training.py sft        # tokens a second by TRL, and by a loop of torch
    python -P bench/training.py rollouts   # attempts a second, and replies of a bare generate loop

Processor seconds of this process and its ended children, so that other work on the machine counts
little.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardian.evals.loading import load_suite
from wardian.models.llama import LlamaModel
from wardian.train.base import load_weights, prepare
from wardian.train.collating import SftBatch
from wardian.train.examples import Examples
from wardian.train.quiet import quiet
from wardian.train.recipe import Method, recipe_of
from wardian.train.rollouts import WEIGHTS, Rollouts
from wardian.train.trl_runs import train_offline
from wardian.types import Message, Request, Role, Sampling

ROWS, TOKENS, STEPS, BATCH = 64, 256, 12, 8
TASKS, ATTEMPTS = 4, 8


def processor_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Processor and wall seconds."""
    before, began = processor_seconds(), time.monotonic()
    work()
    return processor_seconds() - before, time.monotonic() - began


def sft(folder: Path) -> None:
    import torch

    values = {"base": "tiny", "data": "-", "out": str(folder), "training.max_steps": STEPS}
    more = {"training.batch_size": BATCH, "training.micro_batch_size": BATCH, "dev.share": 0.0}
    recipe = recipe_of(Method.SFT, values | more)
    base = prepare(recipe)
    ids = [[(7 * row + place) % 900 + 10 for place in range(TOKENS)] for row in range(ROWS)]
    rows = [{"input_ids": one, "labels": one} for one in ids]
    examples = Examples(train=rows, dev=[], left_out={})
    model = load_weights(base, recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    collate = SftBatch(base.pad)

    def bare() -> None:
        for step in range(STEPS):
            begin = step * BATCH % ROWS
            batch = collate(rows[begin : begin + BATCH])
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    bare()
    tokens = STEPS * BATCH * TOKENS
    steps: list[float] = []
    train_offline(recipe, base, examples, None, lambda _: steps.append(processor_seconds()))
    by_trl = (steps[-1] - steps[1]) / (len(steps) - 2)
    bare_seconds, _ = timed(bare)
    print(f"SFT by TRL, {BATCH} rows of {TOKENS} tokens: {BATCH * TOKENS / by_trl:,.0f} tokens/s")
    print(f"a bare loop of torch, the same rows:  {tokens / bare_seconds:,.0f} tokens/s")


def rollouts(folder: Path) -> None:
    rows = [
        {
            "id": f"sums/{n}",
            "split": "train",
            "prompt": f"What is {31 + n} * {17 + n}?",
            "verifier": {"kind": "number", "expected": (31 + n) * (17 + n)},
        }
        for n in range(TASKS)
    ]
    path = folder / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    values = {"base": "tiny", "out": str(folder / "out"), "grpo.suite": str(path)}
    recipe = recipe_of(Method.GRPO, {**values, "grpo.parallel": TASKS * ATTEMPTS})
    base = prepare(recipe)
    made = Rollouts(recipe, base)
    model = load_weights(base, recipe)
    refreshed, _ = timed(lambda: made.refresh(model))
    tasks = load_suite(path).tasks
    groups: list[Any] = []

    def collect() -> None:
        groups.extend(made.collect(tasks, ATTEMPTS, "bench", lambda _: None))

    attempts_seconds, wall = timed(collect)
    attempts = [one for group in groups for one in group]
    replies = sum(len(branch.replies) for one in attempts for branch in one.branches)
    tokens = sum(one.tokens for one in attempts)

    def generate() -> None:
        asyncio.run(bare_replies(made.folder / WEIGHTS, [task.prompt for task in tasks], replies))

    bare_seconds, bare_wall = timed(generate)
    print(f"weights as GGUF: {refreshed:.2f} s a step")
    print(
        f"{len(attempts)} attempts ({replies} replies, {tokens} tokens), graded: "
        f"{attempts_seconds:.1f} processor seconds, {wall:.1f} s"
    )
    print(
        f"as many replies in a bare loop: {bare_seconds:.1f} processor seconds, {bare_wall:.1f} s"
    )


async def bare_replies(path: Path, prompts: list[str], count: int) -> None:
    """First replies only: no tools run, nothing is recorded or graded."""
    model = LlamaModel(path, name="bare")
    try:
        for number, prompt in enumerate(prompts):
            await model.sample(
                Request(
                    messages=(Message(role=Role.USER, content=prompt),),
                    sampling=Sampling(temperature=1.0, max_tokens=512, seed=number),
                ),
                count // len(prompts),
            )
    finally:
        await model.close()


def main() -> None:
    wanted = sys.argv[1:] or ["sft", "rollouts"]
    with tempfile.TemporaryDirectory() as folder, quiet():
        for name in wanted:
            place = Path(folder) / name
            place.mkdir()
            {"sft": sft, "rollouts": rollouts}[name](place)


if __name__ == "__main__":
    main()
