"""One program that runs as long as its box, its standard streams held by the host: a server.

Takes the supervisor's place in a box of its own. The program's group, and whatever it leaves
behind, end with it, when the host says so, and when the host goes away.
"""

from __future__ import annotations

import os
import signal

from wardian_sandbox.inner import children
from wardian_sandbox.inner.control import Streams
from wardian_sandbox.inner.frames import BadFrame, FrameReader, pack
from wardian_sandbox.inner.sockets import MSG_DONTWAIT, Socket
from wardian_sandbox.inner.supervisor import HostGone
from wardian_sandbox.inner.sweeping import sweep
from wardian_sandbox.inner.values import as_number, as_object, as_texts
from wardian_sandbox.inner.watching import READ_BYTES, Watch, listen_for_children

NOT_STARTED = 127
"""As a shell says of a command that is not there."""


class Service:
    """Starts the program when asked, and answers once it has ended."""

    def __init__(self, control: Socket | Streams, settings: dict[str, object]) -> None:
        self._control = control
        self._reader = FrameReader(any_text=True)
        self._watch = Watch()
        root = str(settings["root"])
        os.makedirs(root, exist_ok=True)  # in the box's own home, where it has no workspace
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        streams = as_object(settings["service"])
        self._streams = [as_number(streams[name]) for name in ("stdin", "stdout", "stderr")]
        self._limits = as_object(settings["limits"])
        self._leader: int | None = None
        self._number = 0
        self._is_forced = False
        self._wake = listen_for_children()
        self._watch.add(self._wake, self._hear_of_children)
        self._watch.add(control.fileno(), self._read_control)

    def run(self) -> None:
        """Until the host goes away."""
        while True:
            self._watch.attend(-1)

    def end_everything(self) -> None:
        """Kill all there is inside."""
        if self._leader is not None:
            children.kill_group(self._leader)
        sweep(set, self._reap)

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
            if message["op"] == "serve" and self._streams:
                self._start(as_number(message["id"]), message)
            elif message["op"] == "cancel":
                self._is_forced = True
                self.end_everything()
            else:
                raise BadFrame(f"an unknown request {message['op']!r}")

    def _start(self, number: int, message: dict[str, object]) -> None:
        command = as_texts(message["command"])
        given = as_object(message["environment"])
        environment = {**os.environ, **{name: str(value) for name, value in given.items()}}
        streams, self._streams = self._streams, []
        self._number = number
        try:
            self._leader = children.fork(
                lambda: become(command, environment, streams, self._root, self._limits)
            )
        finally:
            for fd in streams:
                os.close(fd)

    def _hear_of_children(self) -> None:
        os.read(self._wake, 4096)
        self._reap()

    def _reap(self) -> None:
        while (pid := children.next_ended()) is not None:
            is_leader = pid == self._leader
            if is_leader:
                children.kill_group(pid)
            _, status = os.waitpid(pid, 0)
            if is_leader:
                self._leader = None
                sweep(set, self._reap)
                self._answer(status)

    def _answer(self, status: int) -> None:
        ending, code = children.exit_code(status)
        result = {"ending": "cancelled" if self._is_forced else ending, "exit_code": code}
        self._control.sendall(pack({"id": self._number, "result": result}))


def become(
    command: list[str],
    environment: dict[str, str],
    streams: list[int],
    root: int,
    limits: dict[str, object],
) -> None:
    """The program, in the workspace, holding nothing but its three streams. Does not return."""
    try:
        children.begin_child(limits)
        # First out of the way: what the host passed may be numbered 0 to 2.
        for to, fd in enumerate([os.dup(fd) for fd in streams]):
            os.dup2(fd, to)
        os.fchdir(root)
        os.closerange(3, 1 << 16)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvpe(command[0], command, environment)
    except BaseException as problem:  # noqa: BLE001 - the process ends here, whatever it was
        why = problem.strerror if isinstance(problem, OSError) else repr(problem)
        os.write(2, f"{command[0]}: {why}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)
