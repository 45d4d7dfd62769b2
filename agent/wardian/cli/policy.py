"""`agent policy`: what calls are allowed, asked and denied."""

import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.settings import paths
from wardian_policies import Policy


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Show what a policy allows, asks and denies.")
    group.command("show", epilog="Example: agent policy show strict")(show)
    app.add_typer(group, name="policy")


def show(
    name: Annotated[str, typer.Argument(help="A preset, or a policy file.")] = "default",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show a policy's rules with where each stands, its paths and its budgets."""
    policy = Policy.load(name, folder=paths(os.environ).policies)
    facts = policy.as_json()
    if as_json:
        print_json(facts)
        return ExitCode.DONE
    rows = [(rule["text"], rule["source"]) for layer in facts["layers"] for rule in layer["rules"]]
    print_table(("RULE", "FROM"), rows, "The policy has no rules.")
    write(sys.stdout, "\n")
    within = policy.confinement
    places = [
        ("readable", " ".join(within.readable) or "nothing"),
        ("writable", " ".join(within.writable) or "nothing"),
        ("protected", " ".join(within.protected) or "nothing"),
        ("hosts", " ".join(within.egress.hosts) or "no network"),
        ("private networks", "by name" if within.egress.private else "refused"),
    ]
    print_table(("WORKSPACE", "WHAT"), places, "")
    write(sys.stdout, "\n")
    budgets = [
        (key, "no limit" if value is None else f"{value:g}")
        for key, value in asdict(policy.budgets).items()
    ]
    print_table(("BUDGET", "LIMIT"), budgets, "")
    return ExitCode.DONE
