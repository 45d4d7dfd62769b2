"""`agent models`: what this machine can use."""

import os
from typing import Annotated

import typer

from wardian.cli.listing import print_json, print_table
from wardian.errors import ExitCode
from wardian.models.catalogue import KnownModel, known_models
from wardian.models.gguf_files import model_folders
from wardian.settings import paths


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="List the models this machine can use.")
    group.command("list", epilog="Example: agent models list")(list_models)
    app.add_typer(group, name="models")


def list_models(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> int:
    """List the built-in model, GGUF files found here, and providers whose key is set."""
    places = [paths(os.environ).models, *model_folders(os.environ)]
    known = known_models(os.environ, places)
    if as_json:
        print_json([facts(model) for model in known])
        return ExitCode.DONE
    rows = [(m.spelling, m.source, size(m.size_bytes), m.detail) for m in known]
    print_table(
        ("MODEL", "SOURCE", "SIZE", "WHERE"),
        rows,
        "No model is here. Name a file (-m gguf:PATH) or a server (--base-url URL -m NAME).",
    )
    return ExitCode.DONE


def facts(model: KnownModel) -> dict[str, object]:
    return {
        "spelling": model.spelling,
        "source": model.source,
        "detail": model.detail,
        "path": str(model.path) if model.path else None,
        "size_bytes": model.size_bytes,
    }


def size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "-"
    gigabytes = size_bytes / 1e9
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{size_bytes / 1e6:.1f} MB"
