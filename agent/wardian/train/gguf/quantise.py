"""Quantisations that are llama.cpp's own work, in a process of their own."""

import os
import sys
from pathlib import Path

from wardian.errors import ConfigurationError, ModelError
from wardian.train.gguf.contents import WRITTEN
from wardian.train.gguf.processes import run_child

FILE_TYPES = {
    "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
    "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18,
    "IQ4_NL": 25, "IQ4_XS": 30,
}  # fmt: skip
"""Name → `llama_ftype`. Source: llama.h. Those that need an importance matrix are left out."""
QUANTISATIONS = (*WRITTEN, *FILE_TYPES)


def checked_quantisation(name: str) -> str:
    """The name as it is written. Raises: ConfigurationError."""
    if name.upper() not in QUANTISATIONS:
        raise ConfigurationError(
            f"{name!r} is no quantisation that can be written.",
            f"Choose one of {', '.join(QUANTISATIONS)}.",
        )
    return name.upper()


def quantise(source: Path, out: Path, quantisation: str) -> None:
    """`source` (F32, F16 or BF16) in another quantisation. Raises: ModelError."""
    partial = out.with_name(out.name + ".partial")
    try:
        run_child(
            "wardian.train.gguf.quantise",
            [str(source), str(partial), str(FILE_TYPES[quantisation])],
            what=f"llama.cpp could not quantise the model as {quantisation}",
        )
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def main(source: str, out: str, file_type: str) -> None:
    """In the child. Raises: ModelError."""
    from wardian.models.llamacpp.api import llama

    api = llama()
    api.llama_backend_init()
    params = api.llama_model_quantize_default_params()
    params.ftype = int(file_type)
    params.nthread = len(os.sched_getaffinity(0))
    if api.llama_model_quantize(os.fsencode(source), os.fsencode(out), params) != 0:
        raise ModelError("llama_model_quantize refused the file.")


if __name__ == "__main__":
    main(*sys.argv[1:])
