"""Checking a tool before a person sees it: its tests pass, and give the same in every box.

The tests run twice, each time in a fresh box and with other hashes. Every result the tool gave is
compared: what depends on the clock, on chance or on the order of a set comes out different.
Does not cover: what the tests do not call; a difference that two runs do not show. The report is
the word of the code in the box: it is there to find mistakes, not to convict a liar.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.building.describe import Description, NotATool, describe
from wardian.building.running import Open, inside, run_script
from wardian_sandbox.types import Confinement, Ending

SEEDS = (1, 2)
MAX_TESTS_BYTES = 128 << 10
LEAST_CALLS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A tool's code and its tests, as written."""

    source: bytes
    tests: bytes

    def described(self) -> Description:
        """Raises: NotATool."""
        try:
            text = self.source.decode()
            self.tests.decode()
        except UnicodeDecodeError as error:
            raise NotATool("tool.py and test_tool.py must be UTF-8 text.") from error
        if len(self.tests) > MAX_TESTS_BYTES:
            raise NotATool(f"test_tool.py is longer than {MAX_TESTS_BYTES} bytes.")
        return describe(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of the tests."""

    tests: tuple[str, ...]
    """Names of those that passed"""
    calls: int
    """Of the tool, in one run of them"""


async def check(draft: Draft, opened: Open, within: Confinement) -> Report:
    """Run the tests in fresh boxes. Raises: NotATool saying what to mend; SandboxError."""
    described = draft.described()
    described.as_tool(unused)
    reports = [await run_tests(draft, opened, within, seed) for seed in SEEDS]
    first, second = reports
    if first != second:
        raise NotATool(f"The tool is not deterministic: {difference(first, second)}")
    if len(first["calls"]) < LEAST_CALLS:
        raise NotATool("The tests do not call the tool.")
    return Report(tests=tuple(first["tests"]), calls=len(first["calls"]))


async def unused(context: object, arguments: object) -> Any:
    raise AssertionError("a tool that is being checked is not called")


async def run_tests(draft: Draft, opened: Open, within: Confinement, seed: int) -> dict[str, Any]:
    """Raises: NotATool, SandboxError."""
    files = {
        "tool.py": draft.source,
        "test_tool.py": draft.tests,
        "check.py": inside("check"),
    }
    with tempfile.TemporaryDirectory(prefix="wardian-tool-") as folder:
        box = await opened(Path(folder), within)
        try:
            told, result = await run_script(box, within, files, ["check.py"], [], seed=seed)
        finally:
            await box.close()
    if told is None:
        how = "were stopped" if result.ending is not Ending.EXITED else "ended without a report"
        raise NotATool(f"The tests {how}. {result.output.strip()[-1500:]}".strip())
    if told.get("problem"):
        raise NotATool(f"test_tool.py cannot be run:\n{told['problem']}")
    tests: dict[str, str] = told.get("tests") or {}
    if not tests:
        raise NotATool("test_tool.py has no function whose name begins with test_.")
    if failed := {name: text for name, text in tests.items() if text}:
        shown = "\n\n".join(f"{name}:\n{text}" for name, text in list(failed.items())[:3])
        raise NotATool(f"{len(failed)} of {len(tests)} tests failed.\n{shown}")
    return {"tests": tests, "calls": told.get("calls") or []}


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The first call that gave something else the second time."""
    for first, second in zip(one["calls"], other["calls"], strict=False):
        if first != second:
            return f"one run says “{first[:300]}”, another “{second[:300]}”."
    return "two runs of its tests called it differently."
