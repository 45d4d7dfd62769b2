"""What it costs to parse and validate one call of ten fields.

Run: python bench/validation.py
"""

import statistics
import timeit
from typing import Literal

from wardian_tools import Registry, ToolCall, tool

ROUNDS, CALLS = 21, 2_000
LIMIT_MICROSECONDS = 20.0
TEXT = (
    '{"path": "src/app/main.py", "text": "hello\\nworld", "count": 3, "ratio": 0.5, "deep": true, '
    '"mode": "fast", "tags": ["a", "b", "c"], "sizes": {"x": 1, "y": 2}, "limit": null, '
    '"note": "grüße"}'
)


@tool
def ten_fields(
    path: str,
    text: str,
    count: int,
    ratio: float,
    deep: bool,
    mode: Literal["fast", "slow"],
    tags: list[str],
    sizes: dict[str, int],
    limit: int | None = None,
    note: str = "",
) -> None:
    """Take ten arguments."""


def main() -> None:
    """Print the median and the fastest of the rounds, in microseconds a call."""
    registry = Registry([ten_fields])
    call = ToolCall(id="c", name="ten_fields", arguments_text=TEXT)
    assert registry.parse(call).problem is None
    rounds = timeit.repeat(lambda: registry.parse(call), number=CALLS, repeat=ROUNDS)
    costs = [seconds / CALLS * 1e6 for seconds in rounds]
    print(
        f"validation of a 10-field call: median {statistics.median(costs):.1f} µs, "
        f"fastest {min(costs):.1f} µs (target {LIMIT_MICROSECONDS:.0f})"
    )


if __name__ == "__main__":
    main()
