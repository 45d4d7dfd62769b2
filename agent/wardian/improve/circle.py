"""Round after round: does what is not done yet, and writes down what is."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardian.agent import Agent
from wardian.data import NothingToLearn as NoData
from wardian.errors import ConfigurationError
from wardian.evals.loading import load_suite
from wardian.evals.tasks import Split
from wardian.improve.diary import LAST, Diary, Json
from wardian.improve.page import write_page
from wardian.improve.plan import Plan, Stage, check, gate_split, splits_of
from wardian.improve.purse import Limits, Purse
from wardian.improve.stages import NothingToLearn, Round, recipe_of
from wardian.improve.watching import Nobody, Onlooker
from wardian.models.catalogue import local_file
from wardian.models.gguf_files import FILE_KINDS
from wardian.promotion import Trial, promote
from wardian.promotion.promote import Agents, Places
from wardian.runs import RunStore
from wardian.settings import paths
from wardian.train.packages import check_conversion, check_training


@dataclass(frozen=True, slots=True, kw_only=True)
class Improved:
    """Where a circle has come to."""

    folder: Path
    page: Path
    start: str
    model: str
    """The best so far: `start`, where nothing was better"""
    rounds: int
    """That were gone round to their end"""
    ended: str = ""
    """Why before the last one; empty where it was not"""
    reason: str = ""
    """Of the last verdict; empty where there is none"""

    @property
    def is_better(self) -> bool:
        return self.model != self.start


@dataclass(slots=True, kw_only=True)
class Circle:
    """One circle while it goes round."""

    plan: Plan
    diary: Diary
    purse: Purse
    places: Places
    store: RunStore
    agents: Agents
    jobs: int
    onlooker: Onlooker

    def go(self) -> Improved:
        """Raises: WardianError; what is done is kept."""
        ended = ""
        for number in range(self.plan.rounds):
            try:
                self._go_round(self._round(number))
            except (NothingToLearn, NoData) as nothing:
                ended = str(nothing)
                break
            finally:
                write_page(self.diary)
        self._measure_last()
        rounds = [n for n in range(self.plan.rounds) if self.diary.result(n, Stage.PROMOTE)]
        return Improved(
            folder=self.diary.folder,
            page=write_page(self.diary, ended),
            start=self.plan.start,
            model=self._present(self.plan.rounds),
            rounds=len(rounds),
            ended=ended,
            reason=self._reason(),
        )

    def _reason(self) -> str:
        verdicts = (self.diary.result(n, Stage.GATE) for n in reversed(range(self.plan.rounds)))
        return next((str(one["reason"]) for one in verdicts if one), "")

    def _go_round(self, work: Round) -> None:
        for stage, do in work.stages.items():
            if self.diary.result(work.number, stage) is None:
                self._do(work.number, stage, do)

    def _do(self, number: int, stage: Stage, do: Callable[[], tuple[Json, int]]) -> None:
        self.onlooker.stage(number, stage)
        self.purse.begin()
        try:
            result, tokens = do()
        finally:
            seconds = self.purse.end()
        self.diary.done(number, stage, result, seconds=seconds, tokens=tokens)
        write_page(self.diary)

    def _round(self, number: int) -> Round:
        folder = self.diary.folder / f"round-{number + 1}"
        folder.mkdir(exist_ok=True)
        return Round(
            plan=self.plan,
            number=number,
            present=self._present(number),
            weights=self._weights(number),
            folder=folder,
            diary=self.diary,
            purse=self.purse,
            places=self.places,
            store=self.store,
            agents=self.agents,
            jobs=self.jobs,
            onlooker=self.onlooker,
        )

    def _present(self, number: int) -> str:
        """The model that the round `number` begins with."""
        for before in reversed(range(number)):
            done = self.diary.result(before, Stage.PROMOTE)
            if done is not None and done["is_better"]:
                return str(done["model"])
        return self.plan.start

    def _weights(self, number: int) -> str:
        """The weights of that model as they were trained: a GGUF file of them is rounded."""
        for before in reversed(range(number)):
            done = self.diary.result(before, Stage.PROMOTE)
            trained = self.diary.result(before, Stage.TRAIN)
            if done is not None and done["is_better"] and trained is not None:
                return str(trained["model"])
        return self.plan.start

    def _measure_last(self) -> None:
        """First against last model on the test split, where no round was decided by that."""
        suite = load_suite(self.plan.suite)
        best = self._present(self.plan.rounds)
        is_fresh = gate_split(self.plan, suite) != Split.TEST and Split.TEST in splits_of(suite)
        known = self.diary.result(LAST, Stage.GATE)
        if best == self.plan.start or not is_fresh or (known and known["model"] == best):
            return
        trial = Trial(
            suite=self.plan.suite,
            split=Split.TEST,
            attempts=self.plan.gate_attempts,
            jobs=self.jobs,
            seed=self.plan.seed,
        )

        def measured() -> tuple[Json, int]:
            with self.onlooker.attempting() as watcher:
                decision = asyncio.run(
                    promote(
                        best,
                        trial,
                        against=self.plan.start,
                        agents=self.agents,
                        places=self.places,
                        within=self.purse.ledger(),
                        dry_run=True,
                        watcher=watcher,
                    )
                )
            found = self.places.evaluations.load(decision.suite.evaluation)
            tokens = sum(one.tokens for one in found.outcomes)
            return {**decision.as_json(), "model": best}, tokens

        self._do(LAST, Stage.GATE, measured)


def improve(
    plan: Plan,
    out: Path,
    *,
    limits: Limits | None = None,
    jobs: int = 4,
    agents: Agents | None = None,
    places: Places | None = None,
    store: RunStore | None = None,
    onlooker: Onlooker | None = None,
) -> Improved:
    """Go round, or go on with the circle in `out`.

    Args:
        out: Where data, trainings, the diary and the page are kept.
        limits: Of all stages together, over all calls.
        jobs: Attempts at once.
        agents: Makes the agent that attempts tasks with a model; None takes the usual settings.

    Raises: ConfigurationError before anything is done; BudgetUsedUp, ModelError, StorageError,
    TrainingStopped and others from the stages. What is done is kept.
    """
    check(plan)
    check_start(plan.start)
    for method in {plan.method(number) for number in range(plan.rounds)}:
        recipe = recipe_of(plan, method, base=plan.start, data="data", out="out")
        check_training(recipe.method, is_lora=recipe.is_lora)
    check_conversion()
    diary = Diary.open(out.absolute(), plan)
    try:
        circle = Circle(
            plan=plan,
            diary=diary,
            purse=Purse(limits or Limits(), diary),
            places=places or Places.of(os.environ),
            store=store or RunStore(paths(os.environ).runs),
            agents=agents or Agent,
            jobs=jobs,
            onlooker=onlooker or Nobody(),
        )
        return circle.go()
    finally:
        diary.close()


def check_start(start: str) -> None:
    """Raises: ConfigurationError, ModelUnavailable."""
    if start != "tiny" and not start.startswith(FILE_KINDS):
        raise ConfigurationError(
            f"{start} cannot be trained here: it is not a file of this machine.",
            "Begin with tiny, local:NAME or gguf:PATH (-m).",
        )
    local_file(start, os.environ)
