"""PID 1 of the box: does what the host asks, and is the only one whose word on facts counts.

One thread around one epoll. Untrusted code runs in processes of its own: shell commands and file
operations in a new one each, Python in a persistent worker. The supervisor is not dumpable, so
that they can read neither its memory nor its descriptors, and as PID 1 it gets no signal of theirs.
"""

from __future__ import annotations

import os
import signal
import time

from wardian_sandbox.inner import answers, children
from wardian_sandbox.inner.bodies import become_file_operation, become_shell
from wardian_sandbox.inner.calls import Call, CommandCall, FileCall, PythonCall
from wardian_sandbox.inner.control import Streams
from wardian_sandbox.inner.frames import BadFrame, FrameReader, pack
from wardian_sandbox.inner.interpreter import Interpreter
from wardian_sandbox.inner.sockets import MSG_DONTWAIT, Socket
from wardian_sandbox.inner.sweeping import sweep
from wardian_sandbox.inner.values import as_number, as_object, as_texts
from wardian_sandbox.inner.watching import READ_BYTES, Watch, listen_for_children, read_now

MAX_FILE_RESULT_BYTES = 24 << 20
MAX_LEFTOVER_PIPES = 16
MAX_UNREAPED = 16
"""Dead children whose exit codes the interpreter may still ask for"""
MAX_PATIENCE_SECONDS = 3600.0
OUT_OF_MEMORY_SECONDS = 0.05
MAX_OUTPUTS = 4096
"""A call that writes so many times what is kept of its output is ended."""


class HostGone(Exception):
    """The host closed the control channel: everything ends."""


class Supervisor:
    """Reads requests, keeps calls, answers each once."""

    def __init__(self, control: Socket | Streams, settings: dict[str, object]) -> None:
        self._control = control
        self._reader = FrameReader(any_text=True)
        self._watch = Watch()
        self._calls: dict[int, Call] = {}
        self._leaders: dict[int, Call] = {}
        self._unlimited = as_texts(settings["unlimited"])
        self._root = os.open(str(settings["root"]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names = as_texts(settings["names"])
        self._home = str(settings.get("home", ""))
        self._interpreter = Interpreter(self._watch, self._root, self._limits_of(settings))
        self._leftovers: list[int] = []
        self._must_sweep = False
        self._resetting: tuple[int, int | None] | None = None
        """The request, and the worker that is to go."""
        self._wake = listen_for_children()
        self._watch.add(self._wake, self._hear_of_children)
        self._watch.add(control.fileno(), self._read_control)

    def run(self) -> None:
        """Until the host goes away."""
        self._interpreter.start_ahead()
        while True:
            self._watch.attend(self._patience())
            if self._must_sweep:
                self._sweep()
            now = time.monotonic()
            for call in list(self._calls.values()):
                if call.settle_by is None and now >= call.deadline:
                    self._force(call, "timed_out", "wall")
            for call in list(self._calls.values()):
                if call.is_settled(now):
                    self._finish(call)
            if self._resetting is not None:
                self._finish_reset(*self._resetting)

    def _patience(self) -> float:
        if not self._calls:
            return -1
        soonest = min(call.wakes_at() for call in self._calls.values())
        return min(max(soonest - time.monotonic(), 0), MAX_PATIENCE_SECONDS)

    def _read_control(self) -> None:
        try:
            data = self._control.recv(READ_BYTES, MSG_DONTWAIT)
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
        try:
            if operation == "cancel":
                if number in self._calls:
                    self._force(self._calls[number], str(message.get("as", "cancelled")))
            elif operation == "reset":
                self._reset(number)
            elif operation == "python":
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
        call.cpu_seconds = limits.get("cpu_seconds")
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
            pid = children.fork(lambda: self._become_file_operation(message, end, limits))
        finally:
            os.close(end)
        self._leaders[pid] = call

    def _become_file_operation(
        self, message: dict[str, object], output: int, limits: dict[str, object]
    ) -> None:
        root, names = self._root, self._names
        if message.get("at_home"):
            root, names = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY), [self._home]
        become_file_operation(message, root, names, output, limits)

    def _start_python(self, number: int, message: dict[str, object]) -> None:
        limits = self._limits_of(message)
        output, end = os.pipe()
        limit, code = as_number(limits["output_bytes"]), str(message["code"])
        call = PythonCall(number, _seconds(limits), output, limit, end=end, code=code)
        call.cpu_seconds = limits["cpu_seconds"]
        try:
            self._interpreter.run(call)
        finally:
            self._add(call)  # while the worker is at it already

    def _reset(self, number: int) -> None:
        """End every call and every process, then start a fresh interpreter."""
        for call in self._calls.values():
            self._force(call, "cancelled")
        self._interpreter.kill()
        self._must_sweep = True
        self._resetting = (number, self._interpreter.pid)

    def _finish_reset(self, number: int, gone: int | None) -> None:
        if self._calls or (gone is not None and self._interpreter.pid == gone):
            return
        self._resetting = None
        self._interpreter.start_ahead()
        self._interpreter.state_lost = False  # it was the host's wish
        self._answer(number, {"fresh": self._interpreter.pid is not None})

    def _drain(self, call: Call) -> None:
        data = read_now(call.output)
        if data:
            call.sink.write(data)
            if call.sink.total > MAX_OUTPUTS * call.sink.limit:
                self._force(call, "limited", "output")
        elif data == b"":
            self._close(call.output)
            call.output = -1

    def _force(self, call: Call, why: str, limit: str = "") -> None:
        """End a call; `limit` is the one it ran into, if it did."""
        if call.forced is not None or call.settle_by is not None:
            return
        call.forced = why
        call.hit |= {limit} - {""}
        if isinstance(call, PythonCall):
            self._interpreter.kill()
            return
        for pid, led in self._leaders.items():
            if led is call:
                children.kill_group(pid)

    def _hear_of_children(self) -> None:
        os.read(self._wake, 4096)
        self._reap()

    def _reap(self) -> None:
        """Take note of every child that ended; kill what their groups left behind."""
        while (pid := children.next_ended()) is not None:
            is_worker = pid == self._interpreter.pid
            if is_worker or pid in self._leaders:
                children.kill_group(pid)
            _, status, used = os.wait4(pid, 0)
            spent_seconds = used.ru_utime + used.ru_stime
            if status == signal.SIGKILL and not self._is_forced(pid):
                # By the kernel, for memory: a moment for all it kills to be gone, in which we ask
                # for none. Asking while there is none, we would be the next.
                time.sleep(OUT_OF_MEMORY_SECONDS)
            if is_worker:
                self._must_sweep = True
                self._interpreter.ended(status, spent_seconds)
            elif pid in self._leaders:
                self._must_sweep = True
                self._leaders.pop(pid).ended(status, spent_seconds)

    def _is_forced(self, pid: int) -> bool:
        """Did we kill it?"""
        if pid == self._interpreter.pid:
            return self._interpreter.is_killed
        return pid not in self._leaders or self._leaders[pid].forced is not None

    def _finish(self, call: Call) -> None:
        if call.output >= 0:
            self._drain_now(call)
        if isinstance(call, PythonCall):
            self._end_what_is_left(call)
        if isinstance(call, FileCall):
            answer = answers.of_file(call)
        else:
            lost = isinstance(call, PythonCall) and self._interpreter.state_lost
            answer = answers.of_code(call, lost)
            if lost and call.forced != "cancelled":
                # Told once: by the next answer that somebody will read.
                self._interpreter.state_lost = False
        self._drop(call)
        self._answer(call.number, answer)
        if isinstance(call, PythonCall):
            self._interpreter.start_ahead()

    def _end_what_is_left(self, call: PythonCall) -> None:
        """What the cell started and left running; its interpreter stays."""
        worker = self._interpreter.pid
        if call.claim is None or worker is None:
            return
        if self._interpreter.may_have_company(set(self._leaders)):
            call.left_running = self._sweep()
            if children.unreaped(worker) > MAX_UNREAPED:
                self._interpreter.bury()

    def _drain_now(self, call: Call) -> None:
        """Take what is in the pipe; if somebody still holds it, keep it read but unheard."""
        while call.output >= 0 and (data := read_now(call.output)) is not None:
            if data:
                call.sink.write(data)
            else:
                self._close(call.output)
                call.output = -1
            if not data or call.sink.total > 64 * call.sink.limit:
                break

    def _drop(self, call: Call) -> None:
        del self._calls[call.number]
        if isinstance(call, PythonCall):
            call.is_over()
            self._interpreter.leave(call)
        if call.output >= 0:
            left = call.output
            self._leftovers.append(left)
            self._watch.add(left, lambda: self._hear_leftover(left))
            if len(self._leftovers) > MAX_LEFTOVER_PIPES:
                self._close(self._leftovers.pop(0))

    def _hear_leftover(self, fd: int) -> None:
        """What is still written to a call that is over is read, and dropped."""
        if read_now(fd) == b"":
            self._leftovers.remove(fd)
            self._close(fd)

    def _sweep(self) -> int:
        self._must_sweep = False
        return sweep(self._sessions, self._reap, self._alone)

    def _sessions(self) -> set[int]:
        """The leaders of what may go on."""
        worker = self._interpreter.pid
        if worker is None or self._interpreter.is_idle:
            return {*self._leaders}
        return {*self._leaders, worker}

    def _alone(self) -> int | None:
        """The worker between two cells: what the last one started does not go on."""
        return self._interpreter.pid if self._interpreter.is_idle else None

    def _add(self, call: Call) -> Call:
        os.set_blocking(call.output, False)
        self._calls[call.number] = call
        self._watch.add(call.output, lambda: self._drain(call))
        return call

    def _close(self, fd: int) -> None:
        self._watch.drop(fd)
        os.close(fd)

    def _answer(self, number: int, result: dict[str, object]) -> None:
        self._control.sendall(pack({"id": number, "result": result}))

    def end_everything(self) -> None:
        """Kill all there is inside."""
        self._interpreter.kill()
        for pid in self._leaders:
            children.kill_group(pid)
        sweep(set, self._reap)


def _seconds(limits: dict[str, object]) -> float:
    return float(str(limits["wall_seconds"]))
