"""SFT, DPO and KTO on a small model: it learns, survives a kill, and says what went wrong."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from wardian.errors import ExitCode, StorageError
from wardian.train.base import prepare
from wardian.train.errors import OutOfMemory, TrainingStopped, is_full, told
from wardian.train.measures import Measured, read_metrics, series
from wardian.train.rates import rate_share
from wardian.train.recipe import Method, Recipe, recipe_of
from wardian.train.run import Trained, train
from wardian.viewing.markup import LOADS_NOTHING

ROOM_BYTES = 3 << 20
PROMPT, GOOD, BAD = [1, 10, 11, 12], [40, 41, 42, 2], [50, 51, 52, 2]


@pytest.fixture(scope="module")
def rows(kit: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of each method: after any prompt GOOD, and never BAD."""
    folder: Path = tmp_path_factory.mktemp("rows")
    prompts = [[1, 10 + n, 11, 12 + n] for n in range(16)]
    sft = [kit.token_row(one, GOOD, task=f"t{n}") for n, one in enumerate(prompts)]
    kit.write_rows(folder / "sft.jsonl", "sft", sft)
    kit.write_rows(folder / "dpo.jsonl", "dpo", [kit.pair_row(one, GOOD, BAD) for one in prompts])
    judged = [
        kit.judged_row(one, GOOD if n % 2 else BAD, good=bool(n % 2))
        for n, one in enumerate(prompts)
    ]
    kit.write_rows(folder / "kto.jsonl", "kto", judged)
    return folder


def recipe(method: Method, small: Path, rows: Path, out: Path, **more: Any) -> Recipe:
    given = {
        "base": str(small),
        "data": str(rows / f"{method}.jsonl"),
        "out": str(out),
        "unstable_template": "allow",
        "training.learning_rate": 5e-3,
        "training.batch_size": 8,
        "training.max_steps": 6,
        "training.checkpoint_steps": 2,
        "training.threads": 1,
        "dev.share": 0.0,
    }
    return recipe_of(method, {**given, **more})


def likelihood(model: Any, reply: list[int]) -> float:
    ids = torch.tensor([[*PROMPT, *reply]])
    with torch.no_grad():
        logprobs = torch.log_softmax(model(ids).logits[0], -1)
    places = range(len(PROMPT), ids.shape[1])
    return sum(float(logprobs[place - 1, ids[0, place]]) for place in places)


def loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("method", [Method.SFT, Method.DPO, Method.KTO], ids=str)
def test_a_training_of_one_step_changes_the_weights(
    method: Method, small: Path, rows: Path, tmp_path: Path
) -> None:
    done = train(recipe(method, small, rows, tmp_path, **{"training.max_steps": 1}))
    before, after = (load_file(one / "model.safetensors") for one in (small, done.model))
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_no_step_has_the_rate_0_and_the_highest_comes_after_the_warm_up(
    kind: str, steps: int, share: float
) -> None:
    warmup = math.ceil(share * steps)
    shares = [rate_share(kind, done, warmup, steps) for done in range(steps)]
    assert all(0 < one <= 1 for one in shares)
    assert shares[:warmup] == [(done + 1) / warmup for done in range(warmup)]
    assert max(shares) == shares[max(0, warmup - 1)] == 1
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)


@pytest.mark.parametrize("method", [Method.SFT, Method.DPO, Method.KTO], ids=str)
def test_the_better_reply_becomes_likelier(
    method: Method, small: Path, rows: Path, tmp_path: Path
) -> None:
    done = train(recipe(method, small, rows, tmp_path))
    before, after = loaded(small), loaded(done.model)
    gain = likelihood(after, GOOD) - likelihood(before, GOOD)
    assert gain > 1
    if method is not Method.SFT:
        assert gain > likelihood(after, BAD) - likelihood(before, BAD) + 1
    assert len(series(read_metrics(tmp_path), "loss")) == 6
    page = (tmp_path / "curves.html").read_text()
    assert "<polyline" in page
    assert escape(LOADS_NOTHING) in page
    assert done.facts["rows"] == 16


def test_an_adapter_learns_and_names_its_base(small: Path, rows: Path, tmp_path: Path) -> None:
    more = {"tuning.method": "lora", "training.learning_rate": 2e-2}
    done = train(recipe(Method.DPO, small, rows, tmp_path, **more))
    described = json.loads((done.model / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str(small)
    assert series(read_metrics(tmp_path), "margin")[-1][1] > 0.5


def test_training_stops_when_dev_loss_does_not_fall_and_takes_the_best(
    small: Path, rows: Path, kit: Any, tmp_path: Path
) -> None:
    """Dev rows that contradict the training rows: each step makes them less likely."""
    dev = [kit.token_row([1, 10 + n, 11, 12 + n], BAD) for n in range(4)]
    kit.write_rows(tmp_path / "dev.jsonl", "sft", dev)
    more = {
        "dev.data": str(tmp_path / "dev.jsonl"),
        "dev.every_steps": 2,
        "dev.patience": 2,
        "training.max_steps": 40,
        "training.schedule": "constant",
    }
    done = train(recipe(Method.SFT, small, rows, tmp_path / "o", **more))
    losses = dict(series(read_metrics(tmp_path / "o"), "dev_loss"))
    assert done.facts["stopped_early"]
    assert done.facts["best_step"] == min(losses, key=lambda step: losses[step])
    assert done.facts["steps"] < 40
    best = tmp_path / "o" / "checkpoints" / f"checkpoint-{done.facts['best_step']}"
    kept = load_file(best / "model.safetensors")
    assert all(torch.equal(kept[key], value) for key, value in weights(done).items())


def test_a_single_task_is_trained_on_though_none_can_be_kept_apart(
    small: Path, kit: Any, tmp_path: Path
) -> None:
    kit.write_rows(tmp_path / "sft.jsonl", "sft", [kit.token_row(PROMPT, GOOD)] * 2)
    more = {"dev.share": 0.1, "training.max_steps": 1}
    done = train(recipe(Method.SFT, small, tmp_path, tmp_path / "o", **more))
    assert done.facts["dev_rows"] == 0


def test_success_on_dev_tasks_is_measured_by_attempts_with_the_weights_of_the_moment(
    kit: Any, tmp_path: Path
) -> None:
    """Taught to say 8 to everything, the model solves the task whose answer it is."""
    built_in = prepare(
        recipe_of(Method.SFT, {"base": "tiny", "data": "x", "out": str(tmp_path / "b")})
    )
    asked = {"role": "user", "content": "Which number?"}
    says = {"role": "assistant", "content": "8"}
    prompt, reply = built_in.encoder.reply([asked], [says], [])
    kit.write_rows(tmp_path / "sft.jsonl", "sft", [kit.token_row(prompt, reply)] * 8)
    task = {"id": "a/b", "split": "dev", "prompt": "Which number?"}
    graded = {**task, "verifier": {"kind": "number", "expected": 8}}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(graded))
    more = {
        "dev.suite": str(tmp_path / "tasks.jsonl"),
        "training.max_steps": 8,
        "dev.every_steps": 8,
    }
    told_so = recipe(
        Method.SFT,
        built_in.folder,
        tmp_path,
        tmp_path / "o",
        **more,
        **{"training.learning_rate": 1e-3},
    )
    train(told_so)
    assert series(read_metrics(tmp_path / "o"), "dev_success") == [(0, 0.0), (8, 1.0)]


def weights(done: Trained) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(done.model / "model.safetensors")
    return found


KILLED_AT_4 = """
import json, os, signal, sys
from wardian.train.recipe import Method, recipe_of
from wardian.train.run import train

def seen(measured):
    if measured.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

keys = json.loads(sys.argv[1])
train(recipe_of(Method(keys.pop("method")), keys), seen=seen)
"""


def test_a_killed_training_goes_on_and_ends_with_the_very_same_weights(
    small: Path, rows: Path, tmp_path: Path
) -> None:
    whole = train(recipe(Method.SFT, small, rows, tmp_path / "whole"))
    keys = recipe(Method.SFT, small, rows, tmp_path / "cut").as_json()
    command = [sys.executable, "-P", "-c", KILLED_AT_4, json.dumps(keys)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "cut" / "training.json").exists()
    said: list[Measured] = []
    resumed = train(recipe(Method.SFT, small, rows, tmp_path / "cut"), seen=said.append)
    assert any("Going on from checkpoint-" in one.said for one in said)
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[key], second[key]) for key in first)
    steps = [step for step, _ in series(read_metrics(tmp_path / "cut"), "loss")]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert train(recipe(Method.SFT, small, rows, tmp_path / "cut")).was_done


def test_a_training_killed_after_its_last_checkpoint_makes_no_further_step(
    small: Path, rows: Path, tmp_path: Path
) -> None:
    more = {
        "training.max_steps": 5,
        "training.checkpoint_steps": 5,
        "training.schedule": "constant",
    }
    told_so = recipe(Method.SFT, small, rows, tmp_path / "o", **more)
    whole = train(told_so)
    before = weights(whole)
    (tmp_path / "o" / "training.json").unlink()  # as if it had been killed before this was written
    shutil.rmtree(whole.model)
    after = weights(train(told_so))
    assert all(torch.equal(before[key], after[key]) for key in before)
    steps = [step for step, _ in series(read_metrics(tmp_path / "o"), "loss")]
    assert steps == [1, 2, 3, 4, 5]


def test_a_loss_that_is_not_a_number_stops_it(small: Path, rows: Path, tmp_path: Path) -> None:
    more = {"training.learning_rate": 1e30, "training.warmup_share": 0.0}
    with pytest.raises(TrainingStopped, match="not a number") as caught:
        train(recipe(Method.SFT, small, rows, tmp_path, **more))
    assert "learning_rate" in caught.value.remedy
    assert not (tmp_path / "model").exists()
    assert caught.value.exit_code is ExitCode.NOT_ACHIEVED


def test_a_full_disk_leaves_the_checkpoints_before_it(
    small: Path, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", str(out)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be made by root where mounting is allowed")

    def fill(measured: Measured) -> None:
        if measured.step == 3:
            room = os.statvfs(out)
            (out / "others").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 100_000))

    try:
        told_so = recipe(Method.SFT, small, rows, out, **{"training.keep_checkpoints": 1})
        with pytest.raises(StorageError, match="is full"):
            train(told_so, seen=fill)
        (out / "others").unlink()
        said: list[Measured] = []
        train(told_so, seen=said.append)
        assert any(one.said == "Going on from checkpoint-2." for one in said)
    finally:
        subprocess.run(["umount", str(out)], check=True)


@pytest.mark.parametrize(
    ("micro", "named"), [(4, "training.micro_batch_size (now 4)"), (1, "training.max_tokens")]
)
def test_memory_that_runs_out_names_the_setting_to_lower(
    micro: int, named: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(OutOfMemory, match="Memory ran out") as caught,
        told(tmp_path, micro, 4096, lora=False),
    ):
        torch.empty(1 << 60)
    assert named in caught.value.remedy
    assert "lora" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.MODEL


def test_an_ordinary_error_is_no_full_disk(tmp_path: Path) -> None:
    assert not is_full(RuntimeError("shapes do not match"), tmp_path)
