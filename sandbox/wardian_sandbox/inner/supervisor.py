"""PID 1 of the box: does what the host asks, and is the only one whose word on facts counts.

One thread around one epoll. Untrusted code runs in processes of its own: shell commands and file
operations in a new one each, Python in a persistent worker. The supervisor is not dumpable, so
that they can read neither its memory nor its descriptors, and as PID 1 it gets no signal of theirs.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time

from wardian_sandbox.inner import answers, children, worker
from wardian_sandbox.inner.bodies import become_file_operation, become_shell, become_worker
from wardian_sandbox.inner.calls import Call, CommandCall, FileCall, PythonCall
from wardian_sandbox.inner.control import Streams
from wardian_sandbox.inner.frames import BadFrame, FrameReader, pack
from wardian_sandbox.inner.values import as_number, as_object, as_texts

READ_BYTES = 1 << 18
MAX_FILE_RESULT_BYTES = 16 << 20
MAX_STRAY_PACKETS = 10_000
MAX_ATTEMPTS = 2
MAX_LEFTOVER_PIPES = 16
MAX_PATIENCE_SECONDS = 3600.0
SWEEP_SECONDS = 0.5
MAX_GENERATIONS = 3
SWEEP_PAUSE_SECONDS = 0.001


class HostGone(Exception):
    """The host closed the control channel: everything ends."""


class Worker:
    """The persistent interpreter as the supervisor sees it."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock
        self.call: PythonCall | None = None
        self.strays = 0


class Supervisor:
    """Reads requests, keeps calls, answers each once."""

    def __init__(self, control: socket.socket | Streams, settings: dict[str, object]) -> None:
        self._control = control
        self._reader = FrameReader()
        self._poll = select.epoll()
        self._ready: dict[int, object] = {}
        self._calls: dict[int, Call] = {}
        self._leaders: dict[int, Call] = {}
        self._worker: Worker | None = None
        self._state_lost = False
        self._unlimited = as_texts(settings["unlimited"])
        self._limits = self._limits_of(settings)
        self._root_path = str(settings["root"])
        self._root = os.open(self._root_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names = as_texts(settings["names"])
        self._leftovers: list[int] = []
        self._must_sweep = False
        self._wake = self._listen_for_children()
        self._watch(control.fileno(), "control")

    def run(self) -> None:
        """Until the host goes away."""
        self._start_worker_ahead()
        while True:
            for fd, _ in self._poll.poll(self._patience()):
                self._attend(fd)
            if self._must_sweep:
                self._sweep()
            now = time.monotonic()
            for call in list(self._calls.values()):
                if call.settle_by is None and now >= call.deadline:
                    self._force(call, "timed_out")
            for call in list(self._calls.values()):
                if call.is_settled(now):
                    self._finish(call)

    def _patience(self) -> float:
        if not self._calls:
            return -1
        soonest = min(call.wakes_at() for call in self._calls.values())
        return min(max(soonest - time.monotonic(), 0), MAX_PATIENCE_SECONDS)

    def _attend(self, fd: int) -> None:
        what = self._ready.get(fd)
        if what == "control":
            self._read_control()
        elif what == "children":
            os.read(self._wake, 4096)
            self._reap()
        elif isinstance(what, Worker):
            self._hear(what)
        elif isinstance(what, Call):
            self._drain(what)
        elif what == "leftover" and self._read(fd) == b"":
            self._leftovers.remove(fd)
            self._forget(fd)

    def _read_control(self) -> None:
        try:
            data = self._control.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise HostGone
        for message in self._reader.feed(data):
            self._take(message)

    def _take(self, message: dict[str, object]) -> None:
        number, operation = as_number(message["id"]), message["op"]
        if operation == "cancel":
            call = self._calls.get(number)
            if call is not None:
                self._force(call, "cancelled")
            return
        try:
            if operation == "python":
                self._start_python(number, message)
            elif operation == "shell":
                self._start_shell(number, message)
            elif operation == "file":
                self._start_file(number, message)
            else:
                raise BadFrame(f"an unknown request {operation!r}")
        except OSError as problem:
            if number in self._calls:
                self._drop(self._calls[number])
            self._answer(number, answers.of_what_did_not_start(operation, problem))

    def _limits_of(self, message: dict[str, object]) -> dict[str, object]:
        limits = as_object(message["limits"])
        return {name: value for name, value in limits.items() if name not in self._unlimited}

    def _start_shell(self, number: int, message: dict[str, object]) -> None:
        limits = self._limits_of(message)
        output, end = os.pipe()
        limit = as_number(limits["output_bytes"])
        call = self._add(CommandCall(number, _seconds(limits), output, limit))
        try:
            command = str(message["command"])
            pid = children.fork(lambda: become_shell(command, self._root, end, limits))
        finally:
            os.close(end)
        self._leaders[pid] = call

    def _start_file(self, number: int, message: dict[str, object]) -> None:
        limits = self._limits_of(message)
        output, end = os.pipe()
        call = self._add(FileCall(number, _seconds(limits), output, MAX_FILE_RESULT_BYTES))
        try:
            pid = children.fork(
                lambda: become_file_operation(message, self._root, self._names, end, limits)
            )
        finally:
            os.close(end)
        self._leaders[pid] = call

    def _start_python(self, number: int, message: dict[str, object]) -> None:
        limits = self._limits_of(message)
        output, end = os.pipe()
        limit, code = as_number(limits["output_bytes"]), str(message["code"])
        call = PythonCall(number, _seconds(limits), output, limit, end=end, code=code)
        call.cpu_seconds = limits["cpu_seconds"]
        self._add(call)
        self._hand_over(call)

    def _hand_over(self, call: PythonCall) -> None:
        """Give a cell to the worker, by descriptor, so that a worker that is stuck cannot block."""
        call.attempts += 1
        running = self._worker or self._start_worker()
        assert running.call is None, "the host queues python calls"
        running.call = call
        request = {"cpu_seconds": call.cpu_seconds, "text_bytes": call.sink.limit}
        body = call.nonce + json.dumps(request).encode("ascii")
        with os.fdopen(os.memfd_create("cell"), "w+b") as file:
            file.write(call.code.encode("utf-8", "replace"))
            file.seek(0)
            fds = [file.fileno(), call.end]
            try:
                socket.send_fds(running.sock, [body], fds, socket.MSG_DONTWAIT)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                self._kill_worker()  # it is stopped or dying

    def _read(self, fd: int) -> bytes | None:
        try:
            return os.read(fd, READ_BYTES)
        except BlockingIOError:
            return None

    def _drain(self, call: Call) -> None:
        data = self._read(call.output)
        if data:
            call.sink.write(data)
        elif data == b"":
            self._forget(call.output)
            call.output = -1

    def _hear(self, running: Worker) -> None:
        """A packet from the worker: part of a claim about the present call, or noise."""
        try:
            packet = running.sock.recv(2 * worker.CHUNK_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._consider(running, packet)
        else:
            self._kill_worker()

    def _consider(self, running: Worker, packet: bytes) -> None:
        call = running.call
        mark, nonce = packet[:1], packet[1 : 1 + worker.NONCE_BYTES]
        if call is None or call.claim is not None or nonce != call.nonce:
            running.strays += 1
            if running.strays > MAX_STRAY_PACKETS:
                self._kill_worker()
            return
        call.begun()
        call.parts += packet[1 + worker.NONCE_BYTES :]
        if len(call.parts) > 16 * call.sink.limit + worker.CLAIM_BYTES:
            self._kill_worker()
        elif mark == worker.LAST:
            try:
                call.claimed(as_object(json.loads(bytes(call.parts))))
            except (ValueError, TypeError, RecursionError):
                self._kill_worker()

    def _force(self, call: Call, why: str) -> None:
        if call.forced is not None or call.settle_by is not None:
            return
        call.forced = why
        if isinstance(call, PythonCall):
            self._kill_worker()
            return
        for pid, led in self._leaders.items():
            if led is call:
                children.kill_group(pid)

    def _kill_worker(self) -> None:
        if self._worker is not None:
            children.kill_group(self._worker.pid)

    def _reap(self) -> None:
        """Take note of every child that ended; kill what their groups left behind."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            pid = info.si_pid
            running = self._worker if self._worker and self._worker.pid == pid else None
            if running is not None or pid in self._leaders:
                # Before it is reaped: until then its number cannot be another's.
                children.kill_group(pid)
            _, status = os.waitpid(pid, 0)
            if running is not None:
                self._worker_ended(running, status)
            elif pid in self._leaders:
                self._leaders.pop(pid).ended(status)
                self._must_sweep = True

    def _worker_ended(self, running: Worker, status: int) -> None:
        self._worker = None
        call = running.call
        while packet := _last_words(running.sock):
            self._consider(running, packet)
        self._forget(running.sock.fileno(), close=False)
        running.sock.close()
        self._state_lost = True
        self._must_sweep = True
        if call is None or call.claim is not None:
            return
        if call.end >= 0 and call.forced is None and call.attempts < MAX_ATTEMPTS:
            try:
                self._hand_over(call)  # it was dying already and has run nothing of it
            except OSError:
                call.ended(status)
        else:
            call.begun()
            call.ended(status)

    def _finish(self, call: Call) -> None:
        if call.output >= 0:
            self._drain_now(call)
        if isinstance(call, FileCall):
            answer = answers.of_file(call)
        else:
            is_lost = isinstance(call, PythonCall) and self._state_lost
            answer = answers.of_code(call, is_lost)
            # Told once: by the next answer that somebody will read.
            self._state_lost = self._state_lost and not (is_lost and call.forced != "cancelled")
        self._drop(call)
        self._answer(call.number, answer)
        if isinstance(call, PythonCall) and self._worker is None:
            self._start_worker_ahead()

    def _drain_now(self, call: Call) -> None:
        """Take what is in the pipe; if somebody still holds it, keep it read but unheard."""
        while call.output >= 0 and (data := self._read(call.output)) is not None:
            if data:
                call.sink.write(data)
            else:
                self._forget(call.output)
                call.output = -1
            if not data or call.sink.total > 64 * call.sink.limit:
                break

    def _drop(self, call: Call) -> None:
        del self._calls[call.number]
        if isinstance(call, PythonCall):
            call.begun()
        if self._worker is not None and self._worker.call is call:
            self._worker.call = None
        if call.output >= 0:
            self._ready[call.output] = "leftover"
            self._leftovers.append(call.output)
            if len(self._leftovers) > MAX_LEFTOVER_PIPES:
                self._forget(self._leftovers.pop(0))

    def _sweep(self) -> None:
        """Kill what left its session and its parent to outlive its call, and see it gone."""
        self._must_sweep = False
        killed: set[int] = set()
        generations = 0
        until = time.monotonic() + SWEEP_SECONDS
        while time.monotonic() < until:
            known = {*self._leaders, *([self._worker.pid] if self._worker else [])}
            found = set(children.strays(known))
            if not found:
                return
            generations += not found <= killed
            if generations > MAX_GENERATIONS and os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)  # they breed faster than we kill: everybody goes
            for pid in found - killed:
                children.kill(pid)
            killed |= found
            time.sleep(SWEEP_PAUSE_SECONDS)
            self._reap()

    def _add(self, call: Call) -> Call:
        os.set_blocking(call.output, False)
        self._calls[call.number] = call
        self._watch(call.output, call)
        return call

    def _watch(self, fd: int, what: object) -> None:
        self._ready[fd] = what
        self._poll.register(fd, select.EPOLLIN)

    def _forget(self, fd: int, close: bool = True) -> None:
        del self._ready[fd]
        self._poll.unregister(fd)
        if close:
            os.close(fd)

    def _answer(self, number: int, result: dict[str, object]) -> None:
        self._control.sendall(pack({"id": number, "result": result}))

    def _start_worker(self) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = children.fork(lambda: become_worker(theirs, self._root, self._limits))
        self._worker = Worker(pid, ours)
        self._watch(ours.fileno(), self._worker)
        return self._worker

    def _start_worker_ahead(self) -> None:
        try:
            self._start_worker()
        except OSError:
            pass  # then the next call says why

    def _listen_for_children(self) -> int:
        wake, end = os.pipe()
        for fd in (wake, end):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, _note_a_signal)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        self._watch(wake, "children")
        return wake

    def end_everything(self) -> None:
        """Kill all there is inside."""
        for pid in [*self._leaders, *([self._worker.pid] if self._worker else [])]:
            children.kill_group(pid)
        self._sweep()


def _note_a_signal(number: int, frame: object) -> None:
    """Nothing: the wake-up descriptor tells."""


def _last_words(sock: socket.socket) -> bytes:
    """The next packet of a peer that is gone; empty when there is none."""
    try:
        return sock.recv(2 * worker.CHUNK_BYTES, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def _seconds(limits: dict[str, object]) -> float:
    return float(str(limits["wall_seconds"]))
