"""What is recorded of a local model's tokens is what its file gives; a change of it is noticed."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, Budgets, RunStore, ScriptedModel, tool
from wardian.models.catalogue import TINY_PATH
from wardian.models.llama import LlamaModel
from wardian.reruns import resume
from wardian.reruns.forking import fork, link
from wardian.reruns.verifying import Verified, Verifier
from wardian.runs.encode import dumps, line
from wardian.types import Sampling
from wardian_tools import Effect

PROMPT = "How many lines are in a.txt?"


@tool(effects=[Effect.READS])
def look(at: str) -> str:
    """Look.

    Args:
        at: Where.
    """
    return f"{at}: <|im_end|> three — Zeilen\n" * 3


def verified(store: RunStore, run_id: str = "last") -> Verified:
    async def verify() -> Verified:
        verifier = Verifier(store)
        try:
            return await verifier.verify(store.find(run_id))
        finally:
            await verifier.close()

    return asyncio.run(verify())


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the built-in model, and a run of two replies by it."""
    place = tmp_path_factory.mktemp("once")
    shutil.copyfile(TINY_PATH, place / "model.gguf")
    workspace = place / "w"
    workspace.mkdir()
    (workspace / "a.txt").write_text("1\n2\n3\n")
    model = LlamaModel(place / "model.gguf", name="gguf:model")
    done = Agent(model, workspace=workspace, store=RunStore(place / "runs")).run_sync(PROMPT)
    assert done.steps == 2
    return place


@pytest.fixture
def recorded(store: RunStore, once: Path, tmp_path: Path) -> Path:
    """That run in the store; gives the model's file, whose place the record names."""
    shutil.copytree(once / "runs", store.root)
    shutil.copytree(once / "w", tmp_path / "w")
    return once / "model.gguf"


def altered(store: RunStore, change: Callable[[dict[str, Any]], object], reply: int = 1) -> None:
    """The last run with one reply's record changed, its checksum right."""
    path = store.path("last")
    lines = path.read_bytes().splitlines(keepends=True)
    places = [i for i, raw in enumerate(lines) if json.loads(raw)["kind"] == "model_replied"]
    record = json.loads(lines[places[reply]])
    change(record["data"]["reply"])
    lines[places[reply]] = line(
        record["seq"], record["wall"], record["mono"], record["kind"], dumps(record["data"])
    )
    path.write_bytes(b"".join(lines))


def test_a_run_of_the_built_in_model_has_no_drift(store: RunStore, recorded: Path) -> None:
    found = verified(store)
    assert found.is_sound
    assert (found.replies, found.checked, found.unchecked) == (2, 2, {})
    assert found.prompt_tokens > 50
    assert recorded.exists()


def test_what_no_tokenizer_would_give_again_has_no_drift(
    store: RunStore, small_gguf: Path, tmp_path: Path
) -> None:
    async def runs() -> None:
        model = LlamaModel(small_gguf, name=f"gguf:{small_gguf}", context_tokens=4096)
        sampling = Sampling(temperature=1.5, max_tokens=8, seed=7)
        budgets = Budgets(steps=4)
        agent = Agent(
            model,
            tools=[look],
            workspace=tmp_path,
            store=store,
            sampling=sampling,
            budgets=budgets,
        )
        async with agent:
            for number in range(2):
                await agent.run(f"Look around, {number} — <|im_start|> 日本")

    asyncio.run(runs())
    found = [verified(store, run_id) for run_id in store.ids()]
    assert all(one.is_sound for one in found), found
    assert sum(one.checked for one in found) >= 4


def test_a_run_that_was_resumed_and_its_forks_have_no_drift(
    store: RunStore, recorded: Path, tmp_path: Path
) -> None:
    def agent(steps: int, seed: int) -> Agent[Any]:
        return Agent(
            LlamaModel(recorded, name=f"gguf:{recorded}"),
            workspace=tmp_path / "w",
            store=store,
            budgets=Budgets(steps=steps),
            sampling=Sampling(temperature=1.0, seed=seed),
        )

    async def go_on() -> list[str]:
        async with agent(1, 3) as first:
            cut = (await first.run(PROMPT)).run_id
        async with agent(3, 3) as second:
            await (await resume(second, cut)).perform()
        async with agent(5, 4) as third:
            forks = await fork(third, cut, 2, count=2)
            link(store, forks)
            for one in forks:
                await one.rerun.perform()
        return [cut, *(one.run_id for one in forks)]

    for run_id in asyncio.run(go_on()):
        found = verified(store, run_id)
        assert found.is_sound, found
        assert found.checked == found.replies > 0


def token(name: str, at: int) -> Callable[[dict[str, Any]], object]:
    def change(reply: dict[str, Any]) -> None:
        reply["tokens"][name][at] += 1

    return change


def having(part: str, name: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(reply: dict[str, Any]) -> None:
        reply[part][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "reply", "step"),
    [
        (token("prompt_suffix_ids", 0), 0, 1),
        (token("prompt_suffix_ids", -3), 1, 2),
        (having("tokens", "kept_ids", 3), 1, 2),
        (having("tokens", "kept_ids", 10_000), 1, 2),
        (token("sampled_ids", 1), 1, 2),
        (having("message", "content", "another answer"), 1, 2),
        (having("tokens", "logprobs", [-0.1]), 1, 2),
    ],
    ids=["first prompt", "suffix", "kept", "kept too much", "sampled", "message", "logprobs"],
)
@pytest.mark.usefixtures("recorded")
def test_a_changed_record_is_found_at_its_step(
    store: RunStore, change: Callable[[dict[str, Any]], object], reply: int, step: int
) -> None:
    altered(store, change, reply)
    found = verified(store)
    assert not found.is_sound
    assert found.drift[0].step == step
    assert found.damage == []


def test_the_first_id_that_differs_is_named_with_both_texts(
    store: RunStore, recorded: Path
) -> None:
    assert recorded.exists()
    altered(store, token("prompt_suffix_ids", 4), 0)
    drift = verified(store).drift[0]
    assert drift.token == 4
    assert drift.recorded != drift.rendered


def test_another_file_is_never_compared_with(store: RunStore, recorded: Path) -> None:
    whole = recorded.read_bytes()
    recorded.write_bytes(whole + b"\0")
    changed = verified(store)
    assert (changed.is_sound, changed.checked, changed.replies) == (True, 0, 2)
    assert "has changed" in next(iter(changed.unchecked))
    recorded.unlink()
    gone = verified(store)
    recorded.write_bytes(whole)
    assert (gone.checked, gone.drift) == (0, [])
    assert "is gone" in next(iter(gone.unchecked))


def test_a_reply_without_tokens_is_said_to_be_unchecked(store: RunStore) -> None:
    Agent(ScriptedModel(["Hello."]), store=store).run_sync("Hi.")
    found = verified(store)
    assert (found.is_sound, found.checked, sum(found.unchecked.values())) == (True, 0, 1)


def test_damaged_lines_and_contents_and_a_missing_record_are_found(store: RunStore) -> None:
    Agent(ScriptedModel(["x" * 40_000]), store=store).run_sync("Hi.")
    path = store.path("last")
    content = path.read_bytes()
    assert verified(store).damage == []
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "missing" in verified(store).damage[0]
    path.write_bytes(content.replace(b'"Hi."', b'"Ho."'))
    assert "checksum" in verified(store).damage[0]
    path.write_bytes(content)
    [blob] = (path.parent / "blobs").iterdir()
    blob.write_bytes(b"y" * 40_000)
    assert any("blobs/" in one for one in verified(store).damage)
