"""`agent models search` and `pull`: from the Hugging Face hub. Nothing is fetched unasked."""

import os
import sys
from typing import Annotated

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.models.advice import ADVICE, advised
from wardian.models.detection import memory_bytes
from wardian.models.gguf_files import GgufFile
from wardian.models.hub import Hub


def search(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORDS", help="None shows models worth trying.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Search the Hugging Face hub for GGUF models, or see a short list of sensible ones."""
    if not words:
        return _advise(as_json=as_json)
    found = Hub(os.environ).search(" ".join(words))
    if as_json:
        print_json([{"repo": m.repo, "downloads": m.downloads, "gated": m.is_gated} for m in found])
        return ExitCode.DONE
    rows = [
        (f"hf:{m.repo}", f"{m.downloads:,}", "asks for an agreement" if m.is_gated else "")
        for m in found
    ]
    print_table(("MODEL", "DOWNLOADS", ""), rows, "The hub has no GGUF model of that name.")
    return ExitCode.DONE if found else ExitCode.NOT_ACHIEVED


def _advise(*, as_json: bool) -> int:
    memory_gb = memory_bytes() / 1e9
    fitting = advised(memory_gb)
    if as_json:
        print_json(
            [
                {
                    "spelling": a.spelling,
                    "size_gb": a.size_gb,
                    "memory_gb": a.memory_gb,
                    "licence": a.licence,
                    "fits": a in fitting,
                    "card": a.card,
                }
                for a in ADVICE
            ]
        )
        return ExitCode.DONE
    rows = [
        (
            a.spelling,
            f"{a.size_gb:.1f} GB",
            f"{a.memory_gb} GB",
            a.licence,
            a.detail if a in fitting else f"too large for this machine's {memory_gb:.0f} GB",
        )
        for a in ADVICE
    ]
    print_table(("MODEL", "FILE", "MEMORY", "LICENCE", ""), rows, "")
    say(f"Get one with: agent models pull {fitting[0].spelling}")
    return ExitCode.DONE


def pull(
    model: Annotated[str, typer.Argument(metavar="hf:OWNER/NAME[:QUANT]")],
    *,
    revision: Annotated[
        str, typer.Option(metavar="COMMIT", help="A commit, tag or branch (default: the newest).")
    ] = "",
) -> int:
    """Download a GGUF model from the Hugging Face hub; goes on where an earlier try broke off."""
    repo, _, quant = model.removeprefix("hf:").partition(":")
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ConfigurationError(
            f"{model!r} names no repository of the hub.",
            "Write hf:OWNER/NAME:QUANT; `agent models search` shows some.",
        )
    hub = Hub(os.environ)
    files = hub.files(repo, quant, revision)
    total = sum(f.size_bytes for f in files)
    say(f"{files[0].name} at {files[0].commit[:12]}, {size(total)}, into {hub.cache}")
    path = hub.pull(files, say)
    held = GgufFile(path=path, size_bytes=path.stat().st_size, repo=repo)
    write(sys.stdout, f"{held.spelling}\n")
    say(f"Use it with: agent run -m {held.spelling}, or keep it: agent models use {held.spelling}")
    return ExitCode.DONE


def size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "-"
    gigabytes = size_bytes / 1e9
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{size_bytes / 1e6:.1f} MB"


def say(line: str) -> None:
    """A line for people."""
    write(sys.stderr, visible(line) + "\n")
