"""A value as people read it, and as JSON. Both are bounded, and made by the guest's own objects."""

from __future__ import annotations

import json
import math
import sys
from operator import attrgetter, methodcaller

from wardian_sandbox.inner.values import maybe_list, maybe_object

MAX_ROWS = 50
MAX_COLUMNS = 20
MAX_DEPTH = 12
MAX_ITEMS = 10_000
SPELT_OUT = ("datetime", "decimal", "pandas", "uuid")
"""Modules whose values stand as text in JSON."""


def readable(value: object) -> str:
    """`repr`, but a table of pandas' whole as far as it is small, with its size."""
    if _is_table(value):
        return str(_TABLE_TEXTS[type(value).__name__](value))
    return repr(value)


def as_json(value: object, limit: int) -> str | None:
    """Plain values, arrays and tables as JSON of at most `limit` characters; None for all else.

    Of a table the first rows. Numbers that JSON has no form for become null.
    """
    try:
        plain = _Plain().of(_table(value) if _is_table(value) else value, 0)
        text = json.dumps(plain, allow_nan=False)
    except Exception:  # noqa: BLE001 - the guest's own objects are called here
        return None
    return text if len(text) <= limit else None


class _Plain:
    """Makes plain JSON values, so many and no more."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def of(self, value: object, depth: int) -> object:
        """Raises: ValueError when it is too deep or too much, TypeError when it is not plain."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ValueError("too much")
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if (members := maybe_object(value)) is not None:
            return {_key(key): self.of(item, depth + 1) for key, item in members.items()}
        if (items := maybe_list(value)) is not None:
            return [self.of(item, depth + 1) for item in items]
        return self._foreign(value, depth)

    def _foreign(self, value: object, depth: int) -> object:
        """numpy's numbers and arrays; dates and the like as text."""
        module = type(value).__module__.partition(".")[0]
        if module == "numpy":
            if attrgetter("size")(value) > self._left:
                raise ValueError("too much")
            return self.of(methodcaller("tolist")(value), depth)
        if module in SPELT_OUT:
            return str(value)
        raise TypeError(type(value).__name__)


def _key(key: object) -> str:
    if isinstance(key, (str, int, float)):
        return str(key)
    raise TypeError("no key of JSON")


def _is_table(value: object) -> bool:
    kind = type(value)
    is_pandas = kind.__module__.partition(".")[0] == "pandas" and "pandas" in sys.modules
    return is_pandas and kind.__name__ in _TABLE_TEXTS


def _table(value: object) -> dict[str, object]:
    """Columns, index and rows of the first rows of a table, and how many rows there are."""
    first = methodcaller("head", MAX_ROWS)(value)
    is_series = type(value).__name__ == "Series"
    return {
        "columns": [attrgetter("name")(value)] if is_series else list(first.columns),
        "index": list(first.index),
        "rows": first.to_numpy().tolist(),
        "row_count": len(attrgetter("index")(value)),
    }


_TABLE_TEXTS = {
    "DataFrame": methodcaller(
        "to_string", max_rows=MAX_ROWS, max_cols=MAX_COLUMNS, show_dimensions=True
    ),
    "Series": methodcaller("to_string", max_rows=MAX_ROWS, name=True, dtype=True, length=True),
}
