"""The process in which llama.cpp runs: a crash in it is an error line elsewhere.

Speaks JSON lines over one socket, whose number is its only argument. The first line holds the
`LoadOptions`; then `ask`, `cancel` and `adopt`. A second thread reads, so that a cancel is seen
between two tokens, and so that the process ends with its parent whatever the first is doing.

A template is a stranger's code: while it runs, time, processor time and memory are bounded. The
bound on processor time kills the process, since Python code that never gives up the interpreter
lock cannot be interrupted otherwise.
"""

import contextlib
import json
import os
import queue
import resource
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.load import Loaded, LoadFailed, LoadOptions, load
from wardian.models.llamacpp.outgoing import Outgoing

TEMPLATE_SECONDS = 5.0
TEMPLATE_PROCESSOR_SECONDS = 15.0
TEMPLATE_MEMORY_BYTES = 2 * 2**30
"""More than the process had before."""


class Line(Outgoing):
    """The parent's end: requests come out of a queue, answers go out."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection.sendall)
        self._connection = connection
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled = set[int]()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, *, wait: bool) -> dict[str, Any] | None:
        """The next request; None where none is there and it is not to be waited for."""
        try:
            return self._requests.get(block=wait)
        except queue.Empty:
            return None

    def is_cancelled(self, request: int) -> bool:
        return request in self._cancelled

    def _read(self) -> None:
        with self._connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if message["op"] == "cancel":
                    self._cancelled.add(message["id"])
                else:
                    self._requests.put(message)
        os._exit(0)


class TemplateTooSlow(BaseException):
    """Not an Exception: nothing a template calls may swallow it."""


@contextmanager
def bounded() -> Generator[None]:
    """While a stranger's code runs. Raises: TemplateTooSlow; MemoryError comes from Python."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _virtual_bytes() + TEMPLATE_MEMORY_BYTES
    if limit > TEMPLATE_MEMORY_BYTES and (hard == resource.RLIM_INFINITY or limit < hard):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    signal.setitimer(signal.ITIMER_REAL, TEMPLATE_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, TEMPLATE_PROCESSOR_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _too_slow)
    _offer_to_the_oom_killer()
    line = Line(socket.socket(fileno=int(sys.argv[1])))
    asked = line.next(wait=True)
    assert asked is not None
    options = LoadOptions(**asked["options"])
    outcome: list[Loaded | Exception] = []
    loader = threading.Thread(target=_load, args=(options, outcome))
    loader.start()
    # Half of a cold start is importing numpy and Jinja; the other half runs beside it in C.
    from wardian.models.llamacpp.session import Session

    loader.join()
    if isinstance(outcome[0], Exception):
        remedy = outcome[0].remedy if isinstance(outcome[0], LoadFailed) else ""
        line.send({"id": 0, "failed": "load", "cause": str(outcome[0]), "remedy": remedy})
        line.flush()
        return
    if options.vocab_only:
        from wardian.models.llamacpp.checking import Checker

        Checker(outcome[0], bounded, TemplateTooSlow).serve(line)
    session = Session(outcome[0], line, bounded, TemplateTooSlow)
    line.send({"id": 0, "loaded": session.facts})
    line.flush()
    while True:
        line.flush_when_due()
        request = line.next(wait=not session.is_busy)
        if request is None:
            session.step()
        elif request["op"] == "adopt":
            session.adopt(request["conversation"], request["sample"])
        else:
            session.begin(request)


def _load(options: LoadOptions, outcome: list[Loaded | Exception]) -> None:
    try:
        outcome.append(load(llama(), options))
    except LoadFailed as e:
        outcome.append(e)
    except Exception as e:  # noqa: BLE001  told to the parent, which raises it
        outcome.append(LoadFailed(f"{type(e).__name__}: {e}"))


def _offer_to_the_oom_killer() -> None:
    """Where memory runs out, this process is ended before the one that records the run."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  pathlib would be one more import
        file.write("500")


def _too_slow(signal_number: int, frame: FrameType | None) -> None:
    raise TemplateTooSlow


def _virtual_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123  pathlib would be one more import
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
