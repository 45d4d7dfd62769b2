"""A model's plan, as `todo` keeps it, on the screen."""

from collections.abc import Mapping
from typing import Any, cast

from wardian.cli.sanitise import one_line
from wardian_tools.types import ResultStatus, ToolResult

MARKS = {"done": "[x]", "doing": "[>]", "open": "[ ]"}
LINE_CHARS = 160


def plan_lines(result: ToolResult) -> list[str]:
    """A line for each step; empty when the result is no plan."""
    steps: object = result.data.get("plan")
    if result.name != "todo" or result.status is not ResultStatus.OK or not isinstance(steps, list):
        return []
    return [line(step) for step in cast("list[Mapping[str, Any]]", steps)]


def line(step: Mapping[str, Any]) -> str:
    mark = MARKS.get(str(step.get("state")), MARKS["open"])
    return f"{mark} {one_line(str(step.get('text', '')), LINE_CHARS)}"
