"""`agent export`: recorded runs as a dataset."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.export import FORMATS, Filters, Rating, Split, card, export, write_card
from wardian.export.filters import UNFINISHED
from wardian.settings import load_settings, paths
from wardian.types import Stop
from wardian_policies import Policy
from wardian_policies.redaction.gather import gather

STATUSES = (*(stop.value for stop in Stop), UNFINISHED)
RunNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Ids, their beginnings or ends, or `last`."),
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")]


def register(app: typer.Typer) -> None:
    app.command("export", epilog="Example: agent export --format trl-sft --all -o sft.jsonl")(
        export_runs
    )


def export_runs(
    runs: RunNames = None,
    *,
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help=f"One of: {', '.join(FORMATS)}.")
    ],
    output: Output,
    every: Annotated[bool, typer.Option("--all", help="Every recorded run.")] = False,
    status: Annotated[
        list[str] | None, typer.Option(metavar="END", help="That ended so, such as `done`.")
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Of this model, or a pattern: `openai/*`.")
    ] = "",
    tool: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="That called this tool.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="With this tag.")] = None,
    since: Annotated[
        datetime | None, typer.Option(metavar="DATE", help="That began then (UTC) or later.")
    ] = None,
    rated: Annotated[Rating | None, typer.Option(help="That you rated so.")] = None,
    min_steps: Annotated[int, typer.Option(min=0, metavar="N", help="Of N steps or more.")] = 0,
    split: Annotated[
        str, typer.Option(metavar="SHARES", help="Into several files: train:0.9,dev:0.1.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> int:
    """Write recorded runs as a dataset, and beside it FILE.card.json, which says what is in it.

    Refused where a row holds a registered secret. Exit code 1 says that no run gave a row.
    """
    if format_name not in FORMATS:
        raise UsageError(f"{format_name!r} is no format.", f"Formats: {', '.join(FORMATS)}.")
    if unknown := set(status or ()) - set(STATUSES):
        raise UsageError(f"{min(unknown)!r} is no end.", f"Ends: {', '.join(STATUSES)}.")
    if bool(runs) is every:
        raise UsageError("Say which runs to export.", "Name them, or say --all.")
    filters = Filters(
        status=tuple(status or ()),
        model=model,
        tools=tuple(tool or ()),
        tags=tuple(tag or ()),
        since=since,
        rated=rated,
        min_steps=min_steps,
    )
    parts = Split.of(split) if split else Split()
    known, secrets = store(), registered()
    ids = known.ids()[::-1] if every else list(dict.fromkeys(known.find(run) for run in runs or ()))
    done = export(
        known,
        ids,
        format_name=format_name,
        output=output,
        filters=filters,
        split=parts,
        secrets=secrets,
    )
    for reason, count in sorted(done.left_out.items()):
        write(sys.stderr, f"left out, {reason}: {count}\n")
    if not done.rows:
        write(sys.stderr, f"none of {counted(done.read, 'run')} gave a row; nothing was written\n")
        return ExitCode.NOT_ACHIEVED
    content = card(
        done, format_name=format_name, filters=filters, split=parts, secrets=len(secrets)
    )
    write_card(content, output)
    if as_json:
        print_json(content)
    names = ", ".join(str(file["name"]) for file in done.files)
    twice = f", {counted(done.duplicates, 'duplicate')} left out" if done.duplicates else ""
    used = counted(len(done.run_ids), "run")
    write(sys.stderr, f"{counted(done.rows, 'row')} of {used} in {names}{twice}\n")
    return ExitCode.DONE


def registered() -> dict[str, str]:
    """The secrets to look for, also where the policy does not redact. Raises: PolicyError."""
    settings = load_settings({}, os.environ)
    policy = Policy.load(settings.policy, folder=paths(os.environ).policies)
    return dict(gather(policy.secrets, os.environ).values)
