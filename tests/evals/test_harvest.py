"""A finished run becomes a task, or is refused with the reason."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from wardian import Agent
from wardian.errors import ConfigurationError
from wardian.evals.checking import Verdict, check_task, done_by
from wardian.evals.harvesting import Harvested, Wanted, harvest
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Ending
from wardian.models.replies import Answer
from wardian.models.scripted import ScriptedModel
from wardian.runs import RunStore, Trajectory
from wardian_policies.redaction.redactor import Redactor

SECRET = "hunter2-correct-horse"
WRITES = [("write_file", {"path": "out/sum.txt", "content": "42\n"})]
HAS_SUM = {"kind": "files", "files": [{"path": "out/sum.txt", "text": "42"}]}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    (workspace / "tests").mkdir(parents=True)
    (workspace / "numbers.txt").write_text("40\n2\n")
    (workspace / "settings.ini").write_text(f"[server]\npassword = {SECRET}\n")
    (workspace / "tests" / "check.py").write_text(
        "assert open('out/sum.txt').read().strip() == '42'\n"
    )
    return tmp_path


def run_of(
    house: Path, *replies: Answer, prompt: str = "Write the sum to out/sum.txt."
) -> Trajectory:
    store = RunStore(house / "runs")
    agent = Agent(ScriptedModel(replies), workspace=house / "workspace", store=store)
    result = asyncio.run(agent.run(prompt))
    return store.load(result.run_id)


def harvested(run: Trajectory, house: Path, wanted: Wanted) -> Harvested:
    redactor = Redactor({"PASSWORD": SECRET})
    return asyncio.run(harvest(run, wanted, house / "tasks", redactor))


def test_a_run_becomes_a_task_that_begins_where_it_began(house: Path) -> None:
    run = run_of(house, WRITES, "Done.")
    made = harvested(run, house, Wanted(verifier=(HAS_SUM,)))
    (task,) = load_suite(house / "tasks").tasks
    assert task.prompt == "Write the sum to out/sum.txt."
    assert task.workspace is not None
    assert (task.workspace / "numbers.txt").read_text() == "40\n2\n"
    assert not (task.workspace / "out").exists()
    assert task.id == made.task.id
    assert task.meta["run"] == run.run_id
    assert asyncio.run(check_task(task)).verdict is Verdict.PROVEN
    again = asyncio.run(done_by(task, ScriptedModel([WRITES, "Done."]), house))
    assert again.ending is Ending.PASSED
    assert asyncio.run(done_by(task, ScriptedModel(["Done."]), house)).ending is Ending.WRONG


def test_registered_secrets_stay_behind(house: Path) -> None:
    run = run_of(house, WRITES, "Done.", prompt=f"The password is {SECRET}. Write the sum.")
    made = harvested(run, house, Wanted(verifier=(HAS_SUM,)))
    assert set(made.redacted) == {"prompt", "settings.ini"}
    written = [path.read_text() for path in made.path.rglob("*") if path.is_file()]
    assert not any(SECRET in text for text in written)


def test_what_is_no_text_is_kept_as_it_is(house: Path) -> None:
    (house / "workspace" / "picture.png").write_bytes(b"\x89PNG\0\xff")
    (house / "workspace" / "link").symlink_to("numbers.txt")
    (house / "workspace" / "go.sh").write_text("echo\n")
    (house / "workspace" / "go.sh").chmod(0o755)
    made = harvested(run_of(house, WRITES, "Done."), house, Wanted(verifier=(HAS_SUM,)))
    kept = made.path / "workspace"
    assert (kept / "picture.png").read_bytes() == b"\x89PNG\0\xff"
    assert str((kept / "link").readlink()) == "numbers.txt"
    assert (kept / "go.sh").stat().st_mode & 0o111


def test_a_secret_in_what_is_no_text_stops_the_harvest(house: Path) -> None:
    (house / "workspace" / "data.bin").write_bytes(b"\xff\0" + SECRET.encode())
    run = run_of(house, WRITES, "Done.")
    with pytest.raises(ConfigurationError, match=r"data\.bin is no text"):
        harvested(run, house, Wanted(verifier=(HAS_SUM,)))
    assert not (house / "tasks").exists()


def test_hidden_files_are_taken_out_of_the_workspace(house: Path) -> None:
    run = run_of(house, WRITES, "Done.")
    check = {"kind": "command", "command": "python3 tests/check.py"}
    made = harvested(run, house, Wanted(verifier=(check,), hide=("tests/**",)))
    (task,) = load_suite(house / "tasks").tasks
    assert list(task.hidden) == ["tests/check.py"]
    assert not list((made.path / "workspace").rglob("check.py"))
    assert made.notices == ()


def test_a_check_that_a_solver_could_change_is_pointed_out(house: Path) -> None:
    run = run_of(house, WRITES, "Done.")
    check = {"kind": "command", "command": "python3 tests/check.py"}
    made = harvested(run, house, Wanted(verifier=(check,)))
    (notice,) = made.notices
    assert "tests/check.py" in notice


@pytest.mark.parametrize(
    ("replies", "check", "why"),
    [
        (["I cannot."], HAS_SUM, "kept no state"),
        ([WRITES, "Done."], {"kind": "exact", "expected": ["7"]}, "does not pass"),
        (
            [WRITES, "Done."],
            {"kind": "files", "files": [{"path": "numbers.txt"}]},
            "passes already",
        ),
        ([WRITES, "Done."], {"kind": "regex", "pattern": "("}, "broke"),
    ],
    ids=["no state", "not passed", "passed before", "a check that breaks"],
)
def test_what_is_no_task_is_refused_and_nothing_is_written(
    house: Path, replies: Sequence[Answer], check: dict[str, object], why: str
) -> None:
    run = run_of(house, *replies)
    with pytest.raises(ConfigurationError, match=why):
        harvested(run, house, Wanted(verifier=(check,)))
    assert not (house / "tasks").exists()


def test_a_run_that_came_to_no_answer_is_refused(house: Path) -> None:
    store = RunStore(house / "runs")
    agent = Agent(ScriptedModel([WRITES]), workspace=house / "workspace", store=store)
    with pytest.raises(Exception, match="script"):
        asyncio.run(agent.run("Write the sum."))
    (summary,) = store.list()
    with pytest.raises(ConfigurationError, match="came to no answer"):
        harvested(store.load(summary.run_id), house, Wanted(verifier=(HAS_SUM,)))


def test_a_run_that_only_answered_takes_the_folder_as_it_is(house: Path) -> None:
    run = run_of(house, "42", prompt="What is the sum of numbers.txt?")
    check = json.loads('{"kind": "number", "expected": 42}')
    made = harvested(run, house, Wanted(verifier=(check,), as_it_is=True))
    assert made.notices
    assert (made.path / "workspace" / "numbers.txt").exists()
