"""`agent policy edit`: change a policy in an editor; what is no policy never takes its place."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.complaint import complain
from wardian.cli.confirm import confirmed
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.settings import load_settings, make_folder, paths
from wardian.settings.replacing import replace_file
from wardian_policies import PolicyFileError, preset_names
from wardian_policies.file import NOTHING, parse_layer
from wardian_policies.schema import read_text

NEW = """\
# A policy of your own: what it does not mention is as in {base}.
# `agent policy show {base}` prints that; `agent policy explain 'shell(git push)'` a decision.

extends = "{base}"

[tools]
allow = []
ask = []
deny = []
"""
EDITORS = ("VISUAL", "EDITOR")


def edit(
    name: Annotated[
        str | None, typer.Argument(help="One of your policies, or a file; default: yours in force.")
    ] = None,
) -> int:
    """Open a policy in your editor; it is checked before it replaces the old one.

    A preset cannot be changed: a policy of yours that extends it is made instead.
    """
    path, text = policy_to_edit(name or load_settings({}, os.environ).policy)
    draft = Path(tempfile.mkdtemp(prefix="agent-policy-")) / path.name
    draft.write_text(text, encoding="utf-8")
    while True:
        run_editor(draft)
        changed = read_text(draft)
        try:
            parse_layer(path, changed, NOTHING, paths(os.environ).policies)
            break
        except PolicyFileError as error:
            complain(error.cause, error.remedy)
            if not confirmed("Edit it again?"):
                left = "left as it was" if path.exists() else "not made"
                raise ConfigurationError(
                    f"{path} is {left}.", f"Your version is in {draft}."
                ) from error
    draft.unlink()
    draft.parent.rmdir()
    if path.exists() and changed == text:
        write(sys.stderr, "Nothing was changed.\n")
        return ExitCode.DONE
    make_folder(path.parent)
    replace_file(path.resolve(), changed)
    write(sys.stderr, visible(f"{path} is saved.{how_to_use(path)}\n"))
    return ExitCode.DONE


def policy_to_edit(name: str) -> tuple[Path, str]:
    """The file, which need not exist yet, and the text to begin with. Raises: PolicyFileError."""
    folder = paths(os.environ).policies
    if "/" in name or name.endswith(".toml"):
        path = Path(name).expanduser().absolute()
        base = "default"
    elif name in preset_names():
        path, base = folder / f"my-{name}.toml", name
    else:
        path, base = folder / f"{name}.toml", "default"
    return path, read_text(path) if path.exists() else NEW.format(base=base)


def run_editor(file: Path) -> None:
    """Raises: ConfigurationError when there is none, or it fails."""
    chosen = next((os.environ[name] for name in EDITORS if os.environ.get(name)), "")
    if not chosen:
        if not sys.stdin.isatty():
            raise ConfigurationError(
                "No editor is chosen, and this is no terminal for the usual one.", "Set EDITOR."
            )
        chosen = "vi"
    try:
        done = subprocess.run([*shlex.split(chosen), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The editor {chosen!r} cannot be started ({error}).", "Set EDITOR to one that can."
        ) from error
    if done.returncode:
        raise ConfigurationError(
            f"The editor {chosen!r} ended with {done.returncode}, so nothing is saved.",
            f"What was written is in {file}.",
        )


def how_to_use(path: Path) -> str:
    folder = paths(os.environ).policies
    name = path.stem if path.parent == folder else str(path)
    if load_settings({}, os.environ).policy in (name, str(path)):
        return ""
    return f" `agent config set policy {shlex.quote(name)}` puts it in force."
