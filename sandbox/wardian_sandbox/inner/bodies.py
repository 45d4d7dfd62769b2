"""What a process forked from the supervisor becomes. None of these return."""

from __future__ import annotations

import json
import os
import signal

from wardian_sandbox.inner import children, worker
from wardian_sandbox.inner.operations import perform
from wardian_sandbox.inner.places import Box
from wardian_sandbox.inner.sockets import Socket
from wardian_sandbox.inner.values import as_object, as_texts

SHELLS = ("/bin/bash", "/bin/sh")
NOT_STARTED = 126


def become_shell(command: str, root: int, output: int, limits: dict[str, object]) -> None:
    """bash, in the workspace, with everything it prints going to `output`."""
    try:
        children.begin_child(limits)
        null = os.open(os.devnull, os.O_RDONLY)
        for to, fd in enumerate((null, output, output)):
            os.dup2(fd, to)
        os.fchdir(root)
        shell = next(path for path in SHELLS if os.path.exists(path))
        os.execve(shell, [shell, "-c", command], dict(os.environ))
    except BaseException as problem:  # noqa: BLE001 - the process ends here, whatever it was
        os.write(2, f"The command could not be started: {problem}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)


def become_file_operation(
    message: dict[str, object],
    root: int,
    names: list[str],
    output: int,
    limits: dict[str, object],
) -> None:
    """Does one file operation, writes its result to `output`, and exits with 0 if it could."""
    code = 1
    try:
        children.begin_child(limits)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        within = {name: as_texts(value) for name, value in as_object(message["within"]).items()}
        box = Box(root, names, within)
        result = perform(box, str(message["file_operation"]), as_object(message["arguments"]))
        with os.fdopen(output, "wb") as file:
            file.write(json.dumps(result).encode("ascii"))
        code = 0
    finally:
        os._exit(code)


def become_worker(sock: Socket, root: int, limits: dict[str, object]) -> None:
    """The Python interpreter, holding nothing of the supervisor's but its own socket."""
    try:
        children.begin_child(limits)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # as Python has it: an OSError instead
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.fchdir(root)
        os.dup2(sock.fileno(), 3, inheritable=False)
        os.closerange(4, 1 << 16)
        # Only now: before, whoever may look into it would have found the supervisor's descriptors.
        children.prctl(children.PR_SET_DUMPABLE, 1)
        worker.serve(Socket(fileno=3))
    finally:
        os._exit(1)
