"""`agent eval`: how well models do the tasks of a suite."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.eval_stored import compare, html, list_evaluations, remove, show
from wardian.cli.eval_work import How, Wanted, evaluate_and_show, kept
from wardian.cli.grouping import Commands
from wardian.cli.run_options import (
    CriticName,
    Local,
    MaxSteps,
    Plain,
    PolicyName,
    Quiet,
    Refine,
    RubricFile,
    SandboxName,
    Select,
    SelectBy,
    Temperature,
    Timeout,
    Url,
)
from wardian.cli.task_input import UsageError
from wardian.evals.evaluate import user_evaluations

RUN = "run"
STILL_FREE = {
    *("resume", "retry_errors", "jobs", "max_cost"),
    *("page", "as_json", "quiet", "plain"),
}
"""What may be said anew of an evaluation that goes on."""


class EvalGroup(Commands):
    """A suite may stand where a command would: `agent eval core` is `agent eval run core`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=EvalGroup,
        help="Attempt the tasks of a suite with one or several models, and grade them.\n\n"
        "`agent eval SUITE …` is `agent eval run SUITE …`, whose --help has the options.",
        epilog="Example: agent eval core -m tiny --attempts 4 --jobs 8",
    )
    group.command(RUN, epilog="Example: agent eval run core -m tiny --attempts 4 --jobs 8")(run)
    group.command("list", epilog="Example: agent eval list")(list_evaluations)
    group.command("show", epilog="Example: agent eval show last --tasks")(show)
    group.command("compare", epilog="Example: agent eval compare 01M8 01M9")(compare)
    group.command("html", epilog="Example: agent eval html last -o eval.html")(html)
    group.command("rm", epilog="Example: agent eval rm 01M8")(remove)
    app.add_typer(group, name="eval")


def run(
    suite: Annotated[
        str, typer.Argument(metavar="[SUITE]", help="A built-in suite, a folder, or a file.")
    ] = "",
    *,
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", metavar="MODEL", help="Who attempts; several times."),
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="At each task.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Made at once.")] = 4,
    split: Annotated[
        str | None, typer.Option(help="Only train, dev or test (built-in suites: test).")
    ] = None,
    family: Annotated[str | None, typer.Option(metavar="NAME", help="Only its tasks.")] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="ID", help="Only this; several times.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=1024, metavar="N", help="Runs an attempt, one is chosen.")
    ] = 1,
    select: SelectBy = Select.VOTE,
    refine: Refine = 0,
    rubric: RubricFile = None,
    critic: CriticName = None,
    base_url: Url = None,
    local: Local = False,
    sandbox: SandboxName = None,
    policy: PolicyName = None,
    temperature: Temperature = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Attempt n samples with N + n.")
    ] = None,
    max_steps: MaxSteps = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of each attempt, not of all.")
    ] = None,
    timeout: Timeout = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="Of all attempts, each time it goes on."),
    ] = None,
    resume: Annotated[
        str, typer.Option(metavar="ID", help="Go on with an evaluation; `last` is the newest.")
    ] = "",
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Also attempt again what ended with an error.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> int:
    """Attempt the tasks of a suite, grade what came of it, and print the figures.

    Each attempt is a run of its own (`agent runs list`), in a fresh workspace and sandbox; nobody
    is asked. Grading happens afterwards, in another sandbox, with what the model never saw. What
    is interrupted goes on with --resume, and what is finished is not asked again.
    """
    if bool(suite) is bool(resume):
        raise UsageError(
            "Say which suite, or with --resume which evaluation goes on.",
            "Example: agent eval core -m tiny.",
        )
    if resume:
        check_unchanged(context)
        wanted = kept(user_evaluations(), resume)
        if max_cost is not None:
            wanted = replace(wanted, max_cost_usd=max_cost)
    else:
        wanted = Wanted(
            suite=suite,
            models=tuple(model or ()),
            attempts=attempts,
            split=split,
            family=family,
            tasks=tuple(task or ()),
            samples=samples,
            select=select.value,
            rounds=refine,
            rubric=str(rubric) if rubric else None,
            critic=critic,
            base_url=base_url,
            local=local,
            sandbox=sandbox.value if sandbox else None,
            policy=policy,
            temperature=temperature,
            seed=seed,
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_seconds=timeout,
            max_cost_usd=max_cost,
        )
    return evaluate_and_show(
        wanted,
        How(
            jobs=jobs,
            resume=user_evaluations().find(resume) if resume else "",
            retry_errors=retry_errors,
            page=page,
            as_json=as_json,
            quiet=quiet,
            plain=plain,
        ),
    )


def check_unchanged(context: typer.Context) -> None:
    """Raises: UsageError where something is given that would make another evaluation of it."""
    given = [
        max(option.opts, key=len)
        for option in context.command.params
        if option.name and option.name not in STILL_FREE and is_given(context, option.name)
    ]
    if given:
        raise UsageError(
            f"An evaluation goes on as what it was: {', '.join(given)} cannot be said anew.",
            "Leave it out, or begin another evaluation.",
        )


def is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
