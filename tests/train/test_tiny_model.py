"""The built-in model as it ships, on the way that `agent run` takes."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from wardian import Agent
from wardian.models.catalogue import TINY_PATH, resolve_model
from wardian.types import Model

FILES = {
    "notes.txt": "buy milk\ncall the dentist\nwater the garden\n",
    "config.toml": "port = 8123\ncolor = green\n",
}


async def _ask(model: Model, prompt: str, folder: Path) -> str:
    agent = Agent(model=model, workspace=folder, sandbox="bubblewrap", store=False)
    return (await agent.run(prompt)).answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace the sandbox's user can reach and write, whoever runs the tests."""
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    workspace.chmod(0o777)
    for name, text in FILES.items():
        (workspace / name).write_text(text, "utf-8")
    return workspace


def test_it_is_small_and_its_card_is_its_own() -> None:
    content = TINY_PATH.read_bytes()
    card = json.loads(TINY_PATH.with_name("card.json").read_text("utf-8"))
    assert len(content) <= 10 << 20
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["parameters"] <= 10_000_000


def test_the_published_scores_meet_the_promise() -> None:
    card = json.loads(TINY_PATH.with_name("card.json").read_text("utf-8"))
    scores = {f: s for f, s in card["held_out_solved_of_tasks"].items() if f != "natural"}
    assert sum(tasks for _, tasks in scores.values()) == 500
    assert sum(solved for solved, _ in scores.values()) >= 450


def test_it_calculates_reads_searches_counts_and_refuses(folder: Path) -> None:
    expected = {
        "What is 1234 * 5678?": "7006652",
        "How many lines are in notes.txt?": "3",
        "What is the port in config.toml?": "8123",
        "Which file mentions dentist?": "notes.txt",
        "Write a poem about the sea.": "beyond me",
        "How many words are in absent.txt?": "no file",
    }

    async def ask_all() -> dict[str, str]:
        model = resolve_model("tiny")
        try:
            return {prompt: await _ask(model, prompt, folder) for prompt in expected}
        finally:
            await model.close()

    answers = asyncio.run(ask_all())
    assert {p: a for p, a in answers.items() if expected[p] not in a} == {}
