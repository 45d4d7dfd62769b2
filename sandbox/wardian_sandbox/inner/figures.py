"""Figures that a cell drew with matplotlib and left open, as PNG."""

from __future__ import annotations

import io
import os
import sys
import warnings
from operator import methodcaller

from wardian_sandbox.inner.claims import MAX_FIGURE_BYTES, MAX_FIGURES

MAX_DPI = 150
NO_WINDOW = ".*(non-interactive|non-GUI backend)"
"""What `show` warns of where there is no screen: the figure is collected all the same."""


def prepare() -> None:
    """Before matplotlib is imported: draw into memory, and let `show` be silent."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    warnings.filterwarnings("ignore", NO_WINDOW, UserWarning)


def collect() -> list[bytes]:
    """The open figures, which are closed; what cannot be drawn is said on standard error."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    drawn: list[bytes] = []
    try:
        numbers = pyplot.get_fignums()
        for number in numbers[:MAX_FIGURES]:
            drawn += _drawn(pyplot.figure(number), number)
        if len(numbers) > MAX_FIGURES:
            print(f"[{len(numbers) - MAX_FIGURES} more figures are left out]", file=sys.stderr)
        pyplot.close("all")
    except BaseException as problem:  # noqa: BLE001 - the guest's own objects are called here
        print(f"[a figure could not be drawn: {type(problem).__name__}]", file=sys.stderr)
    return drawn


def _drawn(figure: object, number: int) -> list[bytes]:
    picture = io.BytesIO()
    dpi = min(float(methodcaller("get_dpi")(figure)), MAX_DPI)
    methodcaller("savefig", picture, format="png", dpi=dpi, bbox_inches="tight")(figure)
    content = picture.getvalue()
    if len(content) > MAX_FIGURE_BYTES:
        print(f"[figure {number} has {len(content)} bytes and is left out]", file=sys.stderr)
        return []
    return [content]
