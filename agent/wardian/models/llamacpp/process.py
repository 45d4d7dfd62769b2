"""The child that holds the model, seen from the outside: start, send, receive, end.

Two threads carry the lines, so that requests of several event loops share one child: one writes
what is posted, one puts each answer into the box of its request.
"""

import asyncio
import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
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


class Box:
    """Answers to one request, in order. Filled by a thread, emptied in one event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: deque[dict[str, Any]] = deque()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._ended = False

    def put(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._messages.append(message)
            self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        with self._lock:
            self._ended = True
            self._wake()

    async def next(self) -> dict[str, Any] | None:
        """None where nothing more will come."""
        while True:
            with self._lock:
                if self._messages:
                    return self._messages.popleft()
                if self._ended:
                    return None
                loop = asyncio.get_running_loop()
                ready = loop.create_future()
                self._waiting = loop, ready
            try:
                await ready
            finally:
                with self._lock:
                    self._waiting = None

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with contextlib.suppress(RuntimeError):  # that loop is closed, nobody waits
                waiting[0].call_soon_threadsafe(_set, waiting[1])


class _Mail:
    """What both threads need. Does not hold the process, so that an unused one is collected."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._boxes: dict[int, Box] = {}
        self._ended = False

    def box(self, number: int) -> Box:
        with self._lock:
            box = self._boxes[number] = Box()
            if self._ended:
                box.end()
            return box

    def leave(self, number: int) -> None:
        with self._lock:
            self._boxes.pop(number, None)

    def write(self) -> None:
        with contextlib.suppress(OSError):
            while (line := self.unsent.get()) is not None:
                self.connection.sendall(line)

    def read(self) -> None:
        received = bytearray()
        with contextlib.suppress(OSError):
            while data := self.connection.recv(RECEIVE_BYTES):
                received += data
                *lines, rest = received.split(b"\n")
                received = rest
                for line in lines:
                    self._deliver(json.loads(line))
        self.unsent.put(None)
        with self._lock:
            self._ended = True
            for box in self._boxes.values():
                box.end()

    def _deliver(self, message: dict[str, Any]) -> None:
        with self._lock:
            box = self._boxes.get(message["id"])
        if box is not None:
            box.put(message)


class LlamaProcess:
    """A running child. `receive` raises ProcessDied once it is gone."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._mail = _Mail(ours)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed with the child
        self._end_lock = threading.Lock()
        self._how = ""
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
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._mail.write, self._mail.read)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return not self._how and self._child.poll() is None

    def post(self, line: bytes) -> None:
        """Goes out in order. Where the child is gone, `receive` says so."""
        self._mail.unsent.put(line + b"\n")

    def box(self, number: int) -> Box:
        """Where the answers to this request will be. `leave` it when they are no longer wanted."""
        return self._mail.box(number)

    def leave(self, number: int) -> None:
        self._mail.leave(number)

    async def receive(self, box: Box, timeout_seconds: float | None = None) -> dict[str, Any]:
        """The next answer. Raises: ProcessDied, TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            message = await box.next()
        if message is None:
            raise ProcessDied(await asyncio.to_thread(self._end, END_SECONDS))
        return message

    def kill(self) -> None:
        """At once. The child holds nothing that needs saving."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        self._end(END_SECONDS)

    async def close(self) -> None:
        """Ask it to end by closing the line, then make it."""
        with contextlib.suppress(OSError):
            self._mail.connection.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(self._end, END_SECONDS)

    def __del__(self) -> None:
        if not self._output.closed:
            self.kill()

    def _end(self, patience_seconds: float) -> str:
        """Wait for the child's end, or make it; how it ended. May be called again."""
        with self._end_lock:
            if self._output.closed:
                return self._how
            try:
                code = self._child.wait(patience_seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
                code = self._child.wait()
            said = self._tail()
            self._how = f"{_how(code)}: {said}" if said else _how(code)
            with contextlib.suppress(OSError):
                self._mail.connection.shutdown(socket.SHUT_RDWR)
            self._mail.unsent.put(None)
            for thread in self._threads:
                thread.join()
            self._mail.connection.close()
            self._output.close()
            return self._how

    def _tail(self) -> str:
        """The last line the child wrote that is not a stack frame."""
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


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
