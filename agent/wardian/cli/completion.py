"""`agent completion`: the script that makes a shell complete `agent`."""

import os
from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    app.command("completion", epilog="Example: agent completion bash")(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")],
) -> None:
    """Print the completion script of a shell; `agent --install-completion` installs it."""
    # The script depends on the program's name alone, so any application can print it.
    printer = typer.Typer(rich_markup_mode=None)
    printer.command()(lambda: None)
    os.environ["_AGENT_COMPLETE"] = f"source_{shell.value}"
    printer(prog_name="agent")
