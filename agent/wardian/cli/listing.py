"""Lists for people and for programs."""

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from wardian.cli.sanitise import one_line
from wardian.cli.terminal import terminal, write

GAP = 2
CELL_LIMIT = 200


def print_json(value: Any) -> None:
    """One JSON document on stdout, ASCII only, so that nothing in it can act on a terminal."""
    write(sys.stdout, json.dumps(value, indent=2).replace("\x7f", "\\u007f") + "\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Aligned columns on stdout, the last one cut to the terminal's width; `empty` to stderr."""
    if not rows:
        write(sys.stderr, empty + "\n")
        return
    cells = [[one_line(cell, CELL_LIMIT) for cell in row] for row in (headers, *rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(headers))]
    screen = terminal(sys.stdout)
    room = screen.width - sum(widths[:-1]) - GAP * (len(headers) - 1)
    for number, row in enumerate(cells):
        last = one_line(row[-1], room) if screen.is_tty and room > 10 else row[-1]
        padded = [
            cell + " " * (width - columns(cell) + GAP)
            for cell, width in zip(row, widths, strict=True)
        ]
        line = "".join([*padded[:-1], last]).rstrip()
        bold = screen.colour and number == 0
        write(sys.stdout, f"\x1b[1m{line}\x1b[0m\n" if bold else line + "\n")


def columns(text: str) -> int:
    """Terminal columns `text` takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
