"""Real runs of the built-in model: what is recorded is what llama.cpp saw and sampled."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.conftest import TEMPERATURE, Shelf

from wardian import Agent
from wardian.cli.dispatch import dispatch
from wardian.data.rows import Dataset, JudgedRow, PairRow, TokenRow
from wardian.data.showing import Part, parts, vocabulary_of
from wardian.data.vocabulary import read_vocabulary
from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.events import Rated
from wardian.models.catalogue import TINY_PATH
from wardian.reruns import resume
from wardian.runs import RunStore
from wardian.types import Sampling
from wardian_policies.types import Budgets

pytestmark = pytest.mark.xdist_group("training_data")  # the runs are made once


@pytest.fixture(scope="module")
def engine() -> Any:
    """llama.cpp by itself, with the logits of every position."""
    import llama_cpp

    return llama_cpp.Llama(str(TINY_PATH), n_ctx=1024, logits_all=True, verbose=False)


def logprobs(engine: Any, ids: tuple[int, ...], temperature: float) -> list[float]:
    """Of each id but the first, after those before it."""
    engine.reset()
    engine.eval(list(ids))
    scores = engine.scores[: len(ids) - 1].astype(np.float64) / temperature
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return [float(scores[place, token]) for place, token in enumerate(ids[1:])]


def test_another_engine_gives_the_recorded_ids_the_recorded_logprobs(
    tiny_shelf: Shelf, engine: Any
) -> None:
    """So the rows hold the very stream that was sampled from: one id more or less would show."""
    rows = list(tiny_shelf.build("sft").rows(TokenRow))
    assert any(len(row.steps) > 1 for row in rows)
    for row in rows:
        assert row.sampling["temperature"] == TEMPERATURE
        assert not any(row.constrained)
        check_logprobs(engine, row)


def check_logprobs(engine: Any, row: TokenRow) -> None:
    expected = [0.0, *logprobs(engine, row.token_ids, row.sampling["temperature"])]
    for place, is_sampled in enumerate(row.loss_mask):
        if is_sampled:
            assert row.logprobs[place] == pytest.approx(expected[place], abs=0.02)


async def stopped_and_resumed(store: RunStore, workspace: Path) -> str:
    """One step in a process of llama.cpp, the rest in another."""
    run_id = ""
    for steps in (1, 8):
        agent: Agent[Any] = Agent(
            "tiny",
            workspace=workspace,
            store=store,
            budgets=Budgets(steps=steps),
            sampling=Sampling(temperature=1.0, constrain=False, seed=1),
        )
        async with agent:
            if run_id:
                await (await resume(agent, run_id)).perform()
            else:
                run_id = (await agent.run("How many lines are in notes.txt?")).run_id
    return run_id


def test_a_run_that_went_on_in_another_process_is_exact_in_both(shelf: Shelf, engine: Any) -> None:
    workspace = shelf.folder / "workspace"
    workspace.mkdir()
    (workspace / "notes.txt").write_text("one\ntwo\n")
    run_id = asyncio.run(stopped_and_resumed(shelf.store, workspace))
    shelf.note(run_id, Rated(step=0, good=True))
    rows = list(shelf.build("sft", ids=[run_id]).rows(TokenRow))
    assert [[span.step for span in row.steps] for row in rows] == [[1], [2]]
    for row in rows:
        check_logprobs(engine, row)


def test_rows_of_all_goals_share_their_prompts(tiny_shelf: Shelf) -> None:
    pairs = list(tiny_shelf.build("dpo").rows(PairRow))
    assert pairs
    for row in pairs:
        assert row.chosen.token_ids != row.rejected.token_ids
    replies = list(tiny_shelf.build("kto").rows(JudgedRow))
    vocabulary = read_vocabulary(TINY_PATH)
    for one in replies:
        assert vocabulary.text(one.prompt_ids).endswith("<|im_start|>assistant\n")
        assert vocabulary.text(one.completion.token_ids).endswith("<|im_end|>")


def test_the_files_own_vocabulary_spells_ids_as_llama_cpp_does(engine: Any) -> None:
    text = '<|im_start|>user\nWie viele Zeilen hat "ä.txt"? 17 * 23<tool_call>'
    ids = tuple(engine.tokenize(text.encode(), add_bos=False, special=True))
    assert read_vocabulary(TINY_PATH).text(ids) == text


def test_what_is_shown_is_the_conversation_with_what_the_model_wrote_marked(
    tiny_shelf: Shelf,
) -> None:
    dataset = tiny_shelf.build("sft")
    vocabulary = vocabulary_of(dataset)
    assert vocabulary is not None
    for row in dataset.rows(TokenRow):
        part: Part = next(parts(row, vocabulary))
        assert not part.pieces[0].is_trained
        assert part.pieces[0].text.startswith("<|im_start|>user\n")
        written = [piece.text for piece in part.pieces if piece.is_trained]
        assert len(written) == len(row.steps)
        assert all(one.endswith("<|im_end|>") for one in written)


def flipped(folder: Path) -> Path:
    """The same model with other weights."""
    content = bytearray(TINY_PATH.read_bytes())
    content[-1] ^= 1
    path = folder / "trained.gguf"
    path.write_bytes(content)
    return path


def add(shelf: Shelf, text: str, path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = {"path": str(path), "sha256": digest}
    shelf.add(text, reward=1.0, model=model, model_sha256=digest)


def test_models_with_one_tokenizer_may_be_mixed_when_asked_for(shelf: Shelf) -> None:
    add(shelf, "before", TINY_PATH)
    add(shelf, "after", flipped(shelf.folder))
    with pytest.raises(ConfigurationError, match="Several models"):
        shelf.build("sft")
    dataset = shelf.build("sft", weights="any")
    assert len(dataset.card["model"]["model_sha256"]) == 2
    assert dataset.card["model"]["tokenizer_sha256"] == read_vocabulary(TINY_PATH).sha256
    assert len({row.origin.model_sha256 for row in dataset.rows(TokenRow)}) == 2


def of_tokens(path: Path, tokens: list[str], kinds: list[int]) -> Path:
    """A model file that is only a vocabulary, in the manner of SentencePiece."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_sentencepiece_vocabulary_has_blanks_and_bytes(shelf: Shelf) -> None:
    tokens = ["<s>", "\u2581one", "<0xC3>", "<0xA4>", "\u2581"]
    path = of_tokens(shelf.folder / "sp.gguf", tokens, [3, 1, 6, 6, 1])
    vocabulary = read_vocabulary(path)
    assert vocabulary.text([0, 1, 4, 2, 3, 99]) == "<s> one \u00e4<?99>"


def test_a_file_that_is_no_model_has_no_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(TINY_PATH.read_bytes()[:5000])
    with pytest.raises(ModelUnavailable, match="no vocabulary"):
        read_vocabulary(path)


def test_rows_whose_model_is_gone_are_shown_as_ids(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.add("ok", prompt="?", reward=1.0)
    shelf.build("sft")
    monkeypatch.chdir(shelf.folder)
    assert dispatch(["data", "show", "rows.jsonl"]) == 0
    shown = capsys.readouterr()
    assert "91 63 93{+111 107+}" in shown.out
    assert "ids are shown" in shown.err


def test_models_with_different_tokenizers_are_never_mixed(shelf: Shelf) -> None:
    other = of_tokens(shelf.folder / "other.gguf", ["a", "b", "c"], [1, 1, 1])
    add(shelf, "before", TINY_PATH)
    add(shelf, "after", other)
    with pytest.raises(ConfigurationError, match="different tokenizers"):
        shelf.build("sft", weights="any")


@pytest.fixture
def agent(tiny_shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`agent("build", …)` gives the exit code of `agent data build …` in the shelf's home."""
    monkeypatch.setenv("WARDIAN_HOME", str(tiny_shelf.folder))
    monkeypatch.chdir(tiny_shelf.folder)
    return lambda *words: dispatch(["data", *words])


Command = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def test_the_command_builds_and_shows(agent: Command, capsys: Captured) -> None:
    build = ("build", "--for", "sft", "--all", "--near-duplicates", "1", "-o", "cli.jsonl")
    assert agent(*build) == 0
    assert "tokens to train on, in cli.jsonl" in capsys.readouterr().err
    assert agent("show", "cli.jsonl", "-n", "1") == 0
    shown = capsys.readouterr().out
    assert "<|im_start|>assistant\n{+" in shown
    assert "<|im_end|>+}" in shown
    assert Dataset.open(Path("cli.jsonl")).kind == "tokens"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["build", "--for", "sft", "-o", "x.jsonl"], 2, "Say which runs"),
        (["build", "--for", "sft", "--all", "--difficulty", "hard", "-o", "x"], 2, "no difficulty"),
        (["build", "--for", "sft", "--all", "--tag", "none", "-o", "x.jsonl"], 1, "gave a row"),
        (["show", "missing.jsonl"], 3, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    agent: Command, capsys: Captured, words: list[str], code: int, said: str
) -> None:
    assert agent(*words) == code
    assert said in capsys.readouterr().err
