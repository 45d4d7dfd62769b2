"""What `agent eval` does: the agents of the models, the evaluation, and how it is shown."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.cli.closing import counted
from wardian.cli.complaint import say_unconfined
from wardian.cli.eval_progress import Progress, progress_on
from wardian.cli.eval_stored import write_page
from wardian.cli.eval_text import print_report
from wardian.cli.interrupts import Interrupts
from wardian.cli.listing import print_json
from wardian.cli.model_choice import BUILT_IN, configured_model, with_model
from wardian.cli.run_options import Select, check_writable
from wardian.cli.sanitise import visible
from wardian.cli.scaled import GENERAL_RUBRIC
from wardian.cli.task_input import UsageError, read_file
from wardian.cli.terminal import terminal, write
from wardian.errors import ConfigurationError, ExitCode, StorageError
from wardian.evals.attempting import Scaling
from wardian.evals.evaluate import evaluate, user_evaluations
from wardian.evals.loading import built_in_names, load_suite
from wardian.evals.outcomes import Evaluation
from wardian.evals.report import report
from wardian.evals.storing import EvaluationStore
from wardian.evals.tasks import Split, Suite
from wardian.local_only import check_local, forbid_leaving, narrowed
from wardian.models.catalogue import resolve_model
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.runs import RunStore
from wardian.settings import Settings, load_settings, paths, policy_in_force
from wardian.types import Sampling
from wardian_policies.schema import nearest
from wardian_policies.types import Budgets


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for; kept with the evaluation, so that it goes on as it began."""

    suite: str
    models: tuple[str, ...]
    attempts: int
    split: str | None
    family: str | None
    tasks: tuple[str, ...]
    samples: int
    select: str
    rubric: str | None
    critic: str | None
    base_url: str | None
    local: bool
    sandbox: str | None
    policy: str | None
    temperature: float | None
    seed: int | None
    max_steps: int | None
    max_tokens: int | None
    max_seconds: float | None
    max_cost_usd: float | None
    """Of all attempts together; the other limits are of each"""
    rounds: int = 0
    """Of criticism"""

    def flags(self, model: str | None) -> dict[str, Any]:
        """As settings take them."""
        return {
            "model": model,
            "base_url": self.base_url,
            "local": self.local or None,
            "sandbox": self.sandbox,
            "policy": self.policy,
            "temperature": self.temperature,
            "max_steps": self.max_steps,
            "max_tokens": self.max_tokens,
            "max_seconds": self.max_seconds,
        }


def kept(evaluations: EvaluationStore, name: str) -> Wanted:
    """What a stored evaluation was begun with. Raises: ConfigurationError, StorageError."""
    plan = evaluations.load(name).plan
    try:
        return cast("Wanted", _wanted_validator().validate_python(dict(plan.settings)))
    except ValueError as problem:
        raise ConfigurationError(
            f"The evaluation {plan.id} was not begun by this command.",
            "Go on with it where it was begun: evaluate(…, resume=ID).",
        ) from problem


@cache
def _wanted_validator() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What may differ each time that an evaluation goes on."""

    jobs: int
    resume: str = ""
    """The id of the evaluation that goes on"""
    retry_errors: bool = False
    page: Path | None = None
    as_json: bool = False
    quiet: bool = False
    plain: bool = False


def evaluate_and_show(wanted: Wanted, how: How) -> int:
    """Evaluate, print the report, and give the exit code."""
    if wanted.split and wanted.split not in list(Split):
        raise UsageError(f"{wanted.split!r} is no split.", f"Splits: {', '.join(Split)}.")
    check_writable(how.page)
    split = wanted.split or usual_split(wanted)
    suite = chosen(load_suite(wanted.suite, split, wanted.family), wanted.tasks)
    wanted = replace(wanted, suite=suite.source)
    agents, wanted = agents_of(wanted, quiet=how.quiet)
    scaling = scaling_of(wanted, agents)
    say_unconfined(wanted.sandbox)
    screen = terminal(sys.stderr, plain=how.plain)
    with progress_on(screen, quiet=how.quiet) as progress:
        try:
            code = asyncio.run(evaluated(suite, agents, wanted, scaling, progress, how))
        except StorageError:
            if progress.plan:
                goes_on = f"agent eval --resume {progress.plan.id}"
                write(sys.stderr, f"agent: once that is mended, go on with: {goes_on}\n")
            raise
    if progress.plan is None:
        return code
    found = user_evaluations().load(progress.plan.id)
    if how.as_json:
        print_json(report(found))
    else:
        print_report(report(found), terminal(sys.stdout, plain=how.plain))
    if how.page:
        write_page(found, how.page)
    if not found.is_complete and (found.errors or not how.quiet):
        for line in incomplete(found):
            write(sys.stderr, f"agent: {visible(line)}\n")
    return code or exit_code_of(found)


def usual_split(wanted: Wanted) -> str | None:
    """Of a built-in suite, which has tasks to train on too, only those that are reported."""
    is_built_in = wanted.suite in built_in_names() and not Path(wanted.suite).exists()
    return Split.TEST if is_built_in and not wanted.tasks else None


async def evaluated(
    suite: Suite,
    agents: dict[str, Agent[Any]],
    wanted: Wanted,
    scaling: Scaling,
    progress: Progress,
    how: How,
) -> int:
    """The exit code of the signal or the limit that stopped it, or 0."""
    budget = Budgets(steps=None, tool_calls=None, cost_usd=wanted.max_cost_usd, wall_seconds=None)
    ledger = Ledger(budget) if wanted.max_cost_usd is not None else None
    with Interrupts() as interrupts:
        work = asyncio.create_task(
            evaluate(
                suite,
                agents,
                attempts=wanted.attempts,
                jobs=how.jobs,
                seed=wanted.seed,
                scaling=scaling,
                within=ledger,
                settings=asdict(wanted),
                resume=how.resume,
                retry_errors=how.retry_errors,
                close=True,
                watcher=progress,
            )
        )
        interrupts.stop = work.cancel
        try:
            await asyncio.wait([work])
        finally:
            interrupts.stop = lambda: None
            if scaling.judge:
                await scaling.judge.model.close()
        if work.cancelled():
            return interrupts.exit_code or ExitCode.INTERRUPTED
    if work.result().is_complete or not ledger or not (reached := ledger.reached()):
        return ExitCode.DONE
    if not how.quiet:
        write(sys.stderr, f"agent: {reached.sentence} Raise it with --max-cost.\n")
    return ExitCode.LIMIT


def chosen(suite: Suite, ids: tuple[str, ...]) -> Suite:
    """Only these tasks of it. Raises: ConfigurationError for one that it has not."""
    if not ids:
        return suite
    by_id = {task.id: task for task in suite.tasks}
    for name in ids:
        if name not in by_id:
            raise ConfigurationError(
                f"The suite {suite.name} has no task {name!r:.200}.", nearest(name, by_id)
            )
    return replace(suite, tasks=tuple(by_id[name] for name in dict.fromkeys(ids)))


def agents_of(wanted: Wanted, *, quiet: bool) -> tuple[dict[str, Agent[Any]], Wanted]:
    """An agent for each model by its name, and what is wanted with the names found out.

    They have the usual tools and nothing of the user's own: no instructions, skills, sub-agents or
    tool servers, so that two people who evaluate the same get the same.
    """

    def notice(notices: Sequence[str]) -> None:
        for one in () if quiet else notices:
            write(sys.stderr, f"agent: {visible(one)}\n")

    if wanted.local:
        forbid_leaving()
    agents: dict[str, Agent[Any]] = {}
    for model in wanted.models or (None,):
        settings = with_model(load_settings(wanted.flags(model), os.environ), notice)
        name = settings.model or BUILT_IN
        if name in agents:
            raise UsageError(f"The model {name} is named twice.", "Name each once.")
        agents[name] = agent_of(settings)
    return agents, replace(wanted, models=tuple(agents))


def agent_of(settings: Settings) -> Agent[Any]:
    """Raises: as `Agent`."""
    places = paths(os.environ)
    policy = policy_in_force(settings.policy, os.environ)
    model = configured_model(settings)
    if settings.local:
        check_local(model, settings.sandbox)
        policy = narrowed(policy)
    return Agent(
        model,
        policy=policy,
        budgets=settings.budgets(policy.layers[0].budgets, policy.added_budgets),
        sandbox=settings.sandbox,
        sandbox_image=settings.sandbox_image,
        workspace=places.evaluations,  # each attempt has its own; never the folder one stands in
        sampling=Sampling(temperature=settings.temperature, max_tokens=settings.max_reply_tokens),
        context_tokens=settings.context_tokens,
        store=RunStore(places.runs),
        search=settings.search(os.environ),
    )


def scaling_of(wanted: Wanted, agents: dict[str, Agent[Any]]) -> Scaling:
    """How one of several runs is chosen. Raises: UsageError, ConfigurationError."""
    judge = None
    if wanted.rounds or (wanted.samples > 1 and wanted.select == Select.JUDGE):
        if not wanted.critic and len(agents) > 1:
            raise UsageError("Models cannot each judge themselves.", "Name one with --critic.")
        text = GENERAL_RUBRIC if wanted.rubric is None else read_file(Path(wanted.rubric))
        critic = resolve_model(wanted.critic or next(iter(agents)))
        judge = RubricJudge(model=critic, rubric=Rubric.parse(text))
    return Scaling(samples=wanted.samples, select=wanted.select, rounds=wanted.rounds, judge=judge)


def incomplete(found: Evaluation) -> list[str]:
    """What is lacking, and how to go on."""
    missing = found.plan.size - len(found.outcomes)
    lines: list[str] = []
    if missing:
        lines.append(f"{counted(missing, 'attempt')} not made; go on with:")
    if found.errors:
        lines.append(f"{counted(len(found.errors), 'attempt')} ended with an error, the first:")
        lines.append(f"  {found.errors[0].detail}")
        lines.append("try them again with:")
    again = " --retry-errors" if found.errors else ""
    return [*lines, f"  agent eval --resume {found.plan.id}{again}"]


def exit_code_of(found: Evaluation) -> int:
    """0 for a complete one, whatever its scores."""
    if found.is_complete:
        return ExitCode.DONE
    never = [name for name in found.models if not any(one.counts for one in found.of(name))]
    broke = {one.broke for one in found.errors if one.model in never}
    return code_of(broke.pop()) if len(broke) == 1 else ExitCode.NOT_ACHIEVED


def code_of(broke: str) -> int:
    """For attempts that came to no outcome, by what broke them."""
    return {"model": ExitCode.MODEL, "sandbox": ExitCode.SANDBOX}.get(broke, ExitCode.NOT_ACHIEVED)
