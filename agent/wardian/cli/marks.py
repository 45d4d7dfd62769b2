"""`agent runs tag` and `agent runs label`: words and facts to find runs by."""

import re
import sys
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.events import Labelled, Tagged
from wardian.reruns.forking import annotate
from wardian.runs.facts import REWARD, RunFacts
from wardian.runs.filters import facts_of_run

NAME = re.compile(r"[^\s=,\x00-\x1f\x7f]{1,100}")
VALUE_CHARS = 1_000
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, their ends, or `last`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def tag(
    runs: Runs,
    *,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="TAG", help="Give it this tag.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="Take this tag away.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Give runs tags or take them away; without --add and --remove, list them."""
    added, removed = tuple(map(_name, add or ())), tuple(map(_name, remove or ()))
    if both := set(added) & set(removed):
        raise UsageError(f"The tag {min(both)} is to be added and removed.", "Say one of them.")
    ids = _ids(runs)
    if added or removed:
        for run_id in ids:
            tags = _facts(run_id).tags
            more = tuple(one for one in dict.fromkeys(added) if one not in tags)
            less = tuple(one for one in dict.fromkeys(removed) if one in tags)
            if more or less:
                annotate(store(), run_id, Tagged(added=more, removed=less))
    _show(ids, as_json=as_json, headers=("RUN", "TAGS"))
    return ExitCode.DONE


def label(
    run: Annotated[str, typer.Argument(metavar="RUN", help="An id, its end, or `last`.")],
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="`NAME=` takes the label away."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> int:
    """Say facts about a run, one value a name; without any, list them."""
    given = [_parsed(one) for one in labels or ()]
    [run_id] = _ids([run])
    known = _facts(run_id).labels
    for name, value in given:
        if known.get(name) != value:
            annotate(store(), run_id, Labelled(name=name, value=value))
    _show([run_id], as_json=as_json, headers=("LABEL", "VALUE"))
    return ExitCode.DONE


def _show(ids: list[str], *, as_json: bool, headers: tuple[str, str]) -> None:
    found = [_facts(run_id) for run_id in ids]
    if as_json:
        print_json(
            [
                {"run_id": one.run_id, "tags": sorted(one.tags), "labels": dict(one.labels)}
                for one in found
            ]
        )
    elif headers[0] == "RUN":
        rows = [(one.run_id, " ".join(sorted(one.tags)) or "-") for one in found]
        print_table(headers, rows, "")
    else:
        print_table(headers, sorted(found[0].labels.items()), "The run has no label.")


def _ids(runs: list[str]) -> list[str]:
    """All looked up before any is changed. Raises: RunNotFound."""
    return list(dict.fromkeys(store().find(run) for run in runs))


def _facts(run_id: str) -> RunFacts:
    run = store().load(run_id)
    if run.damage:
        lines = f"{counted(len(run.damage), 'line')} of {run_id}"
        write(sys.stderr, visible(f"agent: {lines} cannot be read\n"))
    return facts_of_run(run)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise UsageError(
            f"{visible(text[:100])!r} cannot be the name of a tag or label.",
            "Up to 100 characters without blanks, commas and `=`.",
        )
    return text


def _parsed(written: str) -> tuple[str, str | None]:
    name, found, value = written.partition("=")
    if not found:
        raise UsageError(f"{visible(written[:100])!r} has no value.", "Write NAME=VALUE, or NAME=.")
    if len(value) > VALUE_CHARS:
        raise UsageError("That value is too long.", f"At most {VALUE_CHARS} characters.")
    if name == REWARD and value:
        try:
            float(value)
        except ValueError:
            raise UsageError(f"{visible(value)!r} is no number.", "A reward is one.") from None
    return _name(name), value or None
