"""The kernel's surface: system calls, privileges, namespaces, what of the system can be written."""

import platform
from collections.abc import Callable

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    ResourceLimits,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/x", "/etc/passwd", "/bin/x", "/lib/x", "/x", "/dev/x", "/run/wardian/modules.zip"],
)
def test_the_system_cannot_be_written(shell: Shell, path: str) -> None:
    result = shell(f"echo x > {path}")
    assert result.exit_code != 0
    assert "Read-only file system" in result.output or "Permission denied" in result.output


@pytest.mark.parametrize("path", ["/tmp/x", "/dev/shm/x", "~/x", "/workspace/x", "/dev/null"])
def test_private_places_can_be_written(shell: Shell, path: str) -> None:
    assert shell(f"echo x > {path}").exit_code == 0


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/sys/net/ipv4/ip_forward",
    ],
)
def test_kernel_settings_cannot_be_written(shell: Shell, path: str) -> None:
    assert shell(f"test -e {path} && cat {path} > /tmp/v; cat /tmp/v > {path}").exit_code != 0
    assert shell("echo 500 > /proc/self/oom_score_adj").exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        "unshare --user true",
        "unshare --mount true",
        "mount -t tmpfs tmpfs /tmp",
        "mount -o remount,rw /",
        "umount /proc",
        "chroot / true",
        "hostname changed",
        "nsenter -t 1 -m true",
        "setpriv --reuid 0 true",
        "mknod /tmp/device b 8 0",
        "dmesg",
    ],
)
def test_privileged_commands_fail(shell: Shell, command: str) -> None:
    program = command.partition(" ")[0]
    result = shell(f"export PATH=$PATH:/usr/sbin; command -v {program} >/dev/null && {command}")
    assert result.exit_code != 0


def test_there_are_no_privileges_to_have(shell: Shell) -> None:
    status = shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").output
    facts = {name: value for name, _, value in (x.partition(":\t") for x in status.splitlines())}
    assert all(int(value, 16) == 0 for name, value in facts.items() if name.startswith("Cap"))
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert shell("id -u").output not in ("", "0\n")


SYSCALLS = {
    "x86_64": {"ptrace": 101, "bpf": 321, "io_uring_setup": 425, "userfaultfd": 323, "keyctl": 250,
               "perf_event_open": 298, "process_vm_readv": 310, "open_by_handle_at": 304,
               "kcmp": 312, "add_key": 248, "clone3": 435, "the newest + 1": 468,
               "personality": 135},
    "aarch64": {"ptrace": 117, "bpf": 280, "io_uring_setup": 425, "userfaultfd": 282,
                "keyctl": 219, "perf_event_open": 241, "clone3": 435},
}  # fmt: skip


def test_dangerous_system_calls_are_refused(python: Python) -> None:
    numbers = SYSCALLS[platform.machine()]
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(n):\n    ctypes.set_errno(0)\n"
        "    return libc.syscall(n, 0x1234567, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno()\n"
        f"{{name: call(n) for name, n in {numbers!r}.items()}}"
    )
    refused = python(code)[0]
    assert refused.value is not None
    for name in numbers:
        absent = name in ("clone3", "the newest + 1")
        assert f"'{name}': {38 if absent else 1}" in refused.value
    assert python("import os; os.getpid() > 1")[0].value == "True"


def test_a_new_user_namespace_by_clone_is_refused(python: Python) -> None:
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"pid = libc.syscall({number}, FLAGS | 17, 0, 0, 0, 0)\n"
        "if pid == 0: os._exit(0)\n(pid > 0, ctypes.get_errno())"
    )
    assert python(code.replace("FLAGS", "0x10000000"))[0].value == "(False, 1)"
    assert python(code.replace("FLAGS", "0"))[0].value == "(True, 0)"
