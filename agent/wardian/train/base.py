"""The model that a training begins with: found, unpacked, checked, loaded.

Everything downstream works on a Hugging Face folder. A GGUF file is unpacked into one below the
training's own folder, so that it also is there when an adapter has to be merged into it later.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian.models.catalogue import local_file
from wardian.models.gguf_files import FILE_KINDS
from wardian.train.from_gguf import METADATA_FILE, unpack
from wardian.train.gguf.sources import is_adapter, load_source
from wardian.train.libraries import library
from wardian.train.recipe import Recipe
from wardian.train.template_check import check_template
from wardian.train.text_rows import Encoder

BASE_FOLDER = "base"
MODEL_FOLDER = "model"
SMALL_PARAMETERS = 16_000_000
"""Up to this one thread computes: waiting for each other costs more than the work. Measured on two
busy hyperthreads, 1.7 million parameters: 0.1 s a step with one thread, 3 s with two."""
TOOLS_KEY = "wardian.tools_in_prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base model on the disk, with what goes with it."""

    folder: Path
    tokenizer: Any
    describe_tools: bool
    """False where the model knows its tools by heart"""
    vocabulary: int
    """Rows of its embedding"""
    notices: tuple[str, ...] = ()

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.tokenizer, self.describe_tools)

    @property
    def pad(self) -> int:
        """A token that no row holds as the end of a reply."""
        found: int | None = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if found is None else found


def prepare(recipe: Recipe) -> Base:
    """Find and check the base model. Raises: ConfigurationError, ModelUnavailable."""
    folder = _folder(recipe.base, Path(recipe.out))
    _check_config(folder)
    try:
        tokenizer = library("transformers").AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as problem:
        raise ConfigurationError(
            f"The tokenizer in {folder} cannot be loaded ({problem!s:.200}).",
            "Copy the model's tokenizer files beside its weights.",
        ) from problem
    describe_tools = _read(folder / METADATA_FILE).get(TOOLS_KEY) is not False
    notices = check_template(
        Encoder(tokenizer, describe_tools), allow=recipe.unstable_template == "allow"
    )
    return Base(
        folder=folder,
        tokenizer=tokenizer,
        describe_tools=describe_tools,
        vocabulary=int(_read(folder / "config.json").get("vocab_size") or len(tokenizer)),
        notices=tuple(notices),
    )


def load_weights(base: Base, recipe: Recipe) -> Any:
    """The model, with low-rank additions where the recipe asks for them.

    Raises: ConfigurationError.
    """
    import torch

    torch.manual_seed(recipe.training.seed)  # pyright: ignore[reportUnknownMemberType] # torch: untyped
    half = recipe.is_lora and wants_bf16(recipe)
    model = library("transformers").AutoModelForCausalLM.from_pretrained(
        base.folder,
        dtype=torch.bfloat16 if half else torch.float32,
        local_files_only=True,
        trust_remote_code=False,
    )
    small = sum(p.numel() for p in model.parameters()) <= SMALL_PARAMETERS
    if threads := recipe.training.threads or int(small):
        torch.set_num_threads(threads)
    return with_lora(model, recipe) if recipe.is_lora else model


def with_lora(model: Any, recipe: Recipe) -> Any:
    """Raises: ConfigurationError where no matrix has one of the names."""
    peft, tuning = library("peft"), recipe.tuning
    config = peft.LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        lora_dropout=tuning.dropout,
        target_modules=list(tuning.modules),
        task_type="CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as problem:
        raise ConfigurationError(
            f"The base model has no matrix called {' or '.join(tuning.modules)}.",
            "Name those it has in tuning.modules.",
        ) from problem


def wants_bf16(recipe: Recipe) -> bool:
    """Raises: ConfigurationError where it is asked for and cannot be had."""
    import torch

    has = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if recipe.training.precision == "bf16" and not has:
        raise ConfigurationError(
            "There is no GPU here that computes in bf16.", 'Set training.precision = "auto".'
        )
    return has and recipe.training.precision != "fp32"


def _folder(spelling: str, out: Path) -> Path:
    """A folder of transformers with the weights of what is spelled so."""
    path = Path(spelling).expanduser()
    if path.is_dir():
        inner = path / MODEL_FOLDER
        path = inner if not (path / "config.json").is_file() and inner.is_dir() else path
        if is_adapter(path):
            return _merged(path, out / BASE_FOLDER)
        return path
    if spelling != "tiny" and not spelling.startswith(FILE_KINDS):
        raise ConfigurationError(
            f"There is no base model {spelling!r:.200}.",
            "Name a folder of weights, tiny, local:NAME or gguf:PATH.",
        )
    return unpack(local_file(spelling, os.environ), out / BASE_FOLDER)


def _merged(adapter: Path, folder: Path) -> Path:
    """The adapter's base with the adapter in it: what another training begins with."""
    if not folder.exists():
        source = load_source(adapter)
        partial = folder.with_name(folder.name + ".partial")
        source.model.save_pretrained(partial)
        source.tokenizer.save_pretrained(partial)
        kept = source.folder / METADATA_FILE
        if kept.is_file():
            (partial / METADATA_FILE).write_bytes(kept.read_bytes())
        partial.replace(folder)
    return folder


def _check_config(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"{folder} holds no model: it has no config.json.",
            "Name a Hugging Face folder, gguf:PATH, or tiny.",
        )


def _read(path: Path) -> dict[str, Any]:
    """Of a JSON file; empty where there is none. Raises: ConfigurationError."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise ConfigurationError(f"{path} is not JSON.", "Copy the model again.") from problem
    return found
