"""A Harbor task, attempted and graded with a real Docker daemon."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardian.evals.checking import Verdict, check_task, done_by
from wardian.evals.harbor import built, image_name
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Ending
from wardian.evals.tasks import Task
from wardian.models.scripted import ScriptedModel
from wardian_sandbox.docker.engine import Engine

pytestmark = pytest.mark.xdist_group("docker")
TEST = """\
if [ "$(cat /app/sum.txt)" = "$(cat /tests/right.txt)" ] && [ ! -e /app/gone.txt ]
then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi
"""


@pytest.fixture
def task(
    docker: Engine, docker_image: str, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Task]:
    if shutil.which("docker") is None:
        pytest.skip("no docker command to build an image with")
    monkeypatch.setenv("WARDIAN_HOME", str(staging / "home"))
    folder = staging / "tasks" / "sum"
    for name in ("environment", "tests"):
        (folder / name).mkdir(parents=True)
    (folder / "instruction.md").write_text("Write the sum of n.txt to sum.txt; remove gone.txt.\n")
    (folder / "task.toml").write_text("[verifier]\ntimeout_sec = 60.0\n")
    (folder / "environment" / "Dockerfile").write_text(
        f"FROM {docker_image}\nUSER root\nWORKDIR /app\nCOPY n.txt gone.txt ./\n"
    )
    (folder / "environment" / "n.txt").write_text("40\n2\n")
    (folder / "environment" / "gone.txt").write_text("")
    (folder / "tests" / "test.sh").write_text(TEST)
    (folder / "solution").mkdir()
    (folder / "solution" / "solve.sh").write_text("echo $((40 + 2)) > /app/sum.txt; rm gone.txt\n")
    (folder / "tests" / "right.txt").write_text("42\n")
    built(folder, print)
    (found,) = load_suite(folder).tasks
    yield found
    docker.call("DELETE", f"/images/{image_name(folder)}", force=1)


def test_a_task_is_attempted_in_its_image_and_graded_in_another_container(
    task: Task, staging: Path
) -> None:
    does = [("shell", {"command": "echo 42 > sum.txt; rm gone.txt; ls /tests || echo none"})]
    right = asyncio.run(done_by(task, ScriptedModel([does, "Done."]), staging, sandbox="docker"))
    assert right.ending is Ending.PASSED, right.detail
    assert asyncio.run(check_task(task, sandbox="docker")).verdict is Verdict.PROVEN
    wrong = asyncio.run(done_by(task, ScriptedModel(["Done."]), staging, sandbox="docker"))
    assert wrong.ending is Ending.WRONG
