"""The typer application. Only the command asked for is imported; the others are names."""

import os
from importlib import import_module

import typer

from wardian._version import __version__
from wardian.cli.commands import COMMANDS


def application(argv: list[str]) -> typer.Typer:
    """The typer application, with only the command asked for imported; the others are names."""
    app = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    words = os.environ.get("COMP_WORDS", "").split()
    wanted = {*argv[:1], *words[1:2]}
    for name, (module, summary) in COMMANDS.items():
        if name in wanted:
            import_module(module).register(app)
        else:
            app.command(name, help=summary)(not_loaded)
    return app


def root(*, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """An agent that runs on your own machine and gets better from its own work."""
    if version:
        typer.echo(f"agent {__version__}")
        raise typer.Exit


def not_loaded() -> None:
    """Stands in the list of commands for one that was not asked for."""


def complete() -> None:
    """Answer the shell that completes a command line, as its environment says; then exit."""
    application([])(prog_name="agent")
