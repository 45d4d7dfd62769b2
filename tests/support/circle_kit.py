"""A small circle that is real but for who answers: a suite, a model's weights, agents, and kills.

    python circle_kit.py FOLDER

goes round in FOLDER and dies by SIGKILL once in every stage, each time in the middle of it, then
goes on until it is done; a line of JSON a try.
"""

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wardian import Agent
from wardian.evals.storing import EvaluationStore
from wardian.improve import Plan, improve
from wardian.models.choices import Choices
from wardian.models.function import FunctionModel
from wardian.models.registry import Registered, Registry
from wardian.promotion.promote import Places
from wardian.runs import RunStore
from wardian.types import Request

START = "local:start"
TASKS = 6
SETTINGS = {
    "unstable_template": "allow",
    "training.max_steps": "2",
    "training.checkpoint_steps": "1",
    "training.micro_batch_size": "2",
    "training.batch_size": "4",
    "training.threads": "1",
    "dev.share": "0",
}


def make_suite(path: Path) -> str:
    """Sums; the answer is how many letters the question asks about."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"{family}/{split}-{n}",
            "family": family,
            "prompt": f"How many letters has {'ab'[family == 'sums'] * (number + n)} of {split}?",
            "tools": [],
            "split": split,
            "verifier": {"kind": "number", "expected": number + n},
        }
        for number, (family, split) in enumerate(
            (f, s) for f in ("sums", "texts") for s in ("train", "dev")
        )
        for n in range(TASKS // 2)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def letters(request: Request) -> str:
    """The right answer."""
    return str(len(str(request.messages[-1].content).split()[4]))


class Answering:
    """Agents of models by their spelling: what was made here is right, the first one is not at
    every second attempt at a task to learn from, and never at one that decides."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.improves = True
        """Else all of them answer as the first one does"""
        self.asked = 0

    def __call__(self, spelling: str) -> Agent[Any]:
        tried: dict[str, int] = {}

        def answer(request: Request) -> str:
            self.asked += 1
            question = str(request.messages[-1].content)
            tried[question] = tried.get(question, 0) + 1
            is_first = spelling == START or not self.improves
            if is_first and (" of dev" in question or tried[question] % 2 == 0):
                return "none"
            return letters(request)

        return Agent(FunctionModel(answer, name=spelling), store=self.store)


class Kit:
    """Everything of one circle below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        models = folder / "home" / "models"
        self.places = Places(
            choices=Choices(folder / "home" / "config.toml", models),
            registry=Registry(models),
            evaluations=EvaluationStore(folder / "home" / "evaluations"),
            decisions=models / "promotions",
        )
        self.store = RunStore(folder / "home" / "runs")
        self.agents = Answering(self.store)
        self.out = folder / "circle"
        self.settings = SETTINGS
        os.environ["WARDIAN_HOME"] = str(folder / "home")

    def prepare(self) -> None:
        """A start model with random weights, and the suite."""
        make_suite(self.folder / "letters.jsonl")
        file = _random_gguf(self.folder / "start.gguf")
        model = Registered(name="start", sha256="0" * 64)
        self.places.registry.add(model, file)
        self.places.choices.use(START)

    def plan(self, **more: Any) -> Plan:
        usual: dict[str, Any] = {
            "suite": str(self.folder / "letters.jsonl"),
            "start": START,
            "rounds": 1,
            "attempts": 2,
            "gate_attempts": 1,
            "settings": SETTINGS,
        }
        return Plan(**{**usual, **more})

    def go(self, onlooker: Any = None, **more: Any) -> Any:
        limits = more.pop("limits", None)
        return improve(
            self.plan(**more),
            self.out,
            limits=limits,
            jobs=2,
            agents=self.agents,
            places=self.places,
            store=self.store,
            onlooker=onlooker,
        )


def _random_gguf(path: Path) -> Path:
    spec = importlib.util.spec_from_file_location(
        "random_gguf", Path(__file__).parent / "random_gguf.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Path = module.make_gguf(path, width=32, layers=1)
    return made


class Killer:
    """Dies in the middle of one stage, or at its beginning where nothing is told of its middle."""

    def __init__(self, stage: str) -> None:
        self.wanted = stage
        self.now = ""

    def _die(self, stages: tuple[str, ...]) -> None:
        if self.now == self.wanted and self.now in stages:
            os.kill(os.getpid(), signal.SIGKILL)

    def stage(self, number: int, stage: Any) -> None:
        self.now = str(stage)
        self._die(("score", "build", "promote"))

    def said(self, line: str) -> None:
        if line.startswith("comparing"):
            self._die(("convert",))

    def planned(self, plan: Any, outcomes: Any) -> None:
        pass

    def ended(self, outcome: Any) -> None:
        if outcome.task.endswith("1"):
            self._die(("collect", "gate"))

    def seen(self, measured: Any) -> None:
        if measured.step >= 1:
            self._die(("train",))

    @contextmanager
    def attempting(self) -> Generator[Any]:
        yield self

    @contextmanager
    def training(self) -> Generator[Any]:
        yield self.seen


HEAVY = ("trl.trainer.sft_trainer", "wardian.train.run", "wardian.train.trl_runs", "llama_cpp")
STAGES = ("collect", "score", "build", "train", "convert", "gate", "promote", "")


def main(folder: Path) -> None:
    kit = Kit(folder)
    kit.prepare()
    for package in HEAVY:  # once, and not in every child
        importlib.import_module(package)
    for stage in STAGES:
        child = os.fork()
        if not child:
            done = kit.go(Killer(stage))
            print(json.dumps({"model": done.model, "asked": kit.agents.asked}), flush=True)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        in_service = kit.places.choices.now().model
        print(json.dumps({"stage": stage, "code": code, "in_service": in_service}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
