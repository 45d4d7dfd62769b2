"""The persistent interpreter as the supervisor sees it: one process, one cell at a time.

Everything that process sends is a claim. Packets without the nonce of the cell under way are noise.
"""

from __future__ import annotations

import os
import time

from wardian_sandbox.inner import children, claims
from wardian_sandbox.inner.bodies import become_worker
from wardian_sandbox.inner.calls import PythonCall
from wardian_sandbox.inner.company import Company
from wardian_sandbox.inner.frames import BadFrame, parse
from wardian_sandbox.inner.sockets import (
    AF_UNIX,
    MSG_DONTWAIT,
    SOCK_SEQPACKET,
    Socket,
    send_fds,
    socketpair,
)
from wardian_sandbox.inner.values import as_number
from wardian_sandbox.inner.watching import Watch

MAX_STRAY_PACKETS = 10_000
MAX_ATTEMPTS = 2
PACKET_BYTES = 2 * claims.CHUNK_BYTES
MAX_CLAIMED_VALUES = 1000
BURY_SECONDS = 1.0
BURY_PAUSE_SECONDS = 0.0005


class Interpreter:
    """Starts the worker, gives it cells, hears its claims, and replaces it when it ends."""

    def __init__(self, watch: Watch, root: int, limits: dict[str, object]) -> None:
        self._watch = watch
        self._root = root
        self._limits = limits
        self._sock: Socket | None = None
        self._call: PythonCall | None = None
        self._strays = 0
        self._left_unread = False
        """Did it end with a cell that it never took up?"""
        self.pid: int | None = None
        """None while there is none."""
        self._company: Company | None = None
        self.is_killed = False
        """By us, though it may not be gone yet."""
        self.state_lost = False
        """It ended, and no answer has said so yet."""

    def start_ahead(self) -> None:
        """Have one ready before it is asked for, if that is possible now."""
        if self.pid is None:
            try:
                self._start()
            except OSError:
                pass  # then the next call says why

    def run(self, call: PythonCall) -> None:
        """Give it a cell, by descriptor, so that one that is stuck cannot block us.

        Raises: OSError.
        """
        call.attempts += 1
        sock = self._sock or self._start()
        assert self._call is None, "the host queues python calls"
        self._call = call
        code = call.code.encode("utf-8", "replace")
        request = call.nonce + claims.LIMITS.pack(as_number(call.cpu_seconds), call.sink.limit)
        if len(code) <= claims.INLINE_BYTES:
            self._send(sock, request + code, [call.end])
            return
        with os.fdopen(os.memfd_create("cell"), "w+b") as file:
            file.write(code)
            file.seek(0)
            self._send(sock, request, [call.end, file.fileno()])

    def _send(self, sock: Socket, request: bytes, fds: list[int]) -> None:
        try:
            send_fds(sock, request, fds, MSG_DONTWAIT)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._left_unread = True
            self.kill()  # it is stopped or dying

    def bury(self) -> None:
        """Have it reap its dead, which count as processes; what does not do so is ended."""
        if self._sock is None or self.pid is None:
            return
        self._send(self._sock, claims.BURY, [])
        until = time.monotonic() + BURY_SECONDS
        while children.unreaped(self.pid):
            if time.monotonic() >= until:
                self.kill()
                return
            time.sleep(BURY_PAUSE_SECONDS)

    def kill(self) -> None:
        """End it and its process group; `ended` follows once it is reaped."""
        if self.pid is not None:
            self.is_killed = True
            children.kill_group(self.pid)

    def may_have_company(self, known: set[int]) -> bool:
        """Might anybody run besides it and those `known`? Asked while it is idle."""
        if self.pid is None:
            return True
        self._company = self._company or Company(self.pid)
        return self._company.may_be(known)

    @property
    def is_idle(self) -> bool:
        """Has it done with its cell?"""
        return self._call is None or self._call.claim is not None

    def leave(self, call: PythonCall) -> None:
        """The call is over, whatever the worker still makes of it."""
        if self._call is call:
            self._call = None

    def ended(self, status: int, spent_seconds: float) -> None:
        """It was reaped: note what it said last, and what became of its cell."""
        assert self._sock is not None
        sock, call = self._sock, self._call
        while packet := self._received(sock):
            self._consider(packet)
        self._watch.drop(sock.fileno())
        sock.close()
        self.pid, self._sock, self._call = None, None, None
        if self._company is not None:
            self._company.close()
        self._company = None
        self.state_lost = True
        if call is None or call.claim is not None:
            return
        if self._left_unread and call.forced is None and call.attempts < MAX_ATTEMPTS:
            try:
                self.run(call)  # it was dying already and has run nothing of it
            except OSError:
                call.ended(status, spent_seconds)
        else:
            call.is_over()
            call.ended(status, spent_seconds)

    def _start(self) -> Socket:
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        try:
            self.pid = children.fork(lambda: become_worker(theirs, self._root, self._limits))
        finally:
            theirs.close()
        self._sock, self._strays = ours, 0
        self.is_killed = self._left_unread = False
        self._watch.add(ours.fileno(), self._hear)
        return ours

    def _hear(self) -> None:
        assert self._sock is not None
        packet = self._received(self._sock)
        if packet:
            self._consider(packet)
        elif packet == b"":
            self.kill()

    def _consider(self, packet: bytes) -> None:
        """A packet: part of a claim about the cell under way, or noise."""
        call = self._call
        mark, nonce = packet[:1], packet[1 : 1 + claims.NONCE_BYTES]
        if call is None or call.claim is not None or nonce != call.nonce:
            self._strays += 1
            if self._strays > MAX_STRAY_PACKETS:
                self.kill()
            return
        if not call.incoming.takes(mark, packet[1 + claims.NONCE_BYTES :]):
            self.kill()
        elif mark == claims.LAST:
            try:
                call.claimed(parse(bytes(call.incoming.body), MAX_CLAIMED_VALUES))
            except BadFrame:
                self.kill()

    def _received(self, sock: Socket) -> bytes | None:
        """The next packet; None if there is none yet, empty if the peer is gone."""
        try:
            return sock.recv(PACKET_BYTES, MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # what a unix socket says when its peer left something unread
            self._left_unread = True
            return b""
        except OSError:
            return b""
