"""From a folder of trained weights to a checked GGUF file."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ConfigurationError
from wardian.train.gguf.adapter import write_adapter
from wardian.train.gguf.agreement import Agreement, check, compared
from wardian.train.gguf.architecture import Layout, architecture_of, dimensions_of, rope_factors
from wardian.train.gguf.contents import WRITTEN, Contents, write
from wardian.train.gguf.quantise import checked_quantisation, quantise
from wardian.train.gguf.sources import (
    Source,
    base_of,
    is_adapter,
    load_source,
    read_json,
)
from wardian.train.gguf.vocabulary import vocabulary_of
from wardian.train.packages import check_conversion

Seen = Callable[[str], None]
"""Takes a sentence on what is going on."""
METADATA_FILE = "gguf.json"
"""Beside the weights: further keys of the file, such as `wardian.tools_in_prompt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A file that passed its check."""

    path: Path
    quantisation: str
    agreement: Agreement
    sources: dict[str, str]
    """Each file that went into it → SHA-256"""


def convert(
    folder: Path,
    out: Path,
    *,
    quantisation: str = "F16",
    name: str = "",
    base: Path | None = None,
    seen: Seen = lambda _: None,
) -> Converted:
    """Write the model in `folder` as the GGUF file `out` and compare the two.

    An adapter in `folder` is merged into `base` (default: the model its own configuration names).
    `out` is there only if it passed. Raises: WardianError.
    """
    wanted = checked_quantisation(quantisation)
    check_conversion()
    whole = (base or base_of(folder)) if is_adapter(folder) else folder
    architecture_of(read_json(whole / "config.json"))  # before gigabytes are read
    seen(f"loading {folder}")
    source = load_source(folder, base=base)
    unchecked = out.with_name(out.name + ".unchecked")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        seen(f"writing {wanted}")
        _write(unchecked, source, wanted, name or out.stem)
        seen("comparing it with its source")
        agreement = compared(source.model, source.tokenizer, unchecked)
        check(agreement, wanted)
        unchecked.replace(out)
    finally:
        unchecked.unlink(missing_ok=True)
    sources = hashes(whole) | (hashes(folder) if source.adapter else {})
    return Converted(path=out, quantisation=wanted, agreement=agreement, sources=sources)


def convert_adapter(
    folder: Path,
    out: Path,
    *,
    base_gguf: Path,
    base: Path | None = None,
    name: str = "",
    seen: Seen = lambda _: None,
) -> Converted:
    """Write the adapter in `folder` as a GGUF adapter, and compare it on top of `base_gguf`.

    Raises: WardianError.
    """
    check_conversion()
    if not is_adapter(folder):
        raise ConfigurationError(
            f"{folder} holds a whole model and no adapter.", "Leave out --as-adapter."
        )
    whole = base or base_of(folder)
    seen(f"loading {folder}")
    source = load_source(folder, base=base)
    unchecked = out.with_name(out.name + ".unchecked")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_adapter(unchecked, folder, source.config, name or out.stem)
        seen("comparing it with its source")
        agreement = compared(source.model, source.tokenizer, base_gguf, adapter=unchecked)
        check(agreement, _quantisation_of(base_gguf))
        unchecked.replace(out)
    finally:
        unchecked.unlink(missing_ok=True)
    return Converted(
        path=out,
        quantisation="F32",
        agreement=agreement,
        sources=hashes(whole) | hashes(folder),
    )


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that makes the model: weights, configuration, tokenizer."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".jinja"):
            with path.open("rb") as file:
                found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write(path: Path, source: Source, quantisation: str, name: str) -> None:
    if quantisation in WRITTEN:
        write(path, contents_of(source, name), quantisation)
        return
    first = path.with_name(path.name + ".f16")
    try:
        write(first, contents_of(source, name), "F16")
        quantise(first, path, quantisation)
    finally:
        first.unlink(missing_ok=True)


def contents_of(source: Source, name: str) -> Contents:
    """What a file of the model in memory holds. Raises: ConfigurationError."""
    config = source.config
    architecture, dimensions = architecture_of(config), dimensions_of(config)
    rows = source.model.get_input_embeddings().weight.shape[0]
    return Contents(
        architecture=architecture.name,
        name=name,
        dimensions=dimensions,
        vocabulary=vocabulary_of(source.tokenizer, rows),
        tensors=_tensors(source.model, Layout(architecture, dimensions), dimensions),
        metadata=_metadata(source),
    )


def _tensors(
    model: Any, layout: Layout, dimensions: Any
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield from rope_factors(dimensions)
    is_tied = bool(model.config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if is_tied and name == "lm_head.weight":
            continue  # llama.cpp takes the embedding
        values: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
        yield layout.name(name), layout.arranged(name, values)


def _metadata(source: Source) -> dict[str, str | bool]:
    path = source.folder / METADATA_FILE
    kept = read_json(path) if path.is_file() else {}
    return {key: value for key, value in kept.items() if key != "general.name"}


def _quantisation_of(path: Path) -> str:
    from wardian.models.llamacpp.header import read_header

    return read_header(path).quantisation or "F16"
