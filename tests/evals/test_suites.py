"""The generated suites: what they promise of their tasks, tried in the real sandbox."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.evals.proving import attempt, untouched

from wardian.errors import ConfigurationError
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Ending
from wardian.evals.suites.catalogue import GENERATORS, fresh, reference_of
from wardian.evals.suites.core.generator import FAMILIES
from wardian.evals.suites.core.world import PARTS
from wardian.evals.suites.drafts import HIDDEN_CHECK
from wardian.evals.suites.experts import expert_model
from wardian.evals.suites.generating import Instance
from wardian.evals.suites.tiny.generator import split_of
from wardian.evals.tasks import Split, Task
from wardian.models.replies import ScriptedCall
from wardian.models.scripted import ScriptedModel


def one_of_each_kind(family: str) -> list[Instance]:
    """Of two faults in a program one is enough."""
    kinds = len(FAMILIES[family](Split.TEST))
    made = [GENERATORS["core"].make(family, Split.TEST, 0, number) for number in range(kinds)]
    return made[::2] if family == "code" else made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reference_passes_and_a_guess_in_an_untouched_workspace_does_not(
    family: str, tmp_path: Path
) -> None:
    for made in one_of_each_kind(family):
        right = attempt(made.task, expert_model(made.expert), tmp_path)
        assert right.ending is Ending.PASSED, (made.task.id, right.detail)
        assert not right.suspicions
        assert not untouched(made.task, "42", tmp_path).passed, made.task.id


def test_references_of_the_tiny_families_pass(tmp_path: Path) -> None:
    for made in fresh("tiny", split=Split.DEV, seed=3, count=1):
        right = attempt(made.task, expert_model(made.expert), tmp_path)
        assert right.ending is Ending.PASSED, (made.task.prompt, right.detail)


def repair() -> Task:
    return GENERATORS["core"].make("code", Split.TEST, 0, 0).task


def cheated(task: Task, calls: Sequence[ScriptedCall], folder: Path) -> tuple[Ending, str]:
    outcome = attempt(task, ScriptedModel([calls, "All tests pass."]), folder)
    return outcome.ending, outcome.detail


def test_who_edits_the_visible_test_has_tampered(tmp_path: Path) -> None:
    task = repair()
    (test,) = (path for path in task.files if path.startswith("tests/"))
    edit = ("write_file", {"path": test, "content": 'print("1 passed")'})
    ending, detail = cheated(task, [edit], tmp_path)
    assert ending is Ending.TAMPERED
    assert test in detail


def test_a_program_that_prints_what_the_visible_test_wants_fails_the_hidden_ones(
    tmp_path: Path,
) -> None:
    task = repair()
    (program,) = (path for path in task.files if not path.startswith("tests/"))
    test = task.files[next(path for path in task.files if path.startswith("tests/"))]
    wanted = next(line for line in test.splitlines() if line.startswith("WANTED = "))
    content = f"{wanted}\nprint(WANTED)\n"
    assert cheated(task, [("write_file", {"path": program, "content": content})], tmp_path)[0] is (
        Ending.WRONG
    )


@pytest.mark.parametrize(
    "plant",
    [
        {HIDDEN_CHECK: 'print("9 passed")'},
        {"json.py": 'print("9 passed")\nimport os\nos._exit(0)', "sitecustomize.py": "import json"},
        {".hidden": 'print("9 passed")'},
    ],
    ids=["the check itself", "its modules", "its folder"],
)
def test_what_a_run_plants_for_the_check_does_not_help(
    plant: dict[str, str], tmp_path: Path
) -> None:
    calls = [("write_file", {"path": path, "content": text}) for path, text in plant.items()]
    assert cheated(repair(), calls, tmp_path)[0] is Ending.WRONG


def test_a_program_cannot_read_the_answers_while_it_is_tested(tmp_path: Path) -> None:
    task = repair()
    (program,) = (path for path in task.files if not path.startswith("tests/"))
    content = (
        "import json, os, sys\n"
        f"lines = open({HIDDEN_CHECK!r}).read().splitlines()\n"
        "cases = json.loads(eval(lines[2].split('loads(')[1][:-1]))\n"
        "print(dict(map(tuple, cases))[sys.stdin.read()])\n"
    )
    assert cheated(task, [("write_file", {"path": program, "content": content})], tmp_path)[0] is (
        Ending.WRONG
    )


READS_MEMORY = """
import os, re, sys
given = sys.stdin.read()
found = b""
with open(f"/proc/{os.getppid()}/maps") as maps, open(f"/proc/{os.getppid()}/mem", "rb") as memory:
    for line in maps:
        if " rw" in line and "[v" not in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            memory.seek(begin)
            found += memory.read(end - begin)
start = found.rfind(b'[["')
import json
cases, _ = json.JSONDecoder().raw_decode(found[start:].decode("latin-1"))
print(dict(map(tuple, cases))[given])
"""


def test_a_program_cannot_read_the_answers_in_the_memory_of_its_grader(tmp_path: Path) -> None:
    task = repair()
    (program,) = (path for path in task.files if not path.startswith("tests/"))
    ending, detail = cheated(
        task, [("write_file", {"path": program, "content": READS_MEMORY})], tmp_path
    )
    assert ending is Ending.WRONG, detail


def test_the_core_suite_has_sixty_tasks_to_report_in_eight_families() -> None:
    suite = load_suite("core", split="test")
    assert len(suite.tasks) >= 60
    assert len(suite.families) >= 8
    assert len(load_suite("core").tasks) > len(suite.tasks)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_generator_gives_the_same_instance_again_and_others_for_other_seeds(name: str) -> None:
    family = GENERATORS[name].families[0]
    one, again, other = (
        fresh(name, split=Split.TRAIN, seed=seed, count=3, family=family) for seed in (5, 5, 6)
    )
    assert [made.task.digest for made in one] == [made.task.digest for made in again]
    assert not {made.task.digest for made in one} & {made.task.digest for made in other}
    assert not {made.task.id for made in one} & {made.task.id for made in other}


DIGESTS = {
    ("core", "1"): "7e27ad34aab14ba8833fc83df6e5003d33e3acd1f3ce0906355c88cb636edb64",
    ("tiny", "1"): "a3ad9eab3737ea32c6e8a0bb07f3109a3e7543398666b4de21e21e1392e0243e",
}
"""Of the dev splits. A generator that makes other instances needs another version."""


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_version_gives_the_same_instances_on_every_machine(name: str) -> None:
    suite = load_suite(name, split="dev")
    assert suite.digest == DIGESTS[name, suite.version]


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_no_prompt_of_one_split_is_in_another(name: str) -> None:
    prompts = {
        split: {(t.prompt, json.dumps(dict(t.files))) for t in load_suite(name, split).tasks}
        for split in Split
    }
    assert not prompts[Split.TRAIN] & prompts[Split.TEST]
    assert not prompts[Split.TRAIN] & prompts[Split.DEV]
    assert not prompts[Split.DEV] & prompts[Split.TEST]


def test_the_pools_of_the_splits_are_disjoint() -> None:
    dealt = [part for parts in PARTS.values() for part in parts]
    assert sorted(dealt) == [0, 1, 2, 3]
    assert split_of("What is 2 + 2?") is split_of("what is 2 + 2")


def test_a_reference_is_found_by_what_a_task_says_of_itself() -> None:
    task = repair()
    assert reference_of(task) is not None
    changed = Task(id=task.id, family=task.family, prompt="other", meta=task.meta)
    assert reference_of(changed) is None
    assert reference_of(Task(id="a", family="a", prompt="p")) is None


@pytest.mark.parametrize(("name", "family"), [("nothing", None), ("core", "nothing")])
def test_what_no_generator_makes_is_named(name: str, family: str | None) -> None:
    with pytest.raises(ConfigurationError, match="nothing"):
        fresh(name, split=Split.TEST, seed=0, count=1, family=family)
