"""`wardian`, as a built tool finds it in its box: `tool`, which notes what each call gave."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

calls: list[str] = []


def tool(function: Callable[..., Any] | None = None, **_options: Any) -> Any:
    if function is None:
        return tool
    wrapped = function

    @functools.wraps(wrapped)
    def noted(*args: Any, **kwargs: Any) -> Any:
        named = [f"{name}={value!r}" for name, value in sorted(kwargs.items())]
        asked = f"{wrapped.__name__}({', '.join([*map(repr, args), *named])})"
        try:
            value = wrapped(*args, **kwargs)
        except Exception as error:
            calls.append(f"{asked} raised {error!r}")
            raise
        calls.append(f"{asked} gave {json.dumps(value, allow_nan=False)}")
        return value

    return noted


class Effect:
    READS = "reads"
    WRITES = "writes"
