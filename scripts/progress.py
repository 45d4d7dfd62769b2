"""Long commands of the installer: one live line while they run, the log's end when they fail."""

import os
import re
import selectors
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PLAIN_UNITS = 20
"""Without a terminal, one line is printed each time this many build units are done."""
REMEMBERED_LINES = 400
"""Lines of output searched for the cause of a failure."""
TAIL_LINES = 15
"""Lines of the log shown when a command fails."""

UNIT = re.compile(r"^\s*\[(\d+)/(\d+)\]")
PHASES = (
    (re.compile(r"^\s*Collecting (\S+)"), "looking up {}"),
    (re.compile(r"^\s*Downloading (\S+)"), "downloading {}"),
    (re.compile(r"Configuring CMake"), "configuring the build"),
    (re.compile(r"^\s*Building wheel for (\S+)"), "building {}"),
    (re.compile(r"^\s*Installing collected packages"), "copying files"),
    (re.compile(r"^Get:\d+ \S+ \S+ \S+ (\S+)"), "downloading {}"),
    (re.compile(r"^Unpacking (\S+)"), "unpacking {}"),
    (re.compile(r"^Setting up (\S+)"), "setting up {}"),
)
REMEDIES = (
    (re.compile(r"No space left on device"), "The disk is full.", "Free 2 GB and run it again."),
    (
        re.compile(
            r"Temporary failure in name resolution|Failed to establish a new connection"
            r"|Network is unreachable|NewConnectionError|NameResolutionError"
            r"|Could not resolve|Temporary failure resolving"
        ),
        "The package index cannot be reached.",
        "Check the network or the proxy settings of pip and apt, then run it again.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        "The package index's certificate is not trusted here.",
        "Install ca-certificates, or point PIP_CERT at your organisation's certificate file.",
    ),
    (
        re.compile(r"E: Unable to locate package|has no installation candidate"),
        "apt does not know a package that is needed.",
        "Check the network and the sources of apt (on Ubuntu: universe), then run it again.",
    ),
    (
        re.compile(r"Could not get lock|Unable to acquire the dpkg"),
        "Another program is installing packages.",
        "Wait until it has finished, then run it again.",
    ),
    (
        re.compile(r"sudo: a (?:terminal|password) is required"),
        "sudo needs a password and there is no terminal to ask for it.",
        "Run it in a terminal, or as root.",
    ),
    (
        re.compile(r"c\+\+: fatal error: Killed|internal compiler error: Killed"),
        "The compiler ran out of memory.",
        "Run it again with CMAKE_BUILD_PARALLEL_LEVEL=1.",
    ),
)


class InstallFailed(Exception):
    """The installation cannot go on: one sentence of cause, one of remedy."""

    def __init__(self, cause: str, remedy: str, log: Path | None = None) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.log = log


def duration(seconds: float) -> str:
    """`8 s`, `3 min 07 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def describe(line: str) -> str | None:
    """What a line of the command's output says is happening, if it says so."""
    if unit := UNIT.match(line):
        return f"[{unit[1]}/{unit[2]}] compiling"
    for pattern, text in PHASES:
        if found := pattern.search(line):
            return text.format(*(Path(group).name for group in found.groups()))
    return None


def diagnose(output: str, command: Sequence[str]) -> tuple[str, str]:
    """Cause and remedy of a failed command, from what it printed."""
    for pattern, cause, remedy in REMEDIES:
        if pattern.search(output):
            return cause, remedy
    return (
        f"`{shlex.join(command)}` failed.",
        "The end of its log is above; mend that, then run it again.",
    )


@dataclass(slots=True, kw_only=True)
class StatusLine:
    """One line that is rewritten on a terminal, and rare plain lines elsewhere."""

    stream: IO[str]
    started: float
    text: str = "starting"

    def update(self, text: str) -> None:
        if not self.stream.isatty() and is_milestone(text):
            print(f"      {text}", file=self.stream, flush=True)
        self.text = text
        self.draw()

    def draw(self) -> None:
        if self.stream.isatty():
            elapsed = duration(time.monotonic() - self.started)
            width = (os.get_terminal_size(self.stream.fileno()).columns or 80) - 1
            line = f"      {self.text}  {elapsed}"
            print(f"\r\x1b[K{line[:width]}", end="", file=self.stream, flush=True)

    def clear(self) -> None:
        if self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream, flush=True)


def is_milestone(text: str) -> bool:
    """True for the build units worth a line of their own: every 20th and the last."""
    unit = UNIT.match(text)
    return unit is not None and (int(unit[1]) % PLAIN_UNITS == 0 or unit[1] == unit[2])


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    environment: dict[str, str] | None = None,
    stream: IO[str] = sys.stderr,
) -> None:
    """Run `command` with its output in `log` and its progress on `stream`.

    Raises: InstallFailed, after printing the end of the log.
    """
    status = StatusLine(stream=stream, started=time.monotonic())
    recent = deque[str](maxlen=REMEMBERED_LINES)
    with log.open("a", encoding="utf-8", errors="replace") as written:
        print(f"$ {' '.join(command)}", file=written, flush=True)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        ) as process:
            assert process.stdout is not None
            try:
                follow(process.stdout, written, status, recent)
            except BaseException:
                process.terminate()
                raise
            finally:
                status.clear()
        code = process.returncode
    if code != 0:
        for line in list(recent)[-TAIL_LINES:]:
            print(f"      | {line[:400]}", file=stream, flush=True)
        raise InstallFailed(*diagnose("\n".join(recent), command), log)


def follow(output: IO[bytes], written: IO[str], status: StatusLine, recent: deque[str]) -> None:
    """Copy the command's output to the log and its phases to the status line until it ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        pending = b""
        while True:
            if not selector.select(timeout=1.0):
                status.draw()
                continue
            chunk = os.read(output.fileno(), 1 << 16)
            if not chunk:
                return
            written.write(chunk.decode("utf-8", "replace"))
            written.flush()
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                readable = line.decode("utf-8", "replace").rstrip()
                recent.append(readable)
                if text := describe(readable):
                    status.update(text)
