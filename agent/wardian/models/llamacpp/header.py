"""The header of a GGUF file, read without loading the model.

Every length in it is checked against the file before it is believed, so that a damaged file is
one sentence and neither a crash nor an allocation of terabytes.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3; 2 differs in nothing
read here).
"""

import mmap
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = b"GGUF"
MAX_KEPT_STRING_BYTES = 4_000_000
"""Longer string values are skipped: no template or name is that long."""

_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_NO_LAYER = -1

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""Value type → struct code; 8 is a string, 9 an array."""
_STRING, _ARRAY = 8, 9
_ITEMS_AT_LEAST_BYTES = {**{t: struct.calcsize(c) for t, c in _SCALARS.items()}, _STRING: 8}

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Tensor type → (elements, bytes) of one block. Types not named here are not measured."""

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 38: "MXFP4",
}  # fmt: skip
"""`general.file_type` → the name users know. Source: `llama_ftype` in llama.h."""


class HeaderDamaged(Exception):
    """The message ends the sentence “<file> …”."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    values: dict[str, str | int | float | bool] = field(repr=False)
    """Scalars and strings; arrays are left out."""
    tensors: int
    data_end: int
    """First byte after the last tensor that could be measured."""
    layer_bytes: tuple[int, ...] = ()
    """Of each layer's weights, of types that could be measured."""
    other_bytes: int = 0
    """Of the weights that belong to no layer."""

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    @property
    def template(self) -> str | None:
        found = self.values.get("tokenizer.chat_template")
        return found if isinstance(found, str) else None

    @property
    def trained_context_tokens(self) -> int | None:
        found = self.values.get(f"{self.architecture}.context_length")
        return found if isinstance(found, int) else None

    @property
    def layer_cell_bytes(self) -> int:
        """About what one token takes in one layer's cache, in half precision."""
        heads = self._number("attention.head_count") or 1
        width = self._number("embedding_length") // heads
        key = self._number("attention.key_length") or width
        value = self._number("attention.value_length") or width
        return (self._number("attention.head_count_kv") or heads) * (key + value) * 2

    def _number(self, key: str) -> int:
        found = self.values.get(f"{self.architecture}.{key}")
        return found if isinstance(found, int) else 0

    @property
    def quantisation(self) -> str | None:
        found = self.values.get("general.file_type")
        return FILE_TYPES.get(found) if isinstance(found, int) else None


def read_header(path: Path) -> Header:
    """Raises: HeaderDamaged, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(24)
        if not start:
            raise HeaderDamaged("is empty (0 bytes)")
        if start[:4] != MAGIC:
            raise HeaderDamaged(f"is not a GGUF file: it begins with {start[:4]!r}")
        if len(start) < 24:
            raise HeaderDamaged(f"is cut short after {size} bytes")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data, size).header()


class _Reader:
    """A cursor that never leaves the file."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data = data
        self._size = size
        self._at = 4

    def header(self) -> Header:
        version = self._number("I")
        if version not in (2, 3):
            raise HeaderDamaged(f"is GGUF version {version}; versions 2 and 3 can be read")
        tensors, entries = self._number("Q"), self._number("Q")
        self._expect(tensors, 24, "tensors")
        self._expect(entries, 12, "metadata entries")
        values: dict[str, str | int | float | bool] = {}
        for _ in range(entries):
            key = self._string()
            value = self._value(self._number("I"))
            if key is not None and value is not None:
                values[key] = value
        layers: dict[int, int] = {}
        ends = [self._tensor_end(layers) for _ in range(tensors)]
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise HeaderDamaged(f"has an impossible alignment ({alignment})")
        begin = (self._at + alignment - 1) // alignment * alignment
        end = begin + max(ends) if ends else self._at
        if end > self._size:
            raise HeaderDamaged(
                f"is cut short: its tensors end at byte {end} and the file at byte {self._size}"
            )
        other = layers.pop(_NO_LAYER, 0)
        return Header(
            values=values,
            tensors=tensors,
            data_end=end,
            layer_bytes=tuple(layers[i] for i in sorted(layers)),
            other_bytes=other,
        )

    def _value(self, kind: int) -> str | int | float | bool | None:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        if kind not in _SCALARS:
            raise HeaderDamaged(f"has a damaged header: a value of unknown type {kind}")
        return self._number(_SCALARS[kind])

    def _skip_array(self) -> None:
        kind, count = self._number("I"), self._number("Q")
        if kind not in _ITEMS_AT_LEAST_BYTES:
            raise HeaderDamaged(f"has a damaged header: an array of unknown type {kind}")
        self._expect(count, _ITEMS_AT_LEAST_BYTES[kind], "array items")
        if kind != _STRING:
            self._move(count * _ITEMS_AT_LEAST_BYTES[kind])
            return
        data, at, size = self._data, self._at, self._size
        for _ in range(count):
            at += 8 + int.from_bytes(data[at : at + 8], "little")
            if at > size:
                raise HeaderDamaged("has a damaged header: a string is longer than the file")
        self._at = at

    def _string(self) -> str | None:
        length = self._number("Q")
        begin = self._at
        self._move(length)
        if length > MAX_KEPT_STRING_BYTES:
            return None
        return self._data[begin : self._at].decode(errors="replace")

    def _tensor_end(self, layers: dict[int, int]) -> int:
        """Where the tensor's data ends; adds its size to its layer's."""
        name = self._string() or ""
        dimensions = self._number("I")
        if dimensions > 8:
            raise HeaderDamaged(f"has a damaged header: a tensor of {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self._number("Q")
        kind, offset = self._number("I"), self._number("Q")
        block, block_bytes = _BLOCKS.get(kind, (1, 0))
        size = elements // block * block_bytes
        layer = _LAYER.match(name)
        number = int(layer[1]) if layer else _NO_LAYER
        layers[number] = layers.get(number, 0) + size
        return offset + size

    def _number(self, code: str) -> int:
        begin = self._at
        self._move(struct.calcsize("<" + code))
        found: int = struct.unpack_from("<" + code, self._data, begin)[0]
        return found

    def _expect(self, count: int, each_bytes: int, what: str) -> None:
        if count * each_bytes > self._size - self._at:
            raise HeaderDamaged(f"is cut short or damaged: {count} {what} do not fit in it")

    def _move(self, step: int) -> None:
        if step > self._size - self._at:
            raise HeaderDamaged(
                f"is cut short or damaged: its header ends beyond byte {self._size}"
            )
        self._at += step
