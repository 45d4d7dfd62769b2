"""`agent eval list|show|compare|html|rm`: evaluations that are stored."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.eval_text import comparison_lines, print_report
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import terminal, write
from wardian.errors import ConfigurationError, ExitCode, StorageError
from wardian.evals.evaluate import user_evaluations
from wardian.evals.outcomes import Evaluation
from wardian.evals.page import page
from wardian.evals.report import comparison_json, report
from wardian.evals.statistics import Comparison, compared, tallies
from wardian.evals.storing import EvaluationStore

Name = Annotated[
    str, typer.Argument(metavar="EVALUATION", help="An id, its beginning or end, or `last`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OF_MODEL = Annotated[
    str, typer.Argument(metavar="ID[:MODEL]", help="An evaluation, and whose attempts of it.")
]


def list_evaluations(*, as_json: JsonOption = False) -> int:
    """List evaluations, newest first."""
    store = user_evaluations()
    found: list[Evaluation] = []
    for one in store.ids():
        try:
            found.append(store.load(one))
        except StorageError as problem:  # one that cannot be read does not hide the others
            write(sys.stderr, f"agent: {visible(str(problem))}\n")
    if as_json:
        print_json([_facts(one) for one in found])
        return ExitCode.DONE
    rows = [
        [
            one.plan.id,
            one.plan.started[:16].replace("T", " "),
            one.plan.suite,
            f"{sum(each.counts for each in one.outcomes)}/{one.plan.size}",
            f"{sum(each.passed for each in one.outcomes)}",
            ", ".join(one.models),
        ]
        for one in found
    ]
    heads = ["EVALUATION", "STARTED (UTC)", "SUITE", "DONE", "PASSED", "MODELS"]
    print_table(heads, rows, "No evaluation is stored. Begin one: agent eval core -m tiny")
    return ExitCode.DONE


def _facts(one: Evaluation) -> dict[str, object]:
    return {
        "id": one.plan.id,
        "started": one.plan.started,
        "suite": one.plan.suite,
        "digest": one.plan.digest,
        "models": list(one.models),
        "planned": one.plan.size,
        "done": sum(each.counts for each in one.outcomes),
        "passed": sum(each.passed for each in one.outcomes),
    }


def show(
    name: Name,
    *,
    tasks: Annotated[bool, typer.Option("--tasks", help="Also every task.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Print what an evaluation found, so far as it got."""
    found = report(user_evaluations().load(name))
    if as_json:
        print_json(found)
    else:
        print_report(found, terminal(sys.stdout), tasks=tasks)
    return ExitCode.DONE


def compare(first: OF_MODEL, second: OF_MODEL, *, as_json: JsonOption = False) -> int:
    """Compare the models of two evaluations on the tasks that both attempted.

    ID:MODEL chooses one where an evaluation has several; both may be of the same evaluation.
    """
    store = user_evaluations()
    (before, old), (after, new) = _chosen(store, first), _chosen(store, second)
    notices = [] if before.plan.digest == after.plan.digest else ["The suites are not the same."]
    names = [f"{old} ({before.plan.id})", f"{new} ({after.plan.id})"]
    if before.plan.id == after.plan.id:
        names = [old, new]
    found = compared(names[0], tallies(before.of(old)), names[1], tallies(after.of(new)))
    if found is None:
        raise ConfigurationError(
            "The two have no task in common that both attempted.", "Compare others."
        )
    if as_json:
        print_json({**comparison_json(found), "notices": notices})
        return ExitCode.DONE
    for notice in notices:
        write(sys.stderr, f"agent: {notice} Tasks are paired by their ids.\n")
    _print(found)
    return ExitCode.DONE


def _print(found: Comparison) -> None:
    for line in comparison_lines(comparison_json(found), terminal(sys.stdout)):
        write(sys.stdout, visible(line) + "\n")


def _chosen(store: EvaluationStore, wanted: str) -> tuple[Evaluation, str]:
    name, _, model = wanted.partition(":")
    found = store.load(name)
    if not model and len(found.models) == 1:
        return found, found.models[0]
    if model in found.models:
        return found, model
    known = ", ".join(f"{name}:{one}" for one in found.models)
    raise UsageError(f"Say whose attempts of {name}.", f"One of: {known}.")


def html(
    name: Name,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Default: eval-ID.html, in this folder."
        ),
    ] = None,
) -> int:
    """Write an evaluation as one HTML page with plots that loads nothing."""
    found = user_evaluations().load(name)
    target = output or Path(f"eval-{found.plan.id}.html")
    write_page(found, target)
    write(sys.stdout, visible(str(target)) + "\n")
    return ExitCode.DONE


def write_page(found: Evaluation, target: Path) -> None:
    """Readable by the user only. Raises: StorageError."""
    content = page(report(found)).encode()
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}.", "Choose another place."
        ) from error


def remove(name: Name) -> int:
    """Remove an evaluation. Its runs stay."""
    write(sys.stderr, f"removed {user_evaluations().remove(name)}\n")
    return ExitCode.DONE
