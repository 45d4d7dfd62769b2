"""`agent doctor`: what this machine can do, and how to mend what it cannot."""

import typer


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Example: agent doctor")(doctor)


def doctor() -> int:
    return 0
