"""Training data: problems solved by their experts with the real tools, stored in shards.

A shard depends on the seed and its number only, whoever makes it; one that is there is kept.
"""

import json
import os
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.evals.suites.experts import Step
from wardian.evals.suites.tiny.problem import Problem
from wardian.evals.suites.tiny.tasks import FAMILIES, make_problem, make_problem_of
from wardian.train.tiny.chat import NEWLINE, Span, call_text, reply, result_turn, user_turn
from wardian.train.tiny.checks import is_solved
from wardian.train.tiny.execution import Episode, solve_all
from wardian.train.tiny.tokenizer import TinyTokenizer

SHARD_ROWS = 2000
MAX_TOKENS = 1024
"""A longer conversation is left out."""
HELD_OUT = 500
WARM_UP_REPEATS = (0.8, 0.7, 0.5, 0.3, 0.2, 0.1)
"""Share of the first shards' problems that only ask to repeat a text: copying is learned there
in a tenth of the time that the tasks themselves would take to teach it."""
LATE_FROM = 34
"""The shard from which the families come in their late shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One solved problem."""

    family: str
    prompt: str
    calls: tuple[tuple[Step, str], ...]
    answer: str

    def spans(self) -> list[Span]:
        """The whole conversation."""
        made = user_turn(self.prompt)
        for step, result in self.calls:
            made += [*reply(call_text(step)), NEWLINE, *result_turn(result)]
        return made + reply(self.answer)

    def as_json(self) -> dict[str, Any]:
        calls = [[s.name, s.arguments, result] for s, result in self.calls]
        return {"family": self.family, "prompt": self.prompt, "calls": calls, "answer": self.answer}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Row":
        calls = tuple((Step(name=n, arguments=a), r) for n, a, r in row["calls"])
        return cls(family=row["family"], prompt=row["prompt"], calls=calls, answer=row["answer"])


def held_out(seed: int, count: int = HELD_OUT) -> list[Problem]:
    """Test problems: the same number of each family, no prompt twice."""
    names = list(FAMILIES)
    made: dict[str, Problem] = {}
    number = 0
    while len(made) < count:
        problem = make_problem_of(names[len(made) % len(names)], f"held-out/{seed}/{number}")
        number += 1
        made.setdefault(problem.prompt, problem)
    return list(made.values())


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:04}.jsonl"


def make_shard(folder: Path, seed: int, shard: int, rows: int = SHARD_ROWS) -> int:
    """Write one shard unless it is there; the number of rows in it.

    Raises: AssertionError when an expert does not solve its own problem: a defect of ours.
    """
    path = shard_path(folder, shard)
    if path.exists():
        return 0
    tested = {p.prompt for p in held_out(seed)}
    repeats = WARM_UP_REPEATS[shard] if shard < len(WARM_UP_REPEATS) else 0.0
    late = shard >= LATE_FROM
    problems = (make_problem(f"train/{seed}/{shard}/{n}", repeats, late) for n in range(rows))
    lines: list[str] = []

    def keep(problem: Problem, episode: Episode) -> None:
        assert is_solved(problem, episode), (problem, episode)
        row = Row(
            family=problem.family, prompt=problem.prompt, calls=episode.calls, answer=episode.answer
        )
        lines.append(json.dumps(row.as_json(), ensure_ascii=False))

    with tempfile.TemporaryDirectory(prefix="wardian-tiny-") as workspace:
        Path(workspace).chmod(0o755)
        solve_all((p for p in problems if p.prompt not in tested), Path(workspace) / "w", keep)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text("\n".join(lines) + "\n", "utf-8")
    partial.replace(path)
    return len(lines)


def make_shards(folder: Path, seed: int, shards: int, workers: int) -> Iterator[int]:
    """Make the shards that are missing; yields the number of each that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        made = [pool.submit(make_shard, folder, seed, shard) for shard in range(shards)]
        for shard, future in enumerate(made):
            future.result()
            yield shard


def read_shard(folder: Path, shard: int) -> list[Row]:
    """Raises: FileNotFoundError when it has not been made."""
    lines = shard_path(folder, shard).read_text("utf-8").splitlines()
    return [Row.from_json(json.loads(line)) for line in lines]


Example = tuple[list[int], list[bool]]
"""Token ids, and which of them the model is to learn."""


def batches(
    rows: list[Row], tokenizer: TinyTokenizer, batch_tokens: int, seed: str
) -> list[list[Example]]:
    """`rows` as batches of similar length and about `batch_tokens` tokens, in random order."""
    examples = [tokenizer.encode_spans(row.spans()) for row in rows]
    examples = sorted((e for e in examples if len(e[0]) <= MAX_TOKENS), key=lambda e: len(e[0]))
    made: list[list[Example]] = []
    for example in examples:
        if not made or len(example[0]) * (len(made[-1]) + 1) > batch_tokens:
            made.append([])
        made[-1].append(example)
    random.Random(seed).shuffle(made)  # noqa: S311 - reproducible order
    return made
