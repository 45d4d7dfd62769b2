"""The stages of a round. Each may be done again: what an earlier try left is used or replaced."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wardian.data import Choice, Goal, build
from wardian.errors import ModelError, WardianError
from wardian.evals.evaluate import evaluate
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Evaluation, Outcome
from wardian.evals.statistics import tallies
from wardian.evals.tasks import Split, Suite
from wardian.improve.diary import Diary, Json
from wardian.improve.plan import Plan, Stage, gate_split
from wardian.improve.purse import Purse
from wardian.improve.watching import Onlooker
from wardian.models.registry import PREFIX
from wardian.promotion import Trial, Verdict, promote
from wardian.promotion.promote import Agents, Places, found_by
from wardian.runs import RunStore
from wardian.train.measures import Measured
from wardian.train.recipe import Method, Recipe, load_recipe, schema
from wardian.train.register import How, register

CONTESTANT = "collector"
KEY = "improve"
"""In an evaluation's settings: of which circle and round it is"""
FACTS = ("best_step", "dev_loss", "dev_success_before", "dev_success", "steps", "stopped_early")
"""Of a training, kept in the diary"""


class NothingToLearn(WardianError):
    """The attempts of a round hold nothing that training could use."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What the stages of one round work with."""

    plan: Plan
    number: int
    """From 0"""
    present: str
    """Spelling of the model that this round begins with"""
    weights: str
    """What training begins with: its weights' folder where it was made here, else its spelling"""
    folder: Path
    diary: Diary
    purse: Purse
    places: Places
    store: RunStore
    agents: Agents
    jobs: int
    onlooker: Onlooker

    @property
    def candidate(self) -> str:
        """The name it is registered under: the same each time."""
        stem = self.plan.start.rpartition("/")[2].rpartition(":")[2].removesuffix(".gguf")
        kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:32].strip("-_")
        return f"{kept or 'model'}-{self.diary.id[-6:].lower()}-r{self.number + 1}"

    def of(self, stage: Stage) -> Json:
        """What came of an earlier stage of this round."""
        result = self.diary.result(self.number, stage)
        assert result is not None
        return result

    def collect(self) -> tuple[Json, int]:
        """Attempts at tasks of the train split."""
        suite = self._chosen(load_suite(self.plan.suite, split=Split.TRAIN))
        found = self._evaluated(suite)
        counted = tallies(found.outcomes)
        result = {
            "evaluation": found.plan.id,
            "tasks": len(suite.tasks),
            "attempts": len(found.outcomes),
            "errors": len(found.errors),
            "success": mean([float(one.share) for one in counted]),
            "families": by_family(found.outcomes),
        }
        return result, sum(one.tokens for one in found.outcomes)

    def score(self) -> tuple[Json, int]:
        """What the rewards say. Raises: NothingToLearn."""
        found = self._collected(self.number)
        values = [one.value for one in found.outcomes if one.counts and one.value is not None]
        groups = tallies(found.outcomes)
        mixed = sum(0 < one.passed < one.attempts for one in groups)
        passed = sum(one.passed for one in groups)
        check_teaches(self.plan.method(self.number), passed=passed, mixed=mixed, groups=len(groups))
        result = {
            "mean_reward": mean(values),
            "passed": passed,
            "mixed_groups": mixed,
            "suspicious": sum(bool(one.suspicions) for one in found.outcomes),
            "endings": dict(Counter(str(one.ending) for one in found.outcomes)),
        }
        return result, 0

    def build(self) -> tuple[Json, int]:
        """Data of the attempts of all rounds so far. Raises: wardian.data.NothingToLearn."""
        method = self.plan.method(self.number)
        run_ids = [
            one.run_id
            for number in range(self.number + 1)
            for one in self._collected(number).outcomes
            if one.run_id and one.counts
        ]
        usual = Choice(
            goal=Goal(str(method)), suites=(self.plan.suite,), weights="any", seed=self.plan.seed
        )
        choice = replace(usual, **self.plan.choice)
        output = self.folder / "data.jsonl"
        made = build(self.store, run_ids, choice, output=output)
        return {"data": str(output), "counts": made.card["counts"], "method": str(method)}, 0

    def train(self) -> tuple[Json, int]:
        """Raises: BudgetUsedUp, and as `wardian.train.run.train`."""
        from wardian.train.run import train

        recipe = self._recipe()
        with self.onlooker.training() as seen:

            def bounded(measured: Measured) -> None:
                seen(measured)
                self.purse.check()

            done = train(recipe, seen=bounded)
        facts = {key: done.facts[key] for key in FACTS if key in done.facts}
        return {"out": str(done.out), "model": str(done.model), "facts": facts}, 0

    def convert(self) -> tuple[Json, int]:
        """A registered model; one that a killed try registered is that."""
        own = self.places.registry
        if self.candidate not in own.names():
            how = How(name=self.candidate, quantisation=self.plan.quantisation, parent=self.present)
            register(Path(self.of(Stage.TRAIN)["out"]), own, how, seen=self.onlooker.said)
            own.note(self.candidate, KEY, {"circle": self.diary.id, "round": self.number + 1})
        agreement = own.get(self.candidate).lineage["conversion"]["agreement"]
        return {"candidate": PREFIX + self.candidate, "agreement": agreement}, 0

    def gate(self) -> tuple[Json, int]:
        """Candidate against present model. Raises: BudgetUsedUp, ModelError."""
        suite = load_suite(self.plan.suite)
        trial = Trial(
            suite=self.plan.suite,
            guard=self.plan.guard,
            split=gate_split(self.plan, suite),
            attempts=self.plan.gate_attempts,
            jobs=self.jobs,
            seed=self.plan.seed,
        )
        with self.onlooker.attempting() as watcher:
            decision = asyncio.run(
                promote(
                    self.of(Stage.CONVERT)["candidate"],
                    trial,
                    against=self.present,
                    agents=self.agents,
                    places=self.places,
                    within=self.purse.ledger(),
                    dry_run=True,
                    watcher=watcher,
                )
            )
        shown = [one for one in (decision.suite, decision.guard) if one is not None]
        tokens = sum(self._tokens(one.evaluation) for one in shown)
        if decision.verdict is Verdict.UNDECIDED:
            self.purse.check()
            raise ModelError(decision.reason, "Mend what broke; the same command goes on.")
        return decision.as_json(), tokens

    def promote(self) -> tuple[Json, int]:
        """The better one is the next round's model, and in service where that was asked for."""
        gate, candidate = self.of(Stage.GATE), str(self.of(Stage.CONVERT)["candidate"])
        is_better = gate["verdict"] == Verdict.BETTER
        if is_better and self.plan.promotes:
            evidence = {"verdict": gate["reason"], "circle": self.diary.id}
            self.places.choices.use(candidate, "promote", evidence)
            note = {"verdict": f"put in service by the circle {self.diary.id}", "at": now_utc()}
            self.places.registry.note(self.candidate, "promotions", note)
        now = candidate if is_better else self.present
        return {
            "model": now,
            "is_better": is_better,
            "in_service": is_better and self.plan.promotes,
        }, 0

    def _chosen(self, suite: Suite) -> Suite:
        """Other tasks each round, the same each time it is asked."""
        if not 0 < self.plan.tasks < len(suite.tasks):
            return suite
        chance = random.Random(f"{self.plan.seed}/{self.number}")  # noqa: S311 - no secret
        return replace(suite, tasks=tuple(chance.sample(suite.tasks, self.plan.tasks)))

    def _evaluated(self, suite: Suite) -> Evaluation:
        """Raises: BudgetUsedUp, ModelError."""
        key = f"{self.diary.id}/{self.number}"
        with self.onlooker.attempting() as watcher:
            found = asyncio.run(
                evaluate(
                    suite,
                    {CONTESTANT: self.agents(self.present)},
                    attempts=self.plan.attempts,
                    jobs=self.jobs,
                    seed=self.plan.seed + 10_000 * (self.number + 1),
                    within=self.purse.ledger(),
                    settings={KEY: key},
                    resume=found_by(self.places.evaluations, key, KEY),
                    close=True,
                    evaluations=self.places.evaluations,
                    watcher=watcher,
                )
            )
        if len(found.outcomes) < found.plan.size:
            self.purse.check()
            spent = sum(one.tokens for one in found.outcomes)
            left = self.purse.tokens_left
            if left is not None and spent >= left * 0.9:
                raise self.purse.used_up("tokens")
        if not any(one.counts for one in found.outcomes):
            cause = found.errors[0].detail if found.errors else "no attempt was made"
            told = f"{self.present} could attempt nothing: {cause.rstrip('.')}."
            raise ModelError(told, "Mend that first.")
        return found

    def _collected(self, number: int) -> Evaluation:
        result = self.diary.result(number, Stage.COLLECT)
        assert result is not None
        return self.places.evaluations.load(result["evaluation"])

    def _tokens(self, evaluation: str) -> int:
        found = self.places.evaluations.load(evaluation)
        return sum(one.tokens for one in found.outcomes)

    def _recipe(self) -> Recipe:
        """Raises: ConfigurationError."""
        return recipe_of(
            self.plan,
            self.plan.method(self.number),
            base=self.weights,
            data=str(self.of(Stage.BUILD)["data"]),
            out=str(self.folder / "training"),
        )

    @property
    def stages(self) -> Mapping[Stage, Callable[[], tuple[Json, int]]]:
        """Each gives what came of it, and the tokens it took."""
        return {
            Stage.COLLECT: self.collect,
            Stage.SCORE: self.score,
            Stage.BUILD: self.build,
            Stage.TRAIN: self.train,
            Stage.CONVERT: self.convert,
            Stage.GATE: self.gate,
            Stage.PROMOTE: self.promote,
        }


def recipe_of(plan: Plan, method: Method, *, base: str, data: str, out: str) -> Recipe:
    """Raises: ConfigurationError for a key or value that its method has not."""
    path = plan.recipes.get(str(method))
    known = schema(method)
    several = len(set(plan.methods)) > 1
    settings = {key: v for key, v in plan.settings.items() if key in known or not several}
    given = {**settings, "base": base, "data": data, "out": out}
    return load_recipe(method, Path(path) if path else None, given)


def check_teaches(method: Method, *, passed: int, mixed: int, groups: int) -> None:
    """Raises: NothingToLearn."""
    if not groups:
        raise NothingToLearn("No attempt has a reward.", "See `agent eval show last`.")
    if not passed:
        raise NothingToLearn(
            f"None of the attempts at {groups} tasks passed, so there is nothing to imitate.",
            "Begin with an abler model or easier tasks, or take more attempts.",
        )
    if method is not Method.SFT and not mixed:
        raise NothingToLearn(
            f"The attempts at each of {groups} tasks earned the same, and {method} learns from "
            "what differs.",
            "Take more attempts, a higher temperature, or other tasks.",
        )


def by_family(outcomes: tuple[Outcome, ...]) -> dict[str, float]:
    """Mean share of passed attempts."""
    families = sorted({one.family for one in outcomes})
    return {
        family: mean([float(t.share) for t in tallies(o for o in outcomes if o.family == family)])
        for family in families
    }


def now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
