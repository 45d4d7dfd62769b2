"""Environments of the `verifiers` package: with it where it is installed, without it by name."""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.evals.checking import done_by
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Ending
from wardian.models.scripted import ScriptedModel

INSTALLED = find_spec("verifiers") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason="the package verifiers is not installed")
SUMS = """
import verifiers.v1 as vf

__all__ = ["Sums"]


class SumData(vf.TaskData):
    answer: str


class SumTask(vf.Task[SumData]):
    @vf.reward
    async def right(self, task: SumData, trace: vf.Trace) -> float:
        return float(trace.last_reply == task.answer)


class Sums(vf.Taskset[SumTask]):
    def load(self):
        for n in range(3):
            data = SumData(prompt=f"What is {n} + 1?", answer=str(n + 1))
            yield SumTask(data, self.config.task)
"""


@pytest.mark.skipif(INSTALLED, reason="the package verifiers is installed")
def test_without_the_package_it_is_named() -> None:
    with pytest.raises(ConfigurationError, match="pip install -U verifiers"):
        load_suite("verifiers:sums")


def test_no_name_is_named() -> None:
    with pytest.raises(ConfigurationError, match="names no taskset"):
        load_suite("verifiers:")


@needs_it
def test_its_tasks_are_attempted_by_ours_and_graded_by_its_rewards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wardian_test_sums.py").write_text(SUMS)
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = load_suite("verifiers:wardian_test_sums")
    assert [task.prompt for task in suite.tasks] == [f"What is {n} + 1?" for n in range(3)]
    for answer, ending in (("2", Ending.PASSED), ("3", Ending.WRONG)):
        made = asyncio.run(done_by(suite.tasks[1], ScriptedModel([answer]), tmp_path))
        assert made.ending is ending
    sys.modules.pop("wardian_test_sums")


@needs_it
def test_a_taskset_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no_such_taskset"):
        load_suite("verifiers:no_such_taskset")
