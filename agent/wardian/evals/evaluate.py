"""Attempt the tasks of a suite with one or several models, and grade what came of it.

    from wardian.evals.evaluate import evaluate
    from wardian.evals.report import report

    found = await evaluate("core", ["tiny", "gguf:better.gguf"], attempts=4, jobs=8)
    for model in report(found)["models"]:
        print(model["name"], model["pass_at"]["1"])

Models take turns, so that one is in memory at a time. Of one model the first attempt at every task
comes before the second at any, so that an evaluation which ends early is a fair one.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.errors import ConfigurationError
from wardian.evals.attempting import ONCE, Scaling
from wardian.evals.grading import checks_of
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Evaluation
from wardian.evals.planning import (
    Contestants,
    check_same,
    check_tools,
    contestants_of,
    plan_of,
)
from wardian.evals.storing import WORK_NAME, EvaluationLog, EvaluationStore
from wardian.evals.tasks import Suite
from wardian.evals.working import Unwatched, Watcher, Work
from wardian.settings import paths


async def evaluate(
    suite: Suite | str | Path,
    models: Contestants,
    *,
    attempts: int = 1,
    jobs: int = 4,
    seed: int | None = None,
    scaling: Scaling = ONCE,
    within: Ledger | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str = "",
    retry_errors: bool = False,
    close: bool = False,
    evaluations: EvaluationStore | None = None,
    watcher: Watcher | None = None,
) -> Evaluation:
    """Attempt each task of the suite with each model, grade it, and give all outcomes.

    Args:
        models: Names, `Model`s, or `Agent`s with the tools, policy, sandbox and sampling that
            their attempts are to have; a mapping gives them names of their own. Each attempt is a
            run in a workspace of its own, kept in the agent's store with its reward (`Rewarded`)
            and the tags `eval:ID`, `suite:NAME`, `task:ID`, `family:…`, `split:…`, `attempt:N`.
            The attempts of one model at one task are a group (`RunStarted.group`).
        attempts: At each task, of each model. Several are sampled at temperature 1 where neither
            the agent nor a provider says otherwise.
        jobs: Attempts that are made at once.
        seed: Attempt n samples with `seed` + n; None: differently each time.
        scaling: More than one run an attempt, of which one is chosen.
        within: A budget for all of it; once it is used up the evaluation ends incomplete.
        settings: Kept with the evaluation, for whoever wants to begin the same again.
        resume: The id of a stored evaluation to go on with. What is finished is not asked again;
            a run that was over and not graded yet is graded.
        retry_errors: Also attempt again what ended with an error.
        close: Close each agent, and so its model, when its turn is over; what is given by name is
            closed in any case.
        evaluations: Where evaluations are kept; None is the user's own place.

    A model whose first three attempts end with errors
    is left out: its further attempts have no outcome. When the task of the caller
    is cancelled, what is finished is kept.
    Raises: ConfigurationError, ModelUnavailable before anything is asked; StorageError.
    """
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    if jobs < 1:
        raise ConfigurationError(f"There cannot be {jobs} jobs.", "Take one or more.")
    checks = checks_of(suite)
    contestants = contestants_of(models, attempts)
    check_tools(suite, contestants)
    wanted = plan_of(
        suite, contestants, attempts=attempts, seed=seed, scaling=scaling, settings=settings or {}
    )
    store = evaluations or user_evaluations()
    before, begun = store.read(resume) if resume else (None, {})
    if before:
        check_same(before.plan, wanted)
    plan = before.plan if before else wanted
    folder = store.root / plan.id
    log = EvaluationLog.reopen(folder) if before else EvaluationLog.create(store.root, plan)
    work = Work(
        plan=plan,
        checks=checks,
        folder=folder,
        log=log,
        scaling=scaling,
        within=within,
        retry_errors=retry_errors,
        watcher=watcher or Unwatched(),
        outcomes={one.key: one for one in (before.outcomes if before else ())},
        begun=begun,
    )
    try:
        closed = [close or is_name for is_name in named(models)]
        await _all(work, contestants, closed, jobs)
    finally:
        log.close()
    found = Evaluation(plan=plan, outcomes=tuple(work.outcomes.values()), path=folder)
    if found.is_complete:
        shutil.rmtree(folder / WORK_NAME, ignore_errors=True)
    return found


async def _all(
    work: Work, contestants: Mapping[str, Agent[Any]], closed: Sequence[bool], jobs: int
) -> None:
    work.watcher.planned(work.plan, tuple(work.outcomes.values()))
    for (name, agent), is_closed in zip(contestants.items(), closed, strict=True):
        try:
            await work.attempt_all(name, agent, jobs)
        finally:
            if is_closed:
                await agent.close()


def named(models: Contestants) -> list[bool]:
    """Which of them were given by name, so that what was made of it is ours."""
    given = models.values() if isinstance(models, Mapping) else models
    return [isinstance(one, str) for one in given]


def user_evaluations() -> EvaluationStore:
    """The user's own."""
    return EvaluationStore(paths(os.environ).evaluations)
