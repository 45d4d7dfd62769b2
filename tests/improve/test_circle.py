"""The whole circle with real data, training, conversion and gate: it ends, and it goes on."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian.errors import ConfigurationError
from wardian.improve import BudgetUsedUp, Limits
from wardian.improve.plan import Stage

KIT = Path(__file__).parents[1] / "support" / "circle_kit.py"
KitOf = Callable[[Path], Any]


def entries(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "circle.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A circle that died once in the middle of each stage: its folder, and how each try ended."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-P", str(KIT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, [json.loads(line) for line in done.stdout.splitlines()]


Killed = tuple[Path, list[dict[str, Any]]]


def test_killed_in_the_middle_of_each_stage_it_ends_as_if_it_had_not_been(killed: Killed) -> None:
    folder, told = killed
    tries = [one for one in told if "stage" in one]
    assert [one["code"] for one in tries] == [-signal.SIGKILL] * 7 + [0], tries
    assert {one["in_service"] for one in tries[:-1]} == {"local:start"}
    made = next(one["model"] for one in told if "model" in one)
    assert tries[-1]["in_service"] == made
    stages = [entry["stage"] for entry in entries(folder / "circle")]
    assert stages == [str(stage) for stage in Stage]
    evaluations = list((folder / "home" / "evaluations").iterdir())
    assert len(evaluations) == 2, "what was cut off was gone on with"
    own = sorted(path.name for path in (folder / "home" / "models" / "own").iterdir())
    assert own == sorted([made.removeprefix("local:"), "start"])


def test_a_round_leaves_a_model_with_its_lineage_and_a_page_that_loads_nothing(
    killed: Killed, kit_at: KitOf
) -> None:
    kit = kit_at(killed[0])
    done = kit.go()
    assert done.is_better
    assert done.rounds == 1
    assert kit.agents.asked == 0, "what is done is not done again"
    assert kit.places.choices.history()[-1].how == "promote"
    lineage = kit.places.registry.get(done.model.removeprefix("local:")).lineage
    assert lineage["training"]["method"] == "sft"
    assert lineage["training"]["data"][0]["card"]["counts"]["rows"] > 0
    assert lineage["conversion"]["agreement"]["same_choice"] > 0.9
    assert lineage["improve"][0]["round"] == 1
    page = done.page.read_text()
    assert "0.0%" in page
    assert "100.0%" in page
    assert not re.search(r"""(src|href|@import|url\()\s*=?\s*["']?https?:""", page)
    assert "<script" not in page
    with pytest.raises(ConfigurationError, match=r"another plan \(attempts was 2"):
        kit.go(attempts=3)


def test_every_other_method_trains_a_round_too(tmp_path: Path, kit_of: KitOf) -> None:
    kit = kit_of(tmp_path)
    kit.agents.improves = False  # so that each round begins alike
    attempts = {"grpo.steps": "1", "grpo.tasks": "1", "grpo.attempts": "2", "dev.tasks": "0"}
    short = {"grpo.max_reply_tokens": "8", "grpo.max_steps": "1", "watch.flat_steps": "0"}
    methods = ("dpo", "kto", "grpo")
    done = kit.go(methods=methods, rounds=3, settings=kit.settings | attempts | short)
    assert (done.rounds, done.is_better, done.ended) == (3, False, "")
    trained = [one["result"] for one in entries(kit.out) if one["stage"] == "train"]
    made = [json.loads((Path(one["out"]) / "training.json").read_text()) for one in trained]
    assert [one["method"] for one in made] == list(methods)
    assert len([*kit.places.registry.names()]) == 4
    decided = [one["result"]["verdict"] for one in entries(kit.out) if one["stage"] == "gate"]
    assert decided == ["no gain"] * 3


def test_a_budget_stops_it_at_once_and_a_larger_one_goes_on(tmp_path: Path, kit_of: KitOf) -> None:
    kit = kit_of(tmp_path)
    with pytest.raises(BudgetUsedUp, match="time is used up"):
        kit.go(limits=Limits(seconds=0.0))
    assert kit.agents.asked == 0
    assert entries(kit.out) == []


def test_attempts_that_teach_nothing_end_it_with_the_reason(tmp_path: Path, kit_of: KitOf) -> None:
    kit = kit_of(tmp_path)
    suite = tmp_path / "letters.jsonl"
    suite.write_text(re.sub(r'"expected": \d+', '"expected": 99', suite.read_text()))
    done = kit.go()
    assert "None of the attempts at 6 tasks passed" in done.ended
    assert done.model == "local:start"
    assert kit.places.choices.now().model == "local:start"
    assert "It ended early" in done.page.read_text()
