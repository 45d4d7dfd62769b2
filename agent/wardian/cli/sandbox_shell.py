"""`agent sandbox shell`: a box, line by line."""

import asyncio
import codeop
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wardian.cli.run_options import SandboxChoice
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.settings import load_settings, paths
from wardian_policies import Policy
from wardian_sandbox import Confinement, ExecResult, SupervisedSandbox, open_sandbox

SHELL_MARK = "!"


def open_box(
    runner: asyncio.Runner,
    sandbox: SandboxChoice | None,
    image: str,
    policy: str | None,
    workspace: Path,
    *,
    copy: bool,
) -> tuple[SupervisedSandbox, Confinement]:
    """The box that these settings describe, and what calls in it may do.

    Raises: ConfigurationError, PolicyError, SandboxError.
    """
    flags = {
        "sandbox": sandbox.value if sandbox else None,
        "sandbox_image": image or None,
        "policy": policy,
        "workspace_mode": "copy" if copy else None,
    }
    settings = load_settings(flags, os.environ, workspace)
    within = Policy.load(settings.policy, folder=paths(os.environ).policies).confinement
    box = runner.run(
        open_sandbox(
            settings.sandbox,
            workspace,
            within,
            mode=settings.workspace_mode,
            image=settings.sandbox_image,
        )
    )
    return box, within


def converse(
    runner: asyncio.Runner, box: SupervisedSandbox, within: Confinement, *, bash: bool
) -> int:
    """Run each line until there are no more; then 0 if the last one succeeded."""
    is_person = sys.stdin.isatty()
    if is_person:
        greet(box)
    warn(box)
    result: ExecResult | None = None
    try:
        for is_shell, code in pieces(bash=bash, is_person=is_person):
            run = box.shell if is_shell else box.python
            try:
                result = runner.run(run(code, within))
            except KeyboardInterrupt:
                write(sys.stderr, "\nThe call was ended.\n")
                continue
            show(result)
    finally:
        runner.run(box.close())
    failed = result is not None and result.exit_code != 0
    return ExitCode.NOT_ACHIEVED if failed and not is_person else ExitCode.DONE


def greet(box: SupervisedSandbox) -> None:
    with suppress(ImportError):
        __import__("readline")  # gives `input` editing and a history
    name = box.identity.backend
    chosen = str(box.identity.detail.get("chosen") or "")
    write(sys.stderr, visible(f"{name}{f': {chosen}' if chosen else ''}\n"))
    write(sys.stderr, f"Python; {SHELL_MARK}COMMAND runs a shell command; Ctrl-D leaves.\n")


def warn(box: SupervisedSandbox) -> None:
    """Say that nothing confines the lines, or not as was proven: to programs too."""
    is_none = box.identity.backend == "none"
    text = "NO SANDBOX: lines run with your rights" if is_none else box.identity.notice
    if text:
        write(sys.stderr, f"agent: {visible(text)}\n")


def pieces(*, bash: bool, is_person: bool) -> Iterator[tuple[bool, str]]:
    """(is it a shell command, code) for each command or whole statement that comes."""
    lines: list[str] = []
    while True:
        prompt = "$ " if bash else "... " if lines else ">>> "
        try:
            line = input(prompt if is_person else "")
        except EOFError:
            break
        except KeyboardInterrupt:
            write(sys.stderr, "\n")
            lines.clear()
            continue
        if bash or (not lines and line.startswith(SHELL_MARK)):
            if command := line if bash else line.removeprefix(SHELL_MARK):
                yield True, command
            continue
        lines.append(line)
        if is_whole(lines):
            if any(line.strip() for line in lines):
                yield False, "\n".join(lines)
            lines.clear()
    if lines:
        yield False, "\n".join(lines)


def is_whole(lines: list[str]) -> bool:
    """Is it a statement that cannot go on? A block ends with an empty line, as in Python."""
    try:
        return codeop.compile_command("\n".join(lines), "<input>", "single") is not None
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return True  # the box says what is wrong with it


def show(result: ExecResult) -> None:
    """What it printed and gave to stdout, what went wrong to stderr."""
    out = result.output
    if result.value is not None:
        out += ("" if not out or out.endswith("\n") else "\n") + result.value + "\n"
    write(sys.stdout, visible(out))
    sys.stdout.flush()
    if result.error is not None:
        write(sys.stderr, visible(result.error) + "\n")
    elif result.exit_code != 0:
        write(sys.stderr, f"[{result.ending.value}, exit code {result.exit_code}]\n")
    if result.left_running:
        write(sys.stderr, f"[processes left running: {result.left_running}, ended with the call]\n")
    if result.state_lost:
        write(sys.stderr, "[the interpreter was restarted; earlier variables are gone]\n")
