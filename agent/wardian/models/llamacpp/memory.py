"""How much memory there is, and how a model is laid out in it. Imports nothing heavy."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
SPARE_BYTES = 256 * MIB
"""Left to the rest of the machine."""
GPU_SPARE_SHARE = 0.08
"""Of a GPU's free memory, for llama.cpp's computation buffers and what fragments."""
GPU_SPARE_BYTES = 512 * MIB

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """What this process could still take: of the machine, and of its container where that is less.

    None where the system does not say.
    """
    found = [n for n in (_machine_bytes(), _container_bytes()) if n is not None]
    return min(found, default=None)


def _machine_bytes() -> int | None:
    try:
        told = Path("/proc/meminfo").read_text()
    except OSError:
        return _free_pages()
    line = re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)
    return int(line[1]) * 1024 if line else None


def _free_pages() -> int | None:
    """All of the machine's memory, where it does not say what is free of it (macOS)."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _container_bytes() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        cached = re.search(
            r"^inactive_file (\d+)$", (_CGROUP / "memory.stat").read_text(), re.MULTILINE
        )
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + (int(cached[1]) if cached else 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a model's parts weigh, in bytes."""

    layers: Sequence[int]
    """Weights of each layer."""
    output: int
    """Weights that belong to no layer and follow the last one to the GPU."""
    cells: int
    """The KV cache of each layer."""


def layers_that_fit(layout: Layout, free_bytes: int) -> int:
    """How many layers a GPU takes, counted as llama.cpp does: the last ones first, then the output.

    All of them is `len(layers) + 1`.
    """
    left = free_bytes - max(GPU_SPARE_BYTES, int(free_bytes * GPU_SPARE_SHARE)) - layout.output
    if left < 0:
        return 0
    fitting = 0
    for weights in reversed(layout.layers):
        left -= weights + layout.cells
        if left < 0:
            return fitting
        fitting += 1
    return fitting + 1


def readable(size_bytes: int) -> str:
    """`4.1 GiB`, `320 MiB`."""
    if size_bytes >= 1024 * MIB:
        return f"{size_bytes / 1024 / MIB:.1f} GiB"
    return f"{max(1, round(size_bytes / MIB))} MiB"
