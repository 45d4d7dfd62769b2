"""`agent tasks harvest`: a task made of a finished run."""

import asyncio
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from wardian.cli.closing import counted
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError, read_file
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.evals import harvesting
from wardian.evals.tasks import Split
from wardian.settings import load_settings, policy_in_force
from wardian_policies.redaction.gather import gather
from wardian_policies.redaction.redactor import Detectors, Redactor

EXAMPLE = '--verifier \'{"kind": "number", "expected": 42}\''


def harvest(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, or `last`.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the task is written.")
    ],
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="CMD", help="Must end with 0 in the workspace."),
    ] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(
            "--verifier", metavar="TABLE|FILE", help="As JSON, or a TOML file; see docs/rewards.md."
        ),
    ] = None,
    hide: Annotated[
        list[str] | None,
        typer.Option("--hide", metavar="GLOB", help="Files that only the grader is to see."),
    ] = None,
    protect: Annotated[
        list[str] | None,
        typer.Option("--protect", metavar="GLOB", help="Files that a solver may not change."),
    ] = None,
    family: Annotated[str, typer.Option(metavar="NAME", help="Of the task.")] = "harvest",
    split: Annotated[Split, typer.Option(help="What it may be used for.")] = Split.TEST,
    identity: Annotated[
        str, typer.Option("--id", metavar="ID", help="Else made of what was asked.")
    ] = "",
    as_it_is: Annotated[
        bool,
        typer.Option("--as-it-is", help="Take the folder as it is now, where no state was kept."),
    ] = False,
) -> int:
    """Turn a finished run whose check passes into a task: its start, what was asked, the check.

    Refused when the check does not pass on what the run left, or passes already on what it began
    with. Registered secrets and tokens are taken out; personal data is not.
    """
    tables = (*({"kind": "command", "command": one} for one in check or ()), *tables_of(verifier))
    if not tables:
        raise UsageError("No check was given.", "Say --check CMD or --verifier TABLE.")
    wanted = harvesting.Wanted(
        verifier=tables,
        family=family,
        split=split,
        id=identity,
        hide=tuple(hide or ()),
        protect=tuple(protect or ()),
        as_it_is=as_it_is,
    )
    made = asyncio.run(harvesting.harvest(store().load(run), wanted, output, redactor()))
    for notice in made.notices:
        write(sys.stderr, visible(f"agent: {notice}") + "\n")
    for place in made.redacted:
        write(sys.stderr, visible(f"redacted: {place}") + "\n")
    write(sys.stdout, visible(f"{made.path}") + "\n")
    calls = counted(len(made.task.meta["solution"]["calls"]), "call")
    write(sys.stderr, f"task {visible(made.task.id)} of a run of {calls}: agent eval {output}\n")
    return ExitCode.DONE


def tables_of(given: list[str] | None) -> list[dict[str, Any]]:
    """Raises: UsageError, ConfigurationError."""
    tables: list[dict[str, Any]] = []
    for one in given or ():
        try:
            is_inline = one.lstrip().startswith("{")
            table = json.loads(one) if is_inline else tomllib.loads(read_file(Path(one)))
        except ValueError as problem:
            raise UsageError(
                f"The verifier cannot be read: {problem}.",
                f"Write {EXAMPLE}, or name a TOML file.",
            ) from problem
        found: object = table.get("verifier", table)
        if not isinstance(found, dict):
            raise UsageError("A verifier is a table.", f"Write {EXAMPLE}.")
        tables.append(cast("dict[str, Any]", found))
    return tables


def redactor() -> Redactor:
    """Finds what the policy registers as secret, and what has the form of a token."""
    settings = load_settings({}, os.environ)
    policy = policy_in_force(settings.policy, os.environ, None)
    known = gather(policy.secrets, os.environ).values
    rules = policy.redaction
    detectors = Detectors(structure=True, rules=True, patterns=rules.patterns)
    return Redactor(known, detectors, ignore=rules.ignore)
