"""A command with commands of its own."""

from typing import Any

import typer
from typer.core import TyperGroup

SENTENCE_CHARS = 400


class Commands(TyperGroup):
    """Lists each command with the whole of its first sentence; typer would cut it to one line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(SENTENCE_CHARS)) for name, one in commands if one]
            )


def group_of(summary: str) -> typer.Typer:
    return typer.Typer(cls=Commands, no_args_is_help=True, help=summary)
