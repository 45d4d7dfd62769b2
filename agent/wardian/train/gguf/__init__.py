"""Trained weights as GGUF files: merged or as an adapter, quantised, compared with their source.

`convert` does all of it. Covers the dense decoders named in `architecture.ARCHITECTURES` with a
byte-level BPE; what it does not know it refuses by name, and never guesses.
"""

from wardian.train.gguf.agreement import Agreement
from wardian.train.gguf.convert import Converted, convert, convert_adapter

__all__ = ["Agreement", "Converted", "convert", "convert_adapter"]
