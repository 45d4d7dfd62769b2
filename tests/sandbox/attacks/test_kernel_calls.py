"""Each family of system calls that the filter refuses, made with arguments that do no harm.

The control makes the same calls on the host, where each has another outcome than in the box. gVisor
has no filter: a kernel of its own answers, and what it lacks it refuses in its own way.
"""

import asyncio
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_sandbox import Confinement, ExecResult, ResourceLimits, open_sandbox

Python = Callable[..., list[ExecResult]]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=60.0))
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
BAD_FD = -1
BEYOND = 0x1234567

CALLS: dict[str, tuple[tuple[int | None, int | None], tuple[int, ...]]] = {
    # name: (number on x86-64, on aarch64), arguments: not enough for any of them to do something
    "ptrace another process": ((101, 117), (2, 0)),
    "process_vm_readv": ((310, 270), (0, 0, 0, 0, 0, 0)),
    "process_vm_writev": ((311, 271), (0, 0, 0, 0, 0, 0)),
    "kcmp": ((312, 272), (BAD_FD, BAD_FD, 0)),
    "pidfd_getfd": ((438, 438), (BAD_FD, 0, 0)),
    "process_madvise": ((440, 440), (BAD_FD, 0, 0, 0, 0)),
    "bpf": ((321, 280), (BEYOND, 0, 0)),
    "perf_event_open": ((298, 241), (0, 0, BAD_FD, BAD_FD, BEYOND)),
    "userfaultfd": ((323, 282), (BEYOND,)),
    "io_uring_setup": ((425, 425), (0, 0)),
    "io_uring_enter": ((426, 426), (BAD_FD, 0, 0, 0, 0, 0)),
    "io_uring_register": ((427, 427), (BAD_FD, 0, 0, 0)),
    "io_setup": ((206, 0), (0, 0)),
    "keyctl": ((250, 219), (BEYOND,)),
    "add_key": ((248, 217), (0, 0, 0, 0, 0)),
    "request_key": ((249, 218), (0, 0, 0, 0)),
    "mount": ((165, 40), (0, 0, 0, 0, 0)),
    "umount2": ((166, 39), (0, BEYOND)),
    "pivot_root": ((155, 41), (0, 0)),
    "chroot": ((161, 51), (0,)),
    "open_tree": ((428, 428), (BAD_FD, 0, BEYOND)),
    "move_mount": ((429, 429), (BAD_FD, 0, BAD_FD, 0, BEYOND)),
    "fsopen": ((430, 430), (0, BEYOND)),
    "fsconfig": ((431, 431), (BAD_FD, BEYOND, 0, 0, 0)),
    "fsmount": ((432, 432), (BAD_FD, BEYOND, 0)),
    "fspick": ((433, 433), (BAD_FD, 0, BEYOND)),
    "mount_setattr": ((442, 442), (BAD_FD, 0, BEYOND, 0, 0)),
    "unshare nothing": ((272, 97), (0,)),
    "setns": ((308, 268), (BAD_FD, 0)),
    "name_to_handle_at": ((303, 264), (BAD_FD, 0, 0, 0, BEYOND)),
    "open_by_handle_at": ((304, 265), (BAD_FD, 0, 0)),
    "fanotify_init": ((300, 262), (BEYOND << 8, 0)),
    "quotactl_fd": ((443, 443), (BAD_FD, 0, 0, 0)),
    "kexec_load": ((246, 104), (0, BEYOND, 0, 0)),
    "reboot without its magic": ((169, 142), (0, 0, 0, 0)),
    "swapon": ((167, 224), (0, BEYOND)),
    "sethostname": ((170, 161), (0, BAD_FD)),
    "settimeofday to nothing": ((164, 170), (0, 0)),
    "clock_settime": ((227, 112), (BEYOND, 0)),
    "adjtimex": ((159, 171), (0,)),
    "syslog": ((103, 116), (10, 0, 0)),
    "vmsplice": ((278, 75), (BAD_FD, 0, 0, 0)),
    "mbind": ((237, 235), (1, 0, BEYOND, 0, 0, 0)),
    "set_mempolicy": ((238, 237), (BEYOND, 0, 0)),
    "migrate_pages": ((256, 238), (BAD_FD, 0, 0, 0)),
    "msgget": ((68, 186), (BEYOND, 0)),
    "a large shared segment": ((29, 194), (0, 1 << 60, 0)),
    "many semaphores": ((64, 190), (0, 1 << 20, 0)),
    "personality of another system": ((135, 92), (0x0040000,)),
    "modify_ldt": ((154, None), (BEYOND, 0, 0)),
    "iopl": ((172, None), (BEYOND,)),
    "ioperm": ((173, None), (1 << 20, 1, 1)),
}
ABSENT = {"clone3": ((435, 435), (0, 0)), "openat2": ((437, 437), (BAD_FD, 0, 0, 0))}
NEEDS_ROOT = {
    # Refused to everybody but root before the arguments are looked at, with the same EPERM.
    *("bpf", "userfaultfd", "perf_event_open", "umount2", "pivot_root", "move_mount", "fsopen"),
    *("fsmount", "fspick", "open_by_handle_at", "fanotify_init", "kexec_load", "swapon", "reboot"),
    *("sethostname", "settimeofday to nothing", "syslog", "reboot without its magic", "iopl"),
    *("ioperm", "mount", "chroot", "clock_settime", "io_uring_setup", "mount_setattr"),
}
MAKE_CALLS = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
def outcome(number, arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(word) for word in arguments]
    return 0 if libc.syscall(ctypes.c_long(number), *words) != -1 else ctypes.get_errno()
def make(name, number, arguments):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"%d" % outcome(number, arguments))
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader, "rb") as pipe:
        return int(pipe.read() or -1)
"""


def made(calls: dict[str, tuple[tuple[int | None, int | None], tuple[int, ...]]]) -> str:
    """Code that makes them all, each in a process of its own, and prints what came of it."""
    here = {name: (numbers[COLUMN], words) for name, (numbers, words) in calls.items()}
    there = {name: call for name, call in here.items() if call[0] is not None}
    return f"{MAKE_CALLS}\nprint(json.dumps({{n: make(n, *c) for n, c in {there!r}.items()}}))"


@pytest.fixture(params=["bubblewrap", "docker"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    return prepared(str(request.param))


seen: dict[str, dict[str, int]] = {}
"""Where → call → errno: all calls are made once in each backend."""


@pytest.fixture
def inside(backend: str, tmp_path: Path) -> dict[str, int]:
    async def ask() -> str:
        async with await open_sandbox(backend, tmp_path, PLENTY) as box:
            result = await box.python(made(CALLS | ABSENT), PLENTY)
            return result.output

    if backend not in seen:
        seen[backend] = json.loads(asyncio.run(ask()))
    return seen[backend]


@pytest.fixture
def outside(on_host: Callable[..., object]) -> dict[str, int]:
    if "host" not in seen:
        result = on_host(made(CALLS | ABSENT))
        seen["host"] = json.loads(getattr(result, "stdout", ""))
    return seen["host"]


@pytest.mark.parametrize("name", CALLS)
def test_a_forbidden_call_is_refused(
    inside: dict[str, int], outside: dict[str, int], name: str
) -> None:
    if name not in outside:
        pytest.skip("there is no such call on this machine")
    assert inside[name] == EPERM
    if os.geteuid() == 0 or name not in NEEDS_ROOT:
        assert outside[name] != EPERM


@pytest.mark.parametrize("name", ABSENT)
def test_a_call_whose_flags_a_filter_cannot_see_is_absent(
    inside: dict[str, int], outside: dict[str, int], name: str
) -> None:
    assert inside[name] == ENOSYS
    assert outside[name] != ENOSYS


SOCKETS = {
    # name: family, type, protocol
    "vsock": (40, 1, 0),
    "kernel cryptography": (38, 5, 0),
    "packet": (17, 3, 0),
    "raw internet": (2, 3, 1),
    "routing netlink": (16, 3, 0),
    "audit netlink": (16, 3, 9),
    "bluetooth": (31, 3, 1),
    "transparent inter-process communication": (30, 1, 0),
    "express data path": (44, 3, 0),
    "CAN bus": (29, 3, 1),
    "SCTP": (2, 1, 132),
    "multipath TCP": (2, 1, 262),
    "ping": (2, 2, 1),
}
OPEN_SOCKET = """
import socket
try:
    socket.socket({}, {}, {}).close()
    print("made")
except OSError as problem:
    print(problem.errno)
"""


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_of_another_kind_is_refused(
    python: Python, on_host: Callable[..., object], name: str
) -> None:
    attempt = OPEN_SOCKET.format(*SOCKETS[name])
    attack, twin = python(attempt, OPEN_SOCKET.format(2, 1, 6))
    assert attack.output.strip() in (str(EPERM), str(EAFNOSUPPORT))
    assert twin.output.strip() == "made"
    outcome = getattr(on_host(attempt), "stdout", "").strip()
    if outcome != "made" and os.geteuid() == 0:
        pytest.skip(f"this machine's kernel has none either (errno {outcome})")


NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "host name": 0x04000000,
    "IPC": 0x08000000,
    "user": 0x10000000,
    "process": 0x20000000,
    "network": 0x40000000,
}
CLONE = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(ctypes.c_long({number}), ctypes.c_long({flags} | signal.SIGCHLD), 0, 0, 0, 0)
if pid == 0:
    os._exit(0)
print("made" if pid > 0 else ctypes.get_errno())
"""


@pytest.mark.parametrize("name", NAMESPACES)
def test_a_process_in_a_new_namespace_is_refused(
    python: Python, on_host: Callable[..., object], name: str
) -> None:
    number = (56, 220)[COLUMN]
    attempt = CLONE.format(number=number, flags=NAMESPACES[name])
    attack, twin = python(attempt, CLONE.format(number=number, flags=0))
    assert attack.output.strip() == str(EPERM)
    assert twin.output.strip() == "made"
    if os.geteuid() == 0:
        assert getattr(on_host(attempt), "stdout", "").strip() == "made"


TERMINAL = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "TIOCCONS": 0x541D, "TIOCSETD": 0x5423}
REQUEST = """
import ctypes, pty
libc = ctypes.CDLL(None, use_errno=True)
master, slave = pty.openpty()
word = ctypes.c_int(ord("x"))
made = libc.syscall(ctypes.c_long({number}), slave, ctypes.c_ulong({request}), ctypes.byref(word))
print("made" if made != -1 else ctypes.get_errno())
"""


@pytest.mark.parametrize("upper", [0, 1 << 32])
@pytest.mark.parametrize("name", TERMINAL)
def test_input_is_not_faked_and_lines_are_not_reconfigured(
    python: Python, on_host: Callable[..., object], name: str, upper: int
) -> None:
    """The kernel looks at 32 bits of a request, a filter may be fooled by the rest."""
    number = (16, 29)[COLUMN]
    attempt = REQUEST.format(number=number, request=TERMINAL[name] | upper)
    window_size = REQUEST.format(number=number, request=0x5413)
    attack, twin = python(attempt, window_size)
    assert attack.output.strip() == str(EPERM)
    assert twin.output.strip() == "made"
    if os.geteuid() == 0:
        assert getattr(on_host(attempt), "stdout", "").strip() != str(EPERM)
