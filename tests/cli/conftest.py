"""Runs the real command: as a subprocess without a terminal, or on a pseudo-terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-P", "-m", "wardian"]
PATIENCE_SECONDS = 300.0
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and nothing of the developer's."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    kept = ("PATH", "PYTHONPATH", "LANG")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        "WARDIAN_HOME": str(home / "wardian"),
        "OPENAI_API_KEY": "sk-test-not-a-key",
        "COLUMNS": "100",
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    return folder


@pytest.fixture
def agent(environment: dict[str, str], workspace: Path) -> Command:
    """`agent(*arguments, input=…)`, without a terminal, in the workspace."""

    def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
        extra = more.pop("env", {})
        assert isinstance(extra, dict)
        if "input" not in more:
            more["stdin"] = subprocess.DEVNULL
        options = {"cwd": workspace, "text": True, "capture_output": True, **more}
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*COMMAND, *arguments],
            env=environment | extra,
            timeout=PATIENCE_SECONDS,
            check=False,
            **options,  # type: ignore[call-overload] # a test's own keyword arguments
        )
        return done

    return run


class Screen:
    """A command on a pseudo-terminal: what it wrote, and a keyboard."""

    def __init__(self, arguments: list[str], env: dict[str, str], cwd: Path) -> None:
        self.seen = ""
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                # Whoever started the tests in the background had it ignored, in children too.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.execve(sys.executable, [*COMMAND, *arguments], env)
            finally:
                os._exit(127)

    @property
    def text(self) -> str:
        """Everything written, without escape sequences."""
        return ANSI.sub("", self.seen).replace("\r\n", "\n")

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.text.count(text) < times:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} never appeared in:\n{self.text}")

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def hang_up(self) -> int:
        """Close the terminal, as a window is closed, and give the exit code."""
        os.close(self.fd)
        self.fd = os.open(os.devnull, os.O_RDWR)
        self.status = os.waitpid(self.pid, 0)[1]
        code = os.waitstatus_to_exitcode(self.status)
        return code if code >= 0 else 128 - code

    def exit_code(self) -> int:
        """Read to the end and give the exit code (128 + n where signal n ended it)."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        code = os.waitstatus_to_exitcode(self.status)
        return code if code >= 0 else 128 - code

    def _read(self, deadline: float) -> bool:
        if not select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"Nothing more came after:\n{self.text}")
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.fd)


@pytest.fixture
def screen(environment: dict[str, str], workspace: Path) -> Iterator[Callable[..., Screen]]:
    """`screen(*arguments)`: the command on a terminal of its own."""
    opened: list[Screen] = []

    def start(*arguments: str, **env: str) -> Screen:
        full = environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | env
        opened.append(Screen(list(arguments), full, workspace))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
