"""Runs the expert's, or the model's, calls with the real tools in a real sandbox."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wardian.evals.suites.experts import Step
from wardian.evals.suites.tiny.problem import Problem
from wardian_sandbox import Sandbox, open_sandbox
from wardian_sandbox.types import Confinement
from wardian_tools.builtin import builtin_tools
from wardian_tools.types import ToolContext

MAX_STEPS = 8
"""More calls than any task needs."""

_ALL = 0o777
"""A box started by root works as another user, who must be able to write."""
_CELL = re.compile(r"<cell \d+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """What was called, what came back, the final answer, and the workspace at the end."""

    calls: tuple[tuple[Step, str], ...]
    answer: str
    files: Mapping[str, str]
    folders: frozenset[str] = frozenset()


def fill(folder: Path, files: Mapping[str, str]) -> None:
    """Make `folder` hold exactly `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_ALL)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    for name, text in files.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(exist_ok=True)
            (folder / parent).chmod(_ALL)
        path.write_text(text, "utf-8")
        path.chmod(_ALL)


def contents_of(folder: Path) -> tuple[dict[str, str], frozenset[str]]:
    """Every file's text by path, and every folder."""
    found: dict[str, str] = {}
    folders: set[str] = set()
    for root, _, names in os.walk(folder):
        folders.add(os.path.relpath(root, folder))
        for name in names:
            path = Path(root) / name
            found[str(path.relative_to(folder))] = path.read_text("utf-8", "replace")
    return found, frozenset(folders)


class Workshop:
    """One sandbox around one folder, emptied and filled anew for each task."""

    def __init__(self, folder: Path, box: Sandbox) -> None:
        self.folder, self._box = folder, box
        self._tools = {tool.name: tool for tool in builtin_tools()}
        self._within = Confinement()

    @classmethod
    async def open(cls, folder: Path) -> "Workshop":
        fill(folder, {})
        return cls(folder, await open_sandbox("bubblewrap", folder, Confinement()))

    async def close(self) -> None:
        await self._box.close()

    async def call(self, step: Step) -> str:
        """The result text of a call, as the model would see it. Raises what validation raises."""
        tool = self._tools[step.name]
        arguments = tool.validate(step.arguments)
        context = ToolContext(sandbox=self._box, within=self._within, call_id="1")
        return (await tool.function(context, **arguments)).content

    async def solve(self, problem: Problem) -> Episode:
        """The expert's own episode."""
        fill(self.folder, problem.files)
        expert = problem.expert()
        calls: list[tuple[Step, str]] = []
        try:
            step = next(expert)
            while True:
                result = await self.call(step)
                result = as_if_fresh(result, sum(s.name == "python" for s, _ in calls) + 1)
                calls.append((step, result))
                step = expert.send(result)
        except StopIteration as end:
            answer: str = end.value
        files, folders = contents_of(self.folder)
        return Episode(calls=tuple(calls), answer=answer, files=files, folders=folders)


def as_if_fresh(result: str, cell: int) -> str:
    """A traceback names the cell's number, which a box of one task alone would count from 1."""
    return _CELL.sub(f"<cell {cell}>", result)


def solve_all(
    problems: Iterable[Problem], folder: Path, use: Callable[[Problem, Episode], None]
) -> None:
    """Solve each problem in a sandbox of its own process's making, in order."""

    async def run() -> None:
        shop = await Workshop.open(folder)
        try:
            for problem in problems:
                use(problem, await shop.solve(problem))
        finally:
            await shop.close()

    asyncio.run(run())
