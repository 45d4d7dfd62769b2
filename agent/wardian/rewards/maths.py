"""Mathematical equivalence: `1/2`, `0.5`, `\\frac{1}{2}` and `$\\frac12$` are one answer."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import wardian
from wardian.rewards.texts import bounded, reward
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of
from wardian_sandbox.egress.dialling import look_up
from wardian_sandbox.egress.proxy import ignore
from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.jobs.box import JobBoxes
from wardian_sandbox.types import Egress, Job, JobResult

MODULE = "wardian.rewards.inside.maths"
OWN = str(Path(wardian.__file__).parent.parent)
SECONDS = 5.0
MAX_MATHS_CHARS = 4_000
"""From the end of an answer, where its result stands."""
MAX_KEPT = 4_096
NOT_INSTALLED = "math_verify"


class LimitedProcess:
    """A process in a box without files or network, forked for each job: what it works out can take
    its time and its memory, and nothing else. One serves all verifiers of a program.
    """

    def __init__(self, *, confined: bool = True) -> None:
        """`confined` in a bubblewrap box; else only time and memory are limited."""
        self._boxes = JobBoxes(ignore, look_up, confined=confined)
        self._kept: OrderedDict[tuple[str, ...], dict[str, Any]] = OrderedDict()

    async def compare(self, expected: str, answer: str, precision: int) -> dict[str, Any]:
        """See `inside.maths.compare`. Raises: GradingFailed, SandboxUnavailable."""
        key = (expected, answer, str(precision))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        arguments = {"expected": expected, "answer": answer, "precision": precision}
        job = Job(
            function=f"{MODULE}:compare",
            arguments=arguments,
            seconds=SECONDS,
            modules=(MODULE,),
            folders=(OWN,),
        )
        found = _understood(await self._boxes.run(job, Egress()))
        self._kept[key] = found
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    async def close(self) -> None:
        await self._boxes.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _understood(result: JobResult) -> dict[str, Any]:
    """A comparison that could not be made is a wrong answer, unless ours is the fault."""
    claimed: object = result.value
    if isinstance(claimed, dict):
        return cast("dict[str, Any]", claimed)
    if NOT_INSTALLED in result.detail and "ModuleNotFound" in result.detail:
        raise GradingFailed(
            "Mathematics is compared with math-verify, which is not installed.",
            "pip install 'wardian[train]'",
        )
    why = f"{result.failure}: {result.detail}" if result.detail else str(result.failure)
    return {"equal": False, "side": "answer", "problem": f"could not be worked out ({why})"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MathsMatch:
    """The answer equals an expression, a set, an interval, an equation's solution.

    Source: math-verify, which reads LaTeX and plain expressions and compares with SymPy.
    """

    name: str = field(default="maths", init=False)
    expected: str
    precision: int = 6
    """Digits after the point in which decimal numbers must agree"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed, also where no box can be had to work it out in."""
        answer = bounded(attempt.answer)[-MAX_MATHS_CHARS:]
        try:
            found = await (await shared_process()).compare(self.expected, answer, self.precision)
        except SandboxUnavailable as problem:
            raise GradingFailed(
                f"Mathematics cannot be worked out safely here. {problem}"
            ) from problem
        if found.get("side") == "expected":
            raise GradingFailed(
                f"The expected answer {self.expected!r} is unusable: {found['problem']}.",
                "Mend the task.",
            )
        detail = {key: value for key, value in found.items() if key != "equal"}
        return reward(self, found["equal"] is True, **detail)


_held: dict[asyncio.AbstractEventLoop, tuple[AsyncGenerator[None, None], LimitedProcess]] = {}


async def shared_process() -> LimitedProcess:
    """That of the running event loop; closed when the loop ends its generators."""
    loop = asyncio.get_running_loop()
    if loop not in _held:
        process = LimitedProcess()
        holding = _hold(loop, process)
        _held[loop] = holding, process
        await anext(holding)
    return _held[loop][1]


async def _hold(
    loop: asyncio.AbstractEventLoop, process: LimitedProcess
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _held.pop(loop, None)
        await process.close()
