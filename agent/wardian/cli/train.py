"""`agent train`: a better model from recorded runs, or from attempts at tasks."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json
from wardian.cli.sanitise import visible
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import terminal, write
from wardian.cli.train_progress import BarProgress, PlainProgress
from wardian.errors import ExitCode
from wardian.train.packages import check_training
from wardian.train.processes import is_first
from wardian.train.recipe import Method, load_recipe
from wardian.train.recipe_text import commented

SUMMARIES = {
    Method.SFT: "Imitate: make the tokens of good attempts likelier.",
    Method.DPO: "Prefer: make the better of two replies likelier than the worse.",
    Method.KTO: "Judge: make good replies likelier, and bad ones less likely.",
    Method.GRPO: "Try: attempt tasks in groups, and learn from what did better than its group.",
}
MEASURED = ("dev_loss", "dev_success_before", "dev_success")
"""What is told at the end, where it was measured"""


def register(app: typer.Typer) -> None:
    commands = group_of("Train a model on what it and others did.")
    commands.command("init", epilog="Example: agent train init sft > sft.toml")(init)
    for method, summary in SUMMARIES.items():
        epilog = f"Example: agent train {method} {method}.toml --set training.seed=1"
        commands.command(str(method), help=summary, epilog=epilog)(command_of(method))
    app.add_typer(commands, name="train")


def init(
    method: Annotated[Method, typer.Argument(help="The method it is for.")],
) -> int:
    """Print a recipe in which every key is explained."""
    write(sys.stdout, commented(method))
    return ExitCode.DONE


def command_of(method: Method) -> Callable[..., int]:
    """The command of one method."""

    def train(
        recipe: Annotated[
            Path | None, typer.Argument(help="A TOML file; `agent train init` prints one.")
        ] = None,
        *,
        base: Annotated[
            str | None, typer.Option(metavar="MODEL", help="tiny, gguf:PATH, or a folder.")
        ] = None,
        data: Annotated[
            str | None, typer.Option(metavar="FILE", help="Rows to learn from.")
        ] = None,
        out: Annotated[
            str | None, typer.Option(metavar="FOLDER", help="Where all is kept.")
        ] = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="In place of the recipe's."),
        ] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Begin anew where a training was begun.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print what came of it.")] = False,
    ) -> int:
        given = {"base": base, "data": data, "out": out}
        flags = {name: value for name, value in given.items() if value is not None}
        return _train(method, recipe, flags | pairs(settings or []), fresh=fresh, as_json=as_json)

    return train


def pairs(settings: list[str]) -> dict[str, str]:
    """Raises: UsageError."""
    made: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"{setting!r} sets nothing.", "Write --set training.seed=1.")
        made[name.strip()] = value.strip()
    return made


def _train(
    method: Method, path: Path | None, flags: dict[str, str], *, fresh: bool, as_json: bool
) -> int:
    recipe = load_recipe(method, path, flags)
    check_training(method, is_lora=recipe.is_lora)
    # torch and transformers are behind this
    from wardian.train.run import train

    screen = terminal(sys.stderr)
    progress = BarProgress(screen) if screen.is_tty else PlainProgress()
    try:
        with progress:
            done = train(recipe, fresh=fresh, seen=progress.seen)
    except KeyboardInterrupt:
        say(f"Stopped at step {progress.step}. The same command goes on from the last checkpoint.")
        raise
    if not is_first():
        return ExitCode.DONE
    if done.was_done:
        say("This training had ended already; --fresh begins it anew.")
    if as_json:
        print_json(done.facts)
    else:
        write(sys.stdout, f"{done.model}\n")
    measured = [name for name in MEASURED if name in done.facts]
    for name in ["best_step", *measured] if measured else []:
        say(f"{name.replace('_', ' ')}: {done.facts[name]:.4g}")
    if done.facts.get("best_step") == 0 and "dev_success" in done.facts:
        say("No step did better on the dev tasks than the base did: the model is the base's.")
    say(f"Curves: {done.out / 'curves.html'}")
    say(f"Register it with: agent models add {done.out} --name NAME")
    return ExitCode.DONE


def say(line: str) -> None:
    write(sys.stderr, visible(line) + "\n")
