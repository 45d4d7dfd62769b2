"""`agent improve`: collect, score, build, train, convert, gate, promote, round after round."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.complaint import say_unconfined
from wardian.cli.eval_progress import progress_on
from wardian.cli.listing import print_json
from wardian.cli.models_hub import say
from wardian.cli.models_own import choices
from wardian.cli.promote import CORE, agents_by, guard_of, present_settings
from wardian.cli.terminal import Terminal, terminal, write
from wardian.cli.train import pairs
from wardian.errors import ExitCode
from wardian.evals.working import Watcher
from wardian.train.measures import Seen
from wardian.train.packages import check_conversion

Names = list[str] | None


def register(app: typer.Typer) -> None:
    example = "Example: agent improve mine/ --rounds 3 --method sft,grpo --out circle"
    app.command("improve", epilog=example)(improve_model)


def improve_model(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="Tasks: train is learned from, dev decides.")
    ],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where all is kept, and gone on with.")
    ] = Path("circle"),
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="Default: what is in service.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="How often round.")] = 3,
    method: Annotated[
        str, typer.Option(metavar="METHODS", help="sft, dpo, kto, grpo; a comma between rounds.")
    ] = "sft",
    tasks: Annotated[
        int, typer.Option(min=0, metavar="N", help="To learn from in a round; 0 is all.")
    ] = 0,
    attempts: Annotated[int, typer.Option(min=1, help="At each of them.")] = 4,
    gate_attempts: Annotated[int, typer.Option(min=1, help="At each held-out task.")] = 4,
    gate_split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Decides (default: dev, else test).")
    ] = "",
    guard: Annotated[
        str | None,
        typer.Option(metavar="SUITE", help="Old abilities, of which nothing may be lost."),
    ] = None,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Decide without a guard.")] = False,
    quant: Annotated[str, typer.Option(metavar="QUANT", help="Of the models made.")] = "F16",
    recipe: Annotated[
        Names, typer.Option(metavar="METHOD=FILE", help="A recipe; `agent train init` prints one.")
    ] = None,
    settings: Annotated[
        Names, typer.Option("--set", metavar="KEY=VALUE", help="In place of the recipes'.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="X", help="A reward of X or more is good.")
    ] = 1.0,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Of all stages together.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of all attempts.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Attempts at once.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of tasks, samples and training.")] = 0,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Register models, put none in service.")
    ] = False,
    sandbox: Annotated[str | None, typer.Option(help="Where attempts run.")] = None,
    policy: Annotated[str | None, typer.Option(help="What attempts may do.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Make a model better by its own attempts. The same command goes on after an interruption."""
    check_conversion()
    # torch and transformers are behind this
    from wardian.improve import Limits, Plan, improve

    start = model or begun_with(out)
    flags = {"sandbox": sandbox, "policy": policy}
    say_unconfined(sandbox)
    present = present_settings(flags, start)
    plan = Plan(
        suite=suite,
        start=present.model or "",
        rounds=rounds,
        methods=tuple(part.strip() for part in method.split(",")),
        tasks=tasks,
        attempts=attempts,
        gate_split=gate_split,
        gate_attempts=gate_attempts,
        guard=None if no_guard else guard_of(suite, guard or CORE),
        quantisation=quant,
        seed=seed,
        promotes=not no_promote,
        recipes=pairs(recipe or []),
        settings={"training.seed": str(seed), **pairs(settings or [])},
        choice={"threshold": threshold} if threshold != 1.0 else {},
    )
    done = improve(
        plan,
        out,
        limits=Limits(seconds=max_seconds, tokens=max_tokens),
        jobs=jobs,
        agents=agents_by(present, flags),
        onlooker=Shown(terminal(sys.stderr), quiet=quiet),
    )
    if done.ended:
        say(done.ended)
    if as_json:
        print_json(
            {
                "start": done.start,
                "model": done.model,
                "rounds": done.rounds,
                "ended": done.ended or None,
                "page": str(done.page),
            }
        )
    else:
        write(sys.stdout, f"{done.model}\n")
    say(f"What changed, round by round: {done.page}")
    if not done.is_better:
        say(f"No candidate was better; {done.start} stays. {done.reason}".rstrip())
        return ExitCode.NOT_ACHIEVED
    if choices().now().model == done.model:
        say(f"Runs now use {done.model}. Take it back with: agent models rollback")
    else:
        say(f"Put it in service with: agent models use {done.model}")
    return ExitCode.DONE


def begun_with(out: Path) -> str:
    """The model that a circle which goes on began with: by now another may be in service."""
    from wardian.improve.diary import begun_plan

    plan = begun_plan(out)
    return plan.start if plan else ""


class Shown:
    """Stages as lines, with the progress of evaluations and trainings below them."""

    def __init__(self, screen: Terminal, *, quiet: bool) -> None:
        self._screen = screen
        self._quiet = quiet

    def stage(self, number: int, stage: Any) -> None:
        where = "after the last round" if number < 0 else f"round {number + 1}"
        self.said(f"{where}: {stage}")

    def said(self, line: str) -> None:
        if not self._quiet:
            say(line)

    @contextmanager
    def attempting(self) -> Generator[Watcher]:
        with progress_on(self._screen, quiet=self._quiet) as progress:
            yield progress

    @contextmanager
    def training(self) -> Generator[Seen]:
        from wardian.cli.train_progress import BarProgress, PlainProgress
        from wardian.train.measures import unseen

        if self._quiet:
            yield unseen
            return
        progress = BarProgress(self._screen) if self._screen.is_tty else PlainProgress()
        with progress:
            yield progress.seen
