"""The child that holds the model, seen from the outside: start, send, receive, end.

Bound to no event loop, so that one model serves several `asyncio.run` one after the other.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import wardian

RECEIVE_BYTES = 2**18
END_SECONDS = 5.0
TAIL_BYTES = 4000

_BOOTSTRAP = (
    "import json, os, sys; first, last = json.loads(os.environ.pop('WARDIAN_CHILD_PATH'));"
    "sys.path[:] = first + sys.path + [p for p in last if p not in sys.path];"
    "from wardian.models.llamacpp.child import main; main()"
)
_BUILD_FOLDER = re.compile(r"/\S*/(?=[\w.-]+:\d+: )")
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PASSED_ON_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GGML_", "LLAMA_", "VK_", "OMP_")
"""The child reads a stranger's file; it gets no key and no token from the environment."""


class ProcessDied(Exception):
    """The child is gone. The message says how, without a remedy."""


class LlamaProcess:
    """A running child. `receive` and `send` raise ProcessDied once it is gone."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._connection = ours
        self._received = bytearray()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed with the child
        command = [sys.executable, "-P", "-c", _BOOTSTRAP, str(theirs.fileno())]
        with theirs:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                process_group=0,
                cwd="/",
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    async def send(self, line: bytes) -> None:
        """Raises: ProcessDied. Cancelled midway, the line is broken: kill the child then."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, line + b"\n")
        except OSError as e:
            raise await self._died() from e

    def send_now(self, message: dict[str, Any]) -> bool:
        """Without waiting; False where the line is full or gone."""
        data = json.dumps(message).encode() + b"\n"
        try:
            return self._connection.send(data) == len(data)
        except OSError:
            return False

    async def receive(self, timeout_seconds: float | None = None) -> dict[str, Any]:
        """The next message. Raises: ProcessDied, TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while (end := self._received.find(b"\n")) < 0:
                try:
                    data = self._connection.recv(RECEIVE_BYTES)
                except BlockingIOError:
                    await _readable(self._connection)
                    continue
                except OSError as e:
                    raise await self._died() from e
                if not data:
                    raise await self._died()
                self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message

    def kill(self) -> None:
        """At once. The child holds nothing that needs saving."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait()
        self._connection.close()
        self._output.close()

    async def close(self) -> None:
        """Ask it to end by closing the line, then make it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # a request in flight sees it end, too
        try:
            await asyncio.to_thread(self._child.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def __del__(self) -> None:
        if not self._output.closed:
            self.kill()

    async def _died(self) -> ProcessDied:
        try:
            code = await asyncio.to_thread(self._child.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        how = _how(code)
        said = self._tail()
        self.kill()
        return ProcessDied(f"{how}: {said}" if said else how)

    def _tail(self) -> str:
        """The last line the child wrote that is not a stack frame."""
        if self._output.closed:
            return ""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - TAIL_BYTES))
        lines = self._output.read().decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return _BUILD_FOLDER.sub("", last)[:300]


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGPROF":
        return "was stopped: its chat template computed for too long"
    if name == "SIGKILL":
        return "was killed (SIGKILL; perhaps the machine is out of memory)"
    return f"crashed ({name})"


def _environment() -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    ours = [str(Path(str(wardian.__file__)).parent.parent)]
    rest = [p for p in sys.path if Path(p).is_absolute()]
    return {
        **passed,
        "WARDIAN_CHILD_PATH": json.dumps([ours, rest]),
        "GGML_NO_BACKTRACE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


async def _readable(connection: socket.socket) -> None:
    """Returns once there is something to read. Takes nothing, so cancelling it loses nothing."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(connection, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
