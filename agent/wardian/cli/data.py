"""`agent data`: training data made of recorded runs."""

import typer

from wardian.cli.data_build import build_data
from wardian.cli.data_show import show_data
from wardian.cli.filter_options import filtered
from wardian.cli.grouping import group_of


def register(app: typer.Typer) -> None:
    group = group_of("Make training data of runs, and look at it.")
    group.command("build", epilog="Example: agent data build --for sft --all -o sft.jsonl")(
        filtered(build_data)
    )
    group.command("show", epilog="Example: agent data show sft.jsonl -n 2")(show_data)
    app.add_typer(group, name="data")
