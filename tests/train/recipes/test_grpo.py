"""GRPO with real runs: groups are compared, weights change, a checkpoint is gone on from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from wardian.errors import ConfigurationError
from wardian.evals.tasks import Task
from wardian.runs import RunStore
from wardian.train.base import prepare
from wardian.train.checkpoints import CHECKPOINTS
from wardian.train.errors import TrainingStopped
from wardian.train.grpo import GroupTraining, Progress
from wardian.train.measures import Measured, read_metrics, series, unseen
from wardian.train.quiet import quiet
from wardian.train.recipe import Method, Recipe, recipe_of
from wardian.train.run import train
from wardian.train.tasks_to_try import Tasks, load_tasks
from wardian.train.watch import History
from wardian_tools.errors import UnknownTool

QUESTIONS = [(23, 45), (31, 67), (54, 12), (98, 11), (76, 34), (65, 43)]


def write_tasks(path: Path, **more: Any) -> Path:
    """Sums with their answers: four to train on, two to measure by."""
    rows = [
        {
            "id": f"sums/{n}",
            "split": "dev" if n >= 4 else "train",
            "prompt": f"What is {a} * {b}?",
            "verifier": {"kind": "number", "expected": a * b},
            **more,
        }
        for n, (a, b) in enumerate(QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe(tmp_path: Path, **more: Any) -> Recipe:
    given = {
        "base": "tiny",
        "out": str(tmp_path / "out"),
        "grpo.suite": str(tmp_path / "tasks.jsonl"),
        "grpo.steps": 2,
        "grpo.tasks": 3,
        "grpo.attempts": 4,
        "grpo.temperature": 2.0,  # the built-in model is sure of itself; a group has to differ
        "grpo.max_reply_tokens": 60,
        "grpo.max_steps": 3,
        "training.learning_rate": 1e-4,
        "training.checkpoint_steps": 1,
        "training.max_tokens": 1024,
        "dev.tasks": 2,
        "dev.every_steps": 2,
        "watch.entropy_share": 0.0,
    }
    return recipe_of(Method.GRPO, {**given, **more})


def test_attempts_are_real_runs_that_change_the_weights_and_can_be_gone_on_from(
    tmp_path: Path,
) -> None:
    write_tasks(tmp_path / "tasks.jsonl")
    told = recipe(tmp_path)
    done = train(told)
    assert done.facts["attempts"] == 24
    assert done.facts["groups_used"] > 0
    rows = read_metrics(told_out(told))
    assert [step for step, _ in series(rows, "reward")] == [1, 2]
    assert [step for step, _ in series(rows, "dev_success")] == [0, 2]
    used = [row for row in rows if row.get("groups_used")]
    # Engine and trainer agree on what was sampled, or the ratios would mean nothing.
    assert all(row["mismatch"] < 1e-3 for row in used)
    runs = RunStore(told_out(told) / "rollouts" / "step-000002" / "runs")
    assert len(runs.ids()) == 12
    last = torch.load(told_out(told) / CHECKPOINTS / "checkpoint-2" / "state.pt", weights_only=True)
    with quiet():
        base = prepare(told)
        again = GroupTraining(told, base, load_tasks(told), unseen)
        before = {name: p.detach().clone() for name, p in again.policy.model.named_parameters()}
        again.restore(told_out(told) / CHECKPOINTS / "checkpoint-2")
    assert again.progress.step == 2
    assert again.progress.attempts == 24
    now = dict(again.policy.model.named_parameters())
    assert all(torch.equal(now[name].detach(), last["weights"][name]) for name in now)
    assert any(not torch.equal(now[name].detach(), before[name]) for name in now)
    assert len(again.policy.optimizer.state_dict()["state"]) == len(last["optimizer"]["state"])


def told_out(told: Recipe) -> Path:
    return Path(told.out)


def test_additions_are_what_the_engine_samples_with(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl")
    more = {"tuning.method": "lora", "tuning.rank": 4, "training.learning_rate": 2e-3}
    told = recipe(tmp_path, **more, **{"dev.tasks": 0, "grpo.steps": 3})
    done = train(told)
    used = [row for row in read_metrics(told_out(told)) if row.get("groups_used")]
    assert used
    assert all(row["mismatch"] < 1e-2 for row in used)
    assert (done.model / "adapter_config.json").is_file()


def test_a_step_in_which_every_attempt_breaks_says_why(tmp_path: Path) -> None:
    broken = {"kind": "command", "command": "true", "sandbox": "none such"}
    write_tasks(tmp_path / "tasks.jsonl", verifier=broken)
    with pytest.raises(TrainingStopped, match=r"Every attempt of step 1 broke .*none such"):
        train(recipe(tmp_path, **{"dev.tasks": 0, "grpo.tasks": 1, "grpo.attempts": 2}))


def test_a_task_that_wants_a_tool_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl", tools=["no_such_tool"])
    with pytest.raises(UnknownTool, match="no_such_tool"):
        train(recipe(tmp_path, **{"dev.tasks": 0, "grpo.tasks": 1, "grpo.attempts": 2}))


def test_a_task_that_cannot_be_graded_is_named_before_anything_is_tried(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl", verifier={"kind": "exactly"})
    with pytest.raises(ConfigurationError, match="sums/"):
        load_tasks(recipe(tmp_path))


def test_groups_that_never_differ_stop_the_training(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl", verifier={"kind": "regex", "pattern": "never said"})
    more = {"dev.tasks": 0, "watch.flat_steps": 1, "grpo.tasks": 1, "grpo.attempts": 2}
    with pytest.raises(TrainingStopped, match="no group of attempts differed"):
        train(recipe(tmp_path, **more))
    assert "no group of attempts differed" in (tmp_path / "out" / "curves.html").read_text()
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("dev", [0, 2])
def test_a_training_in_which_nothing_was_learnt_is_no_success(tmp_path: Path, dev: int) -> None:
    write_tasks(tmp_path / "tasks.jsonl", verifier={"kind": "regex", "pattern": "never said"})
    more = {"dev.tasks": dev, "grpo.steps": 1, "grpo.tasks": 1, "grpo.attempts": 2}
    for _ in range(2):
        with pytest.raises(TrainingStopped, match=r"Nothing was learnt: .* 1 steps? .*mean 0\.00"):
            train(recipe(tmp_path, **more))
    assert "Nothing was learnt" in (tmp_path / "out" / "curves.html").read_text()
    assert not (tmp_path / "out" / "model").exists()


def test_a_training_that_stops_itself_leaves_what_did_best_and_says_so_again(
    tmp_path: Path,
) -> None:
    write_tasks(tmp_path / "tasks.jsonl", verifier={"kind": "regex", "pattern": "never said"})
    more = {"watch.flat_steps": 1, "grpo.tasks": 1, "grpo.attempts": 2}
    for _ in range(2):
        with pytest.raises(TrainingStopped, match="What did best on dev tasks is in"):
            train(recipe(tmp_path, **more))
    assert (tmp_path / "out" / "model" / "config.json").is_file()


@pytest.mark.parametrize("key", ["grpo.split", "dev.suite_split"])
def test_tasks_of_the_test_split_are_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="split test"):
        load_tasks(recipe(tmp_path, **{key: "test"}))


def test_a_dev_task_that_is_trained_on_is_refused(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl", prompt="What is 1 + 1?")
    with pytest.raises(ConfigurationError, match="among those to train on"):
        load_tasks(recipe(tmp_path))


def test_a_suite_without_tasks_of_the_split_is_refused(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl")
    with pytest.raises(ConfigurationError, match="'practice'"):
        load_tasks(recipe(tmp_path, **{"grpo.split": "practice"}))


def test_tasks_of_a_step_are_different_and_the_same_again_for_a_seed(tmp_path: Path) -> None:
    class Choosing(GroupTraining):
        def __init__(self) -> None:
            self.recipe = recipe(tmp_path)
            tasks = [Task(id=f"t/{n}", family="t", prompt=str(n)) for n in range(9)]
            self.tasks = Tasks(train=tuple(tasks), dev=())

        def choose(self, number: int) -> list[str]:
            return [task.id for task in self._choose(number)]

    made = Choosing()
    assert len(set(made.choose(1))) == 3
    assert made.choose(1) == made.choose(1)
    assert made.choose(1) != made.choose(2)


def test_measures_of_steps_done_again_are_dropped(tmp_path: Path) -> None:
    from wardian.train.measures import Metrics

    metrics = Metrics(tmp_path)
    for step in (1, 2, 3):
        metrics.add(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # torn by a kill
    Metrics(tmp_path, after_step=2)
    assert series(read_metrics(tmp_path), "loss") == [(1, 1.0), (2, 2.0)]


def test_what_is_not_a_number_is_kept_out_of_the_file(tmp_path: Path) -> None:
    from wardian.train.measures import Metrics

    Metrics(tmp_path).add(1, {"loss": float("nan"), "kl": 0.5})
    assert series(read_metrics(tmp_path), "loss") == []
    assert Measured(step=1, steps=1, values={}).part == 1.0
    assert Progress().history == History()
