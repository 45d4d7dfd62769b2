"""A command with commands of its own."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from wardian.cli.terminal import write
from wardian.errors import ExitCode

SENTENCE_CHARS = 400


class Commands(TyperGroup):
    """Lists each command with the whole of its first sentence; typer would cut it to one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Alone it is wrong usage, and shows its help as such."""
        if not args and not ctx.resilient_parsing:
            write(sys.stderr, f"{ctx.get_help()}\n")
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(SENTENCE_CHARS)) for name, one in commands if one]
            )


def group_of(summary: str) -> typer.Typer:
    return typer.Typer(cls=Commands, help=summary)
