"""One training from its recipe to what it leaves: the model, its measures, its page."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian._version import __version__
from wardian.train import processes
from wardian.train.base import MODEL_FOLDER, Base, prepare
from wardian.train.checkpoints import RESULT_FILE, begin, result_of, write_json
from wardian.train.errors import TrainingStopped, told
from wardian.train.from_gguf import METADATA_FILE
from wardian.train.gguf.convert import hashes
from wardian.train.measures import Measured, Seen, unseen
from wardian.train.packages import check_training
from wardian.train.page import write_page
from wardian.train.quiet import quiet
from wardian.train.recipe import Method, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training left."""

    out: Path
    model: Path
    """A Hugging Face folder: the whole model, or an adapter and the name of its base"""
    base: Path
    facts: dict[str, Any]
    """As in `training.json`"""
    was_done: bool = False
    """It had ended before; nothing was done"""


def train(recipe: Recipe, *, fresh: bool = False, seen: Seen = unseen) -> Trained:
    """Do the training, or go on with it where it was interrupted.

    Raises: ConfigurationError, ModelUnavailable, StorageError, TrainingStopped, OutOfMemory.
    """
    check_training(recipe.method, is_lora=recipe.is_lora)
    processes.keep_to_one_gpu()
    seen = seen if processes.is_first() else unseen
    out = Path(recipe.out)
    with (
        quiet(),
        told(
            out, recipe.training.micro_batch_size, recipe.training.max_tokens, lora=recipe.is_lora
        ),
    ):
        if recipe.method is Method.GRPO:
            processes.check_alone()
        facts = {"data_sha256": _digest(recipe.data)}
        with processes.first_before_others():
            checkpoint = begin(recipe, facts, fresh=fresh and processes.is_first())
            base = prepare(recipe)
        done = result_of(out)
        if done is not None:
            check_stopped(done, out)
            return Trained(
                out=out, model=out / MODEL_FOLDER, base=base.folder, facts=done, was_done=True
            )
        for notice in base.notices:
            seen(Measured(step=0, steps=0, values={}, said=notice))
        if checkpoint:
            said = f"Going on from {checkpoint.name}."
            seen(Measured(step=0, steps=0, values={}, said=said))
        try:
            model, result = _trained(recipe, base, checkpoint, seen)
        except TrainingStopped as reason:
            about = {"method": str(recipe.method), "base": recipe.base, "stopped": reason.cause}
            write_page(out, {**about, "recipe": recipe.as_json()})
            raise
        if not processes.is_first():
            return Trained(out=out, model=out / MODEL_FOLDER, base=base.folder, facts=result)
        finished = _finished(recipe, base, model, result)
        check_stopped(finished.facts, out)
        return finished


def check_stopped(facts: Mapping[str, Any], out: Path) -> None:
    """Raises: TrainingStopped, when it stopped itself and left what had done best."""
    if "stopped" in facts:
        kept = f"What did best on dev tasks is in {out / MODEL_FOLDER}."
        raise TrainingStopped(f"{facts['stopped']} {kept}", facts["remedy"])


def _digest(data: str) -> str:
    """Of the file of rows; empty where there is none, which is said later."""
    if not Path(data).is_file():
        return ""
    with Path(data).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trained(
    recipe: Recipe, base: Base, checkpoint: Path | None, seen: Seen
) -> tuple[Any, dict[str, Any]]:
    if recipe.method is Method.GRPO:
        from wardian.train.grpo import train_grpo

        return train_grpo(recipe, base, checkpoint, seen)
    from wardian.train.examples import load_examples
    from wardian.train.trl_runs import train_offline

    examples = load_examples(recipe, base.encoder, base.vocabulary)
    for notice in examples.notices:
        seen(Measured(step=0, steps=0, values={}, said=notice))
    return train_offline(recipe, base, examples, checkpoint, seen)


def _finished(recipe: Recipe, base: Base, model: Any, facts: dict[str, Any]) -> Trained:
    """Write the model, then the page, last what says that all is there."""
    out = Path(recipe.out)
    folder = out / MODEL_FOLDER
    model.save_pretrained(str(folder))
    base.tokenizer.save_pretrained(str(folder))
    kept = base.folder / METADATA_FILE
    if kept.is_file():
        (folder / METADATA_FILE).write_bytes(kept.read_bytes())
    result = {
        "method": str(recipe.method),
        "base": recipe.base,
        "base_folder": str(base.folder),
        "base_hashes": hashes(base.folder),
        "data": recipe.data,
        "recipe": recipe.as_json(),
        "recipe_sha256": recipe.digest,
        "wardian": __version__,
        **facts,
    }
    write_page(out, result)
    write_json(out / RESULT_FILE, result)
    return Trained(out=out, model=folder, base=base.folder, facts=result)
