"""`agent config`: the settings, where each comes from, and how to change one."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.settings import (
    Settings,
    budgets_in_force,
    config_set,
    load_settings,
    paths,
    policy_in_force,
    workspace_of,
)
from wardian_policies import PolicyError
from wardian_policies.schema import UNLIMITED


def register(app: typer.Typer) -> None:
    group = group_of("Show and change the settings.")
    group.command("show", epilog="Example: agent config show --origin")(show)
    group.command("path", epilog="Example: agent config path")(path)
    group.command("set", epilog="Example: agent config set max_steps 20")(set_value)
    app.add_typer(group, name="config")


def show(
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show every setting in force here: environment over your file over defaults.

    Limits of a run are those that hold: the lowest of yours, your policy's and a trusted folder's.
    """
    settings = load_settings({}, os.environ, Path())
    rows, notices = in_force(settings)
    for notice in notices:
        write(sys.stderr, f"agent: {visible(notice)}\n")
    if as_json:
        print_json({key: {"value": value, "origin": where} for key, value, where in rows})
        return ExitCode.DONE
    table = [(key, "" if value is None else str(value), where) for key, value, where in rows]
    headers = ("SETTING", "VALUE", "FROM")
    width = len(headers) if origin else len(headers) - 1
    print_table(headers[:width], [row[:width] for row in table], "")
    return ExitCode.DONE


Row = tuple[str, object, str]
"""Key, value, origin."""


def in_force(settings: Settings) -> tuple[list[Row], list[str]]:
    """Every setting as a run here would have it, and what the user should be told."""
    notices = list(settings.notices)
    try:
        workspace = workspace_of(Path(), os.environ)
        policy = policy_in_force(settings.policy, os.environ, workspace)
    except PolicyError as problem:
        # Who looks for the setting that names it has to see it.
        return list(settings.rows()), [*notices, f"{problem} No run begins with it."]
    held = budgets_in_force(settings, policy)
    rows: list[Row] = []
    for key, value, where in settings.rows():
        limit, source = held.get(key, (value, where))
        rows.append((key, UNLIMITED if key in held and limit is None else limit, source))
    return rows, notices


def path() -> int:
    """Print where your settings file is; it need not exist."""
    write(sys.stdout, f"{paths(os.environ).config_file}\n")
    return ExitCode.DONE


def set_value(
    key: Annotated[str, typer.Argument(help="The setting's name.")],
    value: Annotated[str, typer.Argument(help="Its new value.")],
) -> int:
    """Change one setting in your file; its comments and order stay as they are."""
    file = paths(os.environ).config_file
    config_set(file, key, value)
    write(sys.stderr, f"{key} is set in {visible(str(file))}\n")
    return ExitCode.DONE
