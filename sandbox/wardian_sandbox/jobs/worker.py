"""The process that jobs are forked from. Nothing of anybody else's ever reaches it.

It takes descriptors from the host and forks for each: the child reads its order from the
descriptor, does the job, writes its answer there and ends, and with it whatever it started. So no
job finds what another one left, and a parser that was taken over has its own page to lie about.
"""

import functools
import importlib
import json
import math
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wardian_sandbox.inner import children, sacrifice
from wardian_sandbox.inner.frames import FrameReader
from wardian_sandbox.inner.listening import URL, hand_over
from wardian_sandbox.inner.values import as_object, as_texts

READ_BYTES = 1 << 16
MAX_DETAIL_CHARS = 300
READY = b"R"
"""Descriptors may be sent from now on: they would be lost on whoever reads the settings."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a job gets out."""

    proxy: str
    """A URL."""
    authorities: str
    """A file of certificates to trust beside the system's, as PEM; empty is none."""


def main(control_name: str) -> None:
    """Serve the host until it goes away, on the socket whose descriptor has that number."""
    sacrifice.prepare()
    children.prctl(children.PR_SET_DUMPABLE, 0)
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children.prctl(children.PR_SET_CHILD_SUBREAPER, 1)
    control = socket.socket(fileno=int(control_name))
    settings = _settings(control)
    if settings["egress"]:
        hand_over(control)
    control.sendall(READY)
    way = Way(str(settings["proxy"] or URL), _kept(str(settings["authorities"])))
    for name in as_texts(settings["modules"]):
        with suppress(ImportError):  # an extra that is not installed: the job says so
            module = importlib.import_module(name)
            getattr(module, "prepare", _nothing)(way)
    _leave_the_hosts_streams()
    _serve(control, way, as_object(settings["limits"]))


def _leave_the_hosts_streams() -> None:
    """What libraries print would fill a pipe that nobody reads."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _nothing(way: Way) -> None:
    """For modules that have nothing to prepare."""


def _settings(control: socket.socket) -> dict[str, object]:
    reader = FrameReader()
    while data := control.recv(READ_BYTES):
        for message in reader.feed(data):
            return message
    sys.exit(0)


def _kept(authorities: str) -> str:
    """The path of a file that holds them, for this process and those forked from it."""
    if not authorities:
        return ""
    descriptor = os.memfd_create("authorities")  # leaves nothing on a disk
    os.write(descriptor, authorities.encode("ascii"))
    return f"/proc/self/fd/{descriptor}"


def _serve(control: socket.socket, way: Way, limits: dict[str, object]) -> None:
    ended = _notices()
    jobs: set[int] = set()
    while True:
        ready, _, _ = select.select([control, ended], [], [])
        if ended in ready:
            ended.recv(READ_BYTES)
            _sweep(jobs)
        if control in ready:
            mark, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not mark:
                return
            with socket.socket(fileno=descriptors[0]) as channel:
                body = functools.partial(_attend, (control, ended), channel, way, limits)
                jobs.add(children.fork(body))


def _notices() -> socket.socket:
    """Readable whenever a child has ended."""
    reading, writing = socket.socketpair()
    for end in (reading, writing):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, _wake)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
    return reading


def _wake(number: int, frame: object) -> None:
    """What the signal is for is done by the descriptor that it makes readable."""


def _sweep(jobs: set[int]) -> None:
    """Reap what has ended, and end what a job left running."""
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            jobs.discard(pid)
    for stray in children.strays(jobs):
        children.kill(stray)


def _attend(
    not_its: Sequence[socket.socket], channel: socket.socket, way: Way, limits: dict[str, object]
) -> None:
    """In the child: one job, then the end."""
    for sock in not_its:
        sock.close()
    os.close(signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    children.apply_limits(limits)
    order = json.loads(_all_of(channel))
    signal.alarm(math.ceil(order["seconds"]))
    answer = json.dumps(_done(order, way)).encode("ascii")
    with suppress(OSError):  # the host does not wait any more
        channel.sendall(answer)
    os._exit(0)


def _done(order: dict[str, Any], way: Way) -> dict[str, Any]:
    module, _, name = order["function"].partition(":")
    try:
        return {"value": getattr(importlib.import_module(module), name)(way, **order["arguments"])}
    except MemoryError:
        return {"failure": "memory"}
    except RecursionError:
        return {"failure": "crashed", "detail": "nested too deeply"}
    except Exception as problem:  # noqa: BLE001 - libraries raise anything on hostile input; told
        return {"failure": "crashed", "detail": repr(problem)[:MAX_DETAIL_CHARS]}


def _all_of(channel: socket.socket) -> bytes:
    parts: list[bytes] = []
    while data := channel.recv(READ_BYTES):
        parts.append(data)
    return b"".join(parts)
