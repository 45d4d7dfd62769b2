"""Are two pieces of mathematics equal? Runs in a process of its own with limits, a fork each time.

SymPy's parser can be made to compute for ever, and some of its entrances evaluate Python: a limit
of time needs a process that can be killed, and what it reads must find nothing worth having.
"""

import importlib
import re
from typing import Any

from wardian_sandbox.jobs.worker import Way

MAX_DEPTH = 200
"""Of brackets. LaTeX's parser goes one Python frame deeper, and more, for each."""
MAX_DIGITS = 60
"""Of a number that is raised to a power, or is one."""
POWER = r"(?:\*\*|\^)\s*[{(]?\s*"
TOWER = re.compile(rf"{POWER}[-+]?\d{{4,}}|{POWER}\d+\s*[}})]?\s*{POWER}\d|\d{{5,}}\s*!|\d\s*!\s*!")
LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS},}}")


def prepare(way: Way) -> None:
    """Loaded once, before the process is forked for each comparison."""
    _library()


def compare(way: Way, expected: str, answer: str, precision: int) -> dict[str, Any]:
    """`equal`, what was understood of each side, and `problem` where one was not understood."""
    for side, text in (("expected", expected), ("answer", answer)):
        if problem := _excess(text):
            return {"equal": False, "side": side, "problem": problem}
    gold, got = _parsed(expected), _parsed(answer)
    if not gold:
        return {"equal": False, "side": "expected", "problem": "no mathematics was found in it"}
    if not got:
        return {"equal": False, "side": "answer", "problem": "no mathematics was found in it"}
    equal = _library().verify(gold, got, float_rounding=precision, timeout_seconds=None)
    return {"equal": bool(equal), "expected": str(gold[-1])[:200], "answer": str(got[-1])[:200]}


def _parsed(text: str) -> list[Any]:
    parse = _library().parse
    found: list[Any] = parse(text, parsing_timeout=None)
    return found or parse(f"${text}$", parsing_timeout=None)


def _library() -> Any:
    return importlib.import_module("math_verify")  # it has no types


def _excess(text: str) -> str | None:
    """What is in it that would only burn time."""
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return f"brackets deeper than {MAX_DEPTH}"
    if LONG_NUMBER.search(text):
        return f"a number of {MAX_DIGITS} digits and more"
    if TOWER.search(text):
        return "a power or a factorial too large to work out"
    return None
