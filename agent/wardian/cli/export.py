"""`agent export`: recorded runs as a dataset, in a file or at a collector."""

import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.filter_options import filtered
from wardian.cli.listing import print_json
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.export import FORMATS, Exported, Filters, Split, card, export, write_card
from wardian.export.cleaning import Cleaning
from wardian.export.overlap import Overlap
from wardian.export.protected import protected_file, protected_texts
from wardian.local_only import forbid_leaving
from wardian.settings import load_settings, paths
from wardian_policies import Policy
from wardian_policies.redaction.gather import gather

RunNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Ids, their beginnings or ends, or `last`."),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")
]
Endpoint = Annotated[
    str,
    typer.Option(
        metavar="URL", help="Send spans to this collector (OTLP), such as http://localhost:4318."
    ),
]
SPANS = ("otel", "otel-metadata")


def register(app: typer.Typer) -> None:
    app.command("export", epilog="Example: agent export --format trl-sft --all -o sft.jsonl")(
        filtered(export_runs)
    )


def export_runs(
    runs: RunNames = None,
    *,
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help=f"One of: {', '.join(FORMATS)}.")
    ],
    output: Output = None,
    every: Annotated[bool, typer.Option("--all", help="Every recorded run.")] = False,
    filters: Filters,
    split: Annotated[
        str, typer.Option(metavar="SHARES", help="Into several files: train:0.9,dev:0.1.")
    ] = "",
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1,
            metavar="X",
            help="Leave out rows that share X of an earlier one's text.",
        ),
    ] = None,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(metavar="SUITE|FILE", help="Leave out rows that give these tasks away."),
    ] = None,
    consent: Annotated[
        str, typer.Option(metavar="TEXT", help="For the card: who agreed, and to what.")
    ] = "",
    endpoint: Endpoint = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> int:
    """Write recorded runs as a dataset, and beside it FILE.card.json, which says what is in it.

    Refused where a row holds a registered secret. Exit code 1 says that no run gave a row.
    """
    if format_name not in FORMATS:
        raise UsageError(f"{format_name!r} is no format.", f"Formats: {', '.join(FORMATS)}.")
    if bool(runs) is every:
        raise UsageError("Say which runs to export.", "Name them, or say --all.")
    if endpoint and (format_name not in SPANS or split):
        raise UsageError("Only spans are sent, and whole.", "Say --format otel, without --split.")
    if not output and not endpoint:
        raise UsageError("Say where to.", "Name a file with -o, or a collector with --endpoint.")
    parts = Split.of(split) if split else Split()
    known, secrets = store(), registered()
    ids = known.ids()[::-1] if every else list(dict.fromkeys(known.find(run) for run in runs or ()))
    with place(output) as file:
        done = export(
            known,
            ids,
            format_name=format_name,
            output=file,
            filters=filters,
            split=parts,
            secrets=secrets,
            cleaning=Cleaning(near=near_duplicates, protected=protected(decontaminate or [])),
        )
        for reason, count in (*sorted(done.left_out.items()), *rows_left_out(done)):
            write(sys.stderr, f"left out, {reason}: {count}\n")
        if not done.rows:
            write(
                sys.stderr, f"none of {counted(done.read, 'run')} gave a row; nothing was written\n"
            )
            return ExitCode.NOT_ACHIEVED
        content = card(
            done,
            format_name=format_name,
            filters=filters,
            split=parts,
            secrets=secrets,
            near_duplicates=near_duplicates,
            decontaminated=decontaminate or [],
            consent=consent,
        )
        if output:
            write_card(content, output)
        sent = send_spans(file, endpoint) if endpoint else 0
    if as_json:
        print_json(content)
    write(sys.stderr, summary(done, bool(output)))
    if endpoint:
        write(sys.stderr, f"{counted(sent, 'span')} taken by {endpoint}\n")
    return ExitCode.DONE


def rows_left_out(done: Exported) -> list[tuple[str, int]]:
    """How many rows were not written, by reason."""
    counts = (
        ("it stands there already", done.duplicates),
        ("it is nearly the same as another", done.near_duplicates),
        ("it gives a test away", done.contaminated),
    )
    return [(reason, count) for reason, count in counts if count]


def summary(done: Exported, is_written: bool) -> str:
    """What was written, in a line."""
    place = f" in {', '.join(str(file['name']) for file in done.files)}" if is_written else ""
    return f"{counted(done.rows, 'row')} of {counted(len(done.run_ids), 'run')}{place}\n"


@contextmanager
def place(output: Path | None) -> Generator[Path]:
    """The file to write; one that goes again where nobody wants to keep it."""
    if output:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="wardian-spans-") as folder:
        yield Path(folder) / "spans.jsonl"


def send_spans(file: Path, endpoint: str) -> int:
    """How many were taken. Raises: as `send`."""
    if load_settings({}, os.environ).local:
        forbid_leaving()
    from wardian.export import otlp  # an HTTP client, for who sends

    headers = otlp.headers_of(os.environ.get(otlp.HEADERS_VARIABLE, ""))
    return otlp.send(file, endpoint, headers)


def protected(names: list[str]) -> Overlap | None:
    """What no row may give away: of files, and of suites by name. Raises: ConfigurationError."""
    if not names:
        return None
    texts = [text for name in names for text in protected_by(name)]
    if not texts:
        raise UsageError(f"There is no text in {', '.join(names)}.", "Name other files or suites.")
    return Overlap(texts)


def protected_by(name: str) -> Iterator[tuple[str, str]]:
    if Path(name).is_file() and Path(name).suffix != ".toml":
        return protected_file(Path(name))
    from wardian.evals.loading import load_suite  # for who names a suite
    from wardian.evals.tasks import row_of

    return protected_texts(row_of(task) for task in load_suite(name).tasks)


def registered() -> dict[str, str]:
    """The secrets to look for, also where the policy does not redact. Raises: PolicyError."""
    settings = load_settings({}, os.environ)
    policy = Policy.load(settings.policy, folder=paths(os.environ).policies)
    return dict(gather(policy.secrets, os.environ).values)
