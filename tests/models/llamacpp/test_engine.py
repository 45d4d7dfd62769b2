"""Shared batches, forks and checkpoints give what a conversation alone would have got."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.engine import Engine, Work
from wardian.models.llamacpp.load import LoadOptions, load

ARCHITECTURES = ("qwen3", "qwen35", "mamba")
"""Attention only, every second layer recurrent, recurrent only."""
PREFIX = 200

Logits = NDArray[np.float32]


def never() -> bool:
    return False


def tokens(seed: int, count: int) -> list[int]:
    drawn = random.Random(seed)
    return [drawn.randrange(250) for _ in range(count)]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_gguf: Callable[..., Path],
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return make_gguf(folder / "m.gguf", architecture=request.param, context_tokens=1024)


@pytest.fixture
def engine(model: Path) -> Engine:
    return made(model)


def made(path: Path, *, threads: int = 1, **options: Any) -> Engine:
    return Engine(load(llama(), LoadOptions(path=str(path), threads=threads, **options)))


def run(engine: Engine, *works: Work) -> dict[int, Logits]:
    """Evaluate until all have their logits; by the number of the work."""
    found: dict[int, Logits] = {}
    for _ in range(200):
        open_ = [w for i, w in enumerate(works) if i not in found]
        if not open_:
            break
        for work in engine.step(open_):
            found[works.index(work)] = engine.logits(work).copy()
    assert len(found) == len(works)
    return found


def alone(engine: Engine, conversation: str, ids: list[int], **more: Any) -> tuple[Work, Logits]:
    work = engine.work(conversation, ids, never, **more)
    logits = run(engine, work)[0]
    engine.finish(work)
    return work, logits


def fresh(model: Path, ids: list[int]) -> Logits:
    return alone(made(model), "", ids)[1]


def same(one: Logits, other: Logits) -> bool:
    return bool(np.allclose(one, other, atol=1e-3))


def test_interleaved_conversations_evaluate_each_token_once_and_alike(
    engine: Engine, model: Path
) -> None:
    histories = {name: tokens(0, PREFIX) + tokens(i + 1, 30) for i, name in enumerate("abc")}
    evaluated = 0
    for step in range(6):
        works = {
            n: engine.work(n, ids, never, prefix_tokens=PREFIX) for n, ids in histories.items()
        }
        logits = run(engine, *works.values())
        for i, (name, work) in enumerate(works.items()):
            if step == 5:
                assert same(logits[i], fresh(model, histories[name]))
            engine.finish(work)
            evaluated += work.evaluated_tokens
            histories[name] += tokens(100 + step + i, 20)
    told = sum(len(ids) - 20 for ids in histories.values())
    assert evaluated <= told - 2 * PREFIX + 3


def threads_now() -> set[str]:
    return {path.name for path in Path("/proc/self/task").iterdir()}


def test_several_threads_compute_the_same_and_stay_from_one_token_to_the_next(model: Path) -> None:
    ids, before = tokens(1, 100), threads_now()
    engine = made(model, threads=2)
    assert same(alone(engine, "a", ids)[1], fresh(model, ids))
    stayed = threads_now() - before
    assert stayed
    assert same(alone(engine, "a", [*ids, 7])[1], fresh(model, [*ids, 7]))
    assert stayed <= threads_now()


def test_a_prompt_asked_again_is_not_read_again(engine: Engine, model: Path) -> None:
    ids = tokens(1, 400)
    first, logits = alone(engine, "a", ids, prefix_tokens=PREFIX)
    again, repeated = alone(engine, "a", ids, prefix_tokens=PREFIX)
    assert (first.cached_tokens, first.evaluated_tokens) == (0, 400)
    assert (again.cached_tokens, again.evaluated_tokens) == (399, 1)
    assert same(logits, repeated)
    assert same(logits, fresh(model, ids))


def test_a_changed_end_begins_again_at_the_last_checkpoint(engine: Engine, model: Path) -> None:
    system = tokens(1, PREFIX)
    first = system + tokens(2, 50)
    alone(engine, "a", first, prefix_tokens=PREFIX, lasting=True)
    alone(engine, "a", first + tokens(3, 60), prefix_tokens=PREFIX)
    changed = first + tokens(4, 40)
    work, logits = alone(engine, "a", changed, prefix_tokens=PREFIX)
    assert work.cached_tokens >= len(first) - 1
    assert same(logits, fresh(model, changed))


def test_system_message_and_tools_outlive_the_conversation(model: Path) -> None:
    engine = made(model, sequences=4)
    system = tokens(1, PREFIX)
    for i in range(8):
        work, _ = alone(engine, f"c{i}", system + tokens(10 + i, 40), prefix_tokens=PREFIX)
        assert work.cached_tokens == (PREFIX if i else 0)


def test_samples_of_one_prompt_read_it_once_and_part_afterwards(
    engine: Engine, model: Path
) -> None:
    ids = tokens(1, 300)
    works = [engine.work(f"s{i}", ids, never) for i in range(6)]
    logits = run(engine, *works)
    assert sum(w.evaluated_tokens for w in works) <= 300 + 6
    assert all(same(logits[0], logits[i]) for i in range(1, 6))
    for i, work in enumerate(works):
        work.ids += tokens(50 + i, 9)
    logits = run(engine, *works)
    for i in (0, 5):
        assert same(logits[i], fresh(model, ids + tokens(50 + i, 9)))


def test_the_winner_is_gone_on_with_and_the_others_are_forgotten(
    engine: Engine, model: Path
) -> None:
    ids = tokens(1, 300)
    works = [engine.work(f"s{i}", ids, never) for i in range(4)]
    for i, work in enumerate(works):
        work.ids += tokens(50 + i, 9)
    run(engine, *works)
    for work in works:
        engine.finish(work)
    won = works[2].ids + tokens(99, 15)
    going_on, logits = alone(engine, "s0", won)
    assert going_on.evaluated_tokens == 15
    assert same(logits, fresh(model, won))
    engine.cache.forget("s3")
    assert engine.cache.longest(works[3].ids) < len(works[3].ids) - 1


def test_more_conversations_than_sequences_come_back_to_what_was_saved(model: Path) -> None:
    engine = made(model, sequences=4)
    histories = {f"c{i}": tokens(i, 120) for i in range(7)}
    for name, ids in histories.items():
        alone(engine, name, ids)
    assert engine.cache.evictions > 0
    for name, ids in list(histories.items())[:3]:
        work, logits = alone(engine, name, ids + tokens(77, 10))
        assert work.evaluated_tokens == 10
        assert same(logits, fresh(model, ids + tokens(77, 10)))


def test_what_does_not_fit_beside_the_others_waits_and_is_read_then(
    tmp_path: Path, make_gguf: Callable[..., Path]
) -> None:
    path = make_gguf(tmp_path / "m.gguf", context_tokens=256)
    engine = made(path)
    works = [engine.work(f"c{i}", tokens(i, 200), never) for i in range(5)]
    left, found = list(works), dict[int, Logits]()
    for _ in range(100):
        for work in engine.step(left):
            found[works.index(work)] = engine.logits(work).copy()
            engine.finish(work)
            left.remove(work)
            engine.let_in(left)
        if not left:
            break
    for i in range(5):
        assert same(found[i], fresh(path, tokens(i, 200)))


def test_reading_can_be_stopped_in_the_middle_and_harms_nobody(engine: Engine, model: Path) -> None:
    begun = tokens(1, 300)
    alone(engine, "a", begun, prefix_tokens=PREFIX)
    asked = 0

    def after_a_while() -> bool:
        nonlocal asked
        asked += 1
        return asked > 20

    stopped = engine.work("a", begun + tokens(2, 400), after_a_while)
    other = engine.work("b", tokens(3, 60), never)
    assert engine.step([stopped, other]) == []
    assert stopped.evaluated_tokens == 0
    engine.finish(stopped)
    assert same(run(engine, other)[0], fresh(model, tokens(3, 60)))
    engine.finish(other)
    work, logits = alone(engine, "a", begun + tokens(4, 10))
    assert work.cached_tokens >= PREFIX
    assert same(logits, fresh(model, begun + tokens(4, 10)))


def test_random_histories_always_give_what_a_fresh_engine_would(model: Path) -> None:
    """Appending, going back, forking, forgetting, in any order."""
    drawn = random.Random(5)
    engine = made(model, sequences=5)
    histories: dict[str, list[int]] = {}
    for step in range(40):
        name = drawn.choice("abcdefg")
        ids = histories.get(name) or tokens(0, 64)[: drawn.randrange(1, 64)]
        match drawn.randrange(5):
            case 0:
                ids = ids[: drawn.randrange(1, len(ids) + 1)]
            case 1 if histories:
                ids = histories[drawn.choice(sorted(histories))]
            case 2:
                engine.cache.forget(name)
            case _:
                pass
        ids = ids + tokens(step, drawn.randrange(1, 40))
        histories[name] = ids[-900:] if len(ids) > 900 else ids
        prefix = drawn.choice([0, 40])
        _, logits = alone(engine, name, histories[name], prefix_tokens=prefix)
        if step % 4 == 0:
            assert same(logits, fresh(model, histories[name])), step
