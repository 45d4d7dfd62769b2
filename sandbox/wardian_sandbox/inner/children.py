"""Forking, limiting and killing the processes of the box."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable

from wardian_sandbox.inner import landlock, sacrifice

LIMITS = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "processes": resource.RLIMIT_NPROC,
    "file_bytes": resource.RLIMIT_FSIZE,
}
NO_CORE = 1
"""Too small for a file; and the one size for which the kernel does not run the host's handler of
core dumps, as root, on what the guest wrote. Zero would. Source: Linux 6.17, fs/coredump.c."""
ZOMBIE, GONE = b"Z", b"X"
DEAD = (ZOMBIE, GONE)
PENDING = 28
"""Place of the pending signals in what `_stat` gives; a bit each"""
KILLED = 1 << (signal.SIGKILL - 1)
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, argument: int) -> None:
    """prctl(2); does nothing where the system has none."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def fork(body: Callable[[], None]) -> int:
    """The process id of a new child, which runs `body` and nothing after it."""
    sacrifice.offer()
    try:
        pid = os.fork()
        if pid == 0:
            try:
                body()
            finally:
                os._exit(1)
    finally:
        sacrifice.withdraw()
    return pid


def begin_child(limits: dict[str, object]) -> None:
    """Make a freshly forked process a session of its own, confined, with default signals."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    apply_limits(limits)
    landlock.confine()


def apply_limits(limits: dict[str, object]) -> None:
    """Set the resource limits of this process; its children inherit them."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    core = NO_CORE if hard == resource.RLIM_INFINITY else min(NO_CORE, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    for name, which in LIMITS.items():
        value = limits.get(name)
        if isinstance(value, int):
            hard = resource.getrlimit(which)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            # The processor limit is soft: a persistent worker moves it on for each call.
            resource.setrlimit(which, (most, hard if name == "cpu_seconds" else most))


def kill_group(leader: int) -> None:
    """Kill the session leader and its process group. The leader must not be reaped yet."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it has not come to making its group yet
    kill(leader)


def kill(pid: int) -> None:
    """Kill one process, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def next_ended() -> int | None:
    """A child that has ended and is not reaped; until it is, its number cannot be another's."""
    try:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if info is None else info.si_pid


def unreaped(parent: int) -> int:
    """How many dead children it has; none where that cannot be told."""
    try:
        return sum(_stat(pid)[0] in DEAD for pid in _children(parent))
    except OSError:
        return 0


def _children(pid: int) -> set[int]:
    """Source: proc_pid_task(5)."""
    found: set[int] = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            found.update(map(int, file.read().split()))
    return found


def strays(known: set[int], alone: int | None = None) -> list[int]:
    """Processes orphaned to this one that belong to no session in `known`, and all below them.

    Of `alone` only the process itself may stay: what it started is found too.
    """
    me = os.getpid()
    by_parent: dict[int, list[int]] = {}
    found: list[int] = []
    for pid, parent, session in _processes():
        if parent != me:
            by_parent.setdefault(parent, []).append(pid)
        elif pid not in known and session not in known and pid != alone:
            found.append(pid)  # a new leader has no session yet
    if alone is not None:
        found += by_parent.pop(alone, [])
    for pid in found:  # grows while it is gone through
        found += by_parent.pop(pid, [])
    return found


def _processes() -> list[tuple[int, int, int]]:
    """(process, parent, session) of all that are seen and alive."""
    seen: list[tuple[int, int, int]] = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return seen
    for name in names:
        if not name.isdecimal():
            continue
        state, parent, _, session, *_ = _stat(name)
        if state not in DEAD:
            seen.append((int(name), int(parent), int(session)))
    return seen


def is_dying(pid: int) -> bool:
    """Was it killed, and is not gone?"""
    fields = _stat(pid)
    return fields[0] == ZOMBIE or bool(int(fields[PENDING]) & KILLED)


def _stat(pid: int | str) -> list[bytes]:
    """What the kernel says of a process, from its state on; of one that is gone, that it is.

    Source: proc_pid_stat(5).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()  # the command in parentheses
    except OSError:
        return [GONE] + [b"0"] * PENDING


def exit_code(status: int) -> tuple[str, int]:
    """(ending, exit code) of a wait status."""
    if os.WIFSIGNALED(status):
        return "signalled", 128 + os.WTERMSIG(status)
    return "exited", os.WEXITSTATUS(status)
