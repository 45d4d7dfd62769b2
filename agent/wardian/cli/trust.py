"""`agent trust`: which folders' own files are believed."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.confirm import confirmed
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ApprovalNeeded, ExitCode
from wardian.settings import Workspace, workspace_of
from wardian.settings.trust import (
    OWN_FOLDER,
    WHAT,
    digest,
    distrust,
    leading_files,
    load_trusted,
    trust,
)

NOTHING = "It has no file that could lead an agent; trusting it changes nothing."


def register(app: typer.Typer) -> None:
    app.command("trust", epilog="Example: agent trust --list")(trust_folder)


def trust_folder(
    folder: Annotated[Path, typer.Argument(help="The folder; default: this one.")] = Path(),
    *,
    show: Annotated[
        bool, typer.Option("--show", help="Print the files that would be read.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Trust it without asking.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="No longer trust it.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the folders you trust.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Let a folder's own files lead runs in it: settings, a policy, MCP servers, skills, AGENTS.md.

    Each file is believed as it is now; one that changes or is added is not read until you trust
    the folder again. Settings and policies of a folder can only narrow yours.
    """
    if list_all:
        return print_trusted(as_json=as_json)
    workspace = workspace_of(folder, os.environ)
    if remove:
        was = distrust(workspace.root, os.environ)
        said = "is no longer trusted" if was else "was not trusted"
        write(sys.stderr, visible(f"{workspace.root} {said}.\n"))
        return ExitCode.DONE
    files = leading_files(workspace)
    if as_json:
        print_json({name: state(workspace, name, files[name]) for name in files})
        return ExitCode.DONE
    rows = [
        (name, state(workspace, name, content), str(len(content)), WHAT.get(name, kind_of(name)))
        for name, content in files.items()
    ]
    print_table(("FILE", "STATE", "BYTES", "WHAT IT IS"), rows, NOTHING)
    if show:
        print_contents(files)
    if not workspace.unbelieved() and workspace.is_trusted:
        write(sys.stderr, visible(f"{workspace.root} is trusted, as it is.\n"))
        return ExitCode.DONE
    return ask_and_trust(workspace, files, yes=yes)


def ask_and_trust(workspace: Workspace, files: dict[str, bytes], *, yes: bool) -> int:
    """What is remembered is what was shown, whatever happens to the files meanwhile."""
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    answer = True if yes else confirmed(f"Trust {workspace.root} with these {count} as they are?")
    if answer is None:
        raise ApprovalNeeded(
            f"Nobody can be asked whether to trust {workspace.root}.",
            "Look at its files with --show, then give --yes.",
        )
    if not answer:
        write(sys.stderr, "It is not trusted.\n")
        return ExitCode.APPROVAL
    trust(workspace.root, files, os.environ)
    write(sys.stderr, visible(f"{workspace.root} is trusted with {count}.\n"))
    return ExitCode.DONE


def state(workspace: Workspace, name: str, content: bytes) -> str:
    known = workspace.approved.get(name)
    if known is None:
        return "new"
    return "trusted" if known == digest(content) else "changed"


def kind_of(name: str) -> str:
    if "/skills/" in name:
        return "a skill's file"
    return "a sub-agent" if name.startswith(f"{OWN_FOLDER}/agents/") else "a file of Wardian's"


def print_contents(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        text = visible(content.decode("utf-8", "replace"))
        lines = "".join(f"  {line}\n" for line in text.split("\n"))
        write(sys.stdout, f"\n{visible(name)}:\n{lines}")


def print_trusted(*, as_json: bool) -> int:
    folders = load_trusted(os.environ)
    if as_json:
        print_json(folders)
    else:
        rows = [(folder, str(len(files))) for folder, files in sorted(folders.items())]
        print_table(("FOLDER", "FILES"), rows, "No folder is trusted.")
    return ExitCode.DONE
