"""Whatever the seed, a generated task is one: it can be graded, written, read and made again."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.errors import ConfigurationError
from wardian.evals.grading import verifier_for
from wardian.evals.loading import load_suite
from wardian.evals.suites.catalogue import GENERATORS, fresh, reference_of
from wardian.evals.tasks import Split, Task, row_of, task_of
from wardian.evals.writing import write_suite

FAMILIES = [(name, family) for name, one in sorted(GENERATORS.items()) for family in one.families]


@given(
    which=st.sampled_from(FAMILIES),
    split=st.sampled_from(Split),
    seed=st.integers(0, 10**6),
    number=st.integers(0, 40),
)
@settings(max_examples=150)
def test_each_instance_is_a_task(
    which: tuple[str, str], split: Split, seed: int, number: int
) -> None:
    name, family = which
    task = GENERATORS[name].make(family, split, seed, number).task
    verifier_for(task)
    read = task_of(row_of(task), folder=Path(), source=task.source)
    assert read.digest == task.digest
    assert not task.hidden.keys() & task.files.keys()
    assert reference_of(read) is not None


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_what_is_written_is_read_as_the_same_tasks(name: str, tmp_path: Path) -> None:
    made = [one.task for one in fresh(name, split=Split.DEV, seed=4, count=4)]
    write_suite(made, tmp_path / "suite", name="mine", version="2")
    suite = load_suite(tmp_path / "suite")
    assert (suite.name, suite.version) == ("mine", "2")
    assert {task.id for task in suite.tasks} == {task.id for task in made}
    assert all(reference_of(task) is not None for task in suite.tasks)


def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    task = replace(fresh("core", split=Split.DEV, seed=4, count=1)[0].task, id="../../out")
    with pytest.raises(ConfigurationError, match="leads out"):
        write_suite([task], tmp_path / "suite", name="mine", version="1")


def test_fresh_tasks_of_several_splits_are_a_suite_of_the_folder_s_name(tmp_path: Path) -> None:
    def written(split: str, folder: str = "own", name: str = "") -> str:
        task = Task(id=f"a/{split}", family="a", prompt="?", split=Split(split))
        name = name or f"tiny-{split}-1"
        write_suite([task], tmp_path / folder, name=name, version="1")
        return load_suite(tmp_path / folder).name

    assert [written(split) for split in Split] == ["tiny-train-1", "own", "own"]
    assert [written(split, "tiny") for split in Split][-1] == "tiny-own"
    assert written("train", "mine", "mine to name") == "mine to name"
    assert written("dev", "mine") == "mine to name"
