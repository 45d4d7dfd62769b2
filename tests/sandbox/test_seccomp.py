"""The system call filter, run as the kernel and as libseccomp would; and real programs under it."""

import json
import platform
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_sandbox import Confinement, ExecResult, ResourceLimits, SandboxUnavailable, seccomp
from wardian_sandbox.syscalls import ALLOWED, CONDITIONS, NEWEST, TERMINAL_REQUESTS

FREE, KILLED = seccomp.ALLOW, seccomp.KILL
REFUSED = seccomp.ERRNO | seccomp.EPERM
ABSENT = seccomp.ERRNO | seccomp.ENOSYS
NO_FAMILY = seccomp.ERRNO | 97
MACHINES = ("x86_64", "aarch64")


class Filter:
    """Runs a classic BPF program as the kernel does."""

    def __init__(self, machine: str) -> None:
        code = seccomp.program(machine)
        self.program = list(struct.iter_unpack("=HBBI", code))
        self.arch = seccomp.ARCHITECTURES[machine][1]

    def verdict(self, number: int, *arguments: int, arch: int | None = None) -> int:
        values = [*arguments, *[0] * (6 - len(arguments))]
        data = struct.pack("=IIQ6Q", number, self.arch if arch is None else arch, 0, *values)
        at = accumulator = 0
        while True:
            code, yes, no, operand = self.program[at]
            at += 1
            if code == seccomp.RETURN:
                return int(operand)
            if code == seccomp.LOAD:
                accumulator = struct.unpack_from("=I", data, operand)[0]
            elif code == seccomp.AND:
                accumulator &= operand
            elif code == seccomp.JUMP:
                at += operand
            else:
                holds = {
                    seccomp.EQUAL: accumulator == operand,
                    seccomp.GREATER: accumulator > operand,
                    seccomp.AT_LEAST: accumulator >= operand,
                }[code]
                at += yes if holds else no


def is_allowed_by_docker(profile: dict[str, Any], name: str, arguments: tuple[int, ...]) -> bool:
    """What libseccomp makes of a profile: any rule whose tests all hold."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    for rule in profile["syscalls"]:
        tests: list[dict[str, int]] = rule.get("args", [])
        holds = [values[test["index"]] & test["value"] == test["valueTwo"] for test in tests]
        if name in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW" and all(holds):
            return True
    return False


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_only_what_the_table_names_is_allowed(machine: str, column: int) -> None:
    box = Filter(machine)
    named = {numbers[column] for numbers in ALLOWED.values()}
    conditional = {condition.numbers[column] for condition in CONDITIONS}
    assert not named & conditional - {None}
    for number in range(NEWEST + 1):
        if number not in conditional:
            refused = ABSENT if number in (435, 437) else REFUSED
            assert box.verdict(number) == (FREE if number in named else refused), number
    assert box.verdict(NEWEST + 1) == box.verdict(0xFFFFFFFF) == ABSENT


FORBIDDEN = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "msgget": (68, 186),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "quotactl": (179, 60),
}


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_dangerous_call_is_refused(machine: str, column: int, name: str) -> None:
    assert Filter(machine).verdict(FORBIDDEN[name][column]) == REFUSED
    assert not is_allowed_by_docker(seccomp.docker_profile(machine), name, ())


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (41, (1, 1, 0), FREE),
        (41, (2, 1, 0), FREE),
        (41, (2, 0o2000000 | 1, 6), FREE),
        (41, (10, 2, 17), FREE),
        (41, (2, 3, 1), NO_FAMILY),
        (41, (2, 1, 132), NO_FAMILY),
        (41, (16, 3, 0), NO_FAMILY),
        (41, (16, 3, 15), NO_FAMILY),
        (41, (17, 3, 0), NO_FAMILY),
        (41, (40, 1, 0), NO_FAMILY),
        (41, (38, 5, 0), NO_FAMILY),
        (41, (2 | 1 << 32, 1, 0), FREE),
        (53, (1, 1, 0), FREE),
        (53, (40, 1, 0), NO_FAMILY),
        (56, (17,), FREE),
        (56, (0x003D0F00,), FREE),
        (56, (0x10000000 | 17,), REFUSED),
        (56, (0x00020000,), REFUSED),
        (90, (0, 0o755), FREE),
        (90, (0, 0o4755), REFUSED),
        (91, (0, 0o2755), REFUSED),
        (268, (0, 0, 0o4755), REFUSED),
        (452, (0, 0, 0o4755), REFUSED),
        (257, (0, 0, 0, 0o7777), FREE),
        (257, (0, 0, 0o100, 0o644), FREE),
        (257, (0, 0, 0o100, 0o4755), REFUSED),
        (257, (0, 0, 0o20200000, 0o4755), REFUSED),
        (2, (0, 0o101, 0o4755), REFUSED),
        (85, (0, 0o4755), REFUSED),
        (133, (0, 0o100644), FREE),
        (133, (0, 0o010644), FREE),
        (133, (0, 0o104755), REFUSED),
        (133, (0, 0o060644), REFUSED),
        (259, (0, 0, 0o020644), REFUSED),
        (16, (0, 0x5401), FREE),
        (16, (0, 0xFFFFFFFF), FREE),
        *[(16, (0, request), REFUSED) for request in TERMINAL_REQUESTS],
        (16, (0, 0x5412 | 1 << 32), REFUSED),
        (135, (0xFFFFFFFF,), FREE),
        (135, (0x0040000,), REFUSED),
        (29, (0, 0xFFFF), FREE),
        (29, (0, 0x10000), REFUSED),
        (29, (0, 1 << 32), REFUSED),
        (64, (0, 63), FREE),
        (64, (0, 64), REFUSED),
        (0x40000000 + 1, (), KILLED),
    ],
)
def test_the_filter_looks_at_arguments(
    number: int, arguments: tuple[int, ...], expected: int
) -> None:
    assert Filter("x86_64").verdict(number, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_a_foreign_architecture_kills(machine: str) -> None:
    for arch in (0x40000003, 0x40000028, 0xC00000F3):
        assert Filter(machine).verdict(0, arch=arch) == KILLED


INTERESTING = st.sampled_from(
    [0, 1, 2, 6, 10, 16, 17, 40, 0o100, 0o644, 0o4755, *TERMINAL_REQUESTS]
)
ARGUMENTS = st.lists(
    INTERESTING | INTERESTING.map(lambda n: n | 1 << 32) | st.integers(0, (1 << 64) - 1),
    max_size=4,
)


@given(st.sampled_from(MACHINES), st.sampled_from(CONDITIONS), ARGUMENTS)
def test_docker_is_given_the_same_filter(
    machine: str, condition: Any, arguments: list[int]
) -> None:
    number = condition.numbers[seccomp.ARCHITECTURES[machine][0]]
    if number is not None:
        verdict = Filter(machine).verdict(number, *arguments)
        profile = seccomp.docker_profile(machine)
        assert is_allowed_by_docker(profile, condition.name, tuple(arguments)) == (verdict == FREE)


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_dockers_profile_is_json_and_names_what_this_machine_has(machine: str, column: int) -> None:
    profile = json.loads(json.dumps(seccomp.docker_profile(machine)))
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert len(profile["architectures"]) == 1
    plain = profile["syscalls"][0]["names"]
    assert plain == [name for name, numbers in ALLOWED.items() if numbers[column] is not None]
    absent = [rule for rule in profile["syscalls"] if rule.get("errnoRet") == 38]
    assert [rule["names"] for rule in absent] == [["clone3", "openat2"]]


def test_a_machine_without_a_table_is_refused_with_a_remedy() -> None:
    for make in (seccomp.program, seccomp.docker_profile):
        with pytest.raises(SandboxUnavailable, match="riscv64"):
            make("riscv64")


@pytest.fixture
def backend() -> str:
    return "bubblewrap"


PLENTY = Confinement(limits=ResourceLimits(wall_seconds=60.0))
ORDINARY_WORK = {
    "threads": "python3 -c \"import threading; t = threading.Thread(target=print, args=('on',)); "
    't.start(); t.join()"',
    "processes": 'python3 -c "import multiprocessing as m; print(m.Pool(2).map(abs, [-1]))"',
    "subprocesses": "python3 -c \"import subprocess; print(subprocess.check_output(['id']))\"",
    "sockets": "python3 -c \"import socket as s; l = s.create_server(('127.0.0.1', 0)); "
    "c = s.create_connection(l.getsockname()); print(s.getaddrinfo('localhost', 80))\"",
    "an event loop": 'python3 -c "import asyncio; asyncio.run(asyncio.sleep(0))"',
    "temporary files": "python3 -c \"import tempfile as t; t.NamedTemporaryFile().write(b'x')\"",
    "sqlite": "python3 -c \"import sqlite3; c = sqlite3.connect('a.db'); "
    "c.execute('pragma journal_mode=wal'); c.execute('create table t (a)'); c.commit()\"",
    "coreutils": "cp -a /etc/passwd p && mv p q && tar cf t.tar q && sort q | tail -1 && rm q",
}


@pytest.mark.parametrize("kind", ORDINARY_WORK)
def test_ordinary_work_is_not_refused(shell: Callable[..., ExecResult], kind: str) -> None:
    result = shell(ORDINARY_WORK[kind], within=PLENTY)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("git", ("git init -q r && git -C r -c user.name=a -c user.email=a@b "
                "commit -q --allow-empty -m one && git -C r log --oneline && git -C r gc -q")),
        ("rg", "rg -n alpha"),
        ("pip3", "python3 -m pip download --no-index --dest . nothing 2>&1 | grep 'No matching'"),
        ("sqlite3", "sqlite3 b.db 'create table t (a); insert into t values (1)'"),
        ("gcc", "echo 'int main(void) { return 0; }' > m.c && gcc -o m m.c && ./m"),
    ],
)  # fmt: skip
def test_ordinary_programs_work(
    shell: Callable[..., ExecResult], program: str, command: str
) -> None:
    result = shell(f"command -v {program} >/dev/null || exit 99; {command}", within=PLENTY)
    if result.exit_code == 99:
        pytest.skip(f"the system inside has no {program}")
    assert result.exit_code == 0, result.output


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other instructions elsewhere")
def test_a_call_by_the_old_interrupt_kills_the_process(shell: Callable[..., ExecResult]) -> None:
    """`int 0x80` makes an i386 call, whose numbers mean other calls."""
    # mov eax, 20 (getpid on i386, writev here); int 0x80; ret
    code = (
        "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\n"
        "m.write(bytes.fromhex('b814000000cd80c3'))\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "CALL"
    )
    attack = shell(f'python3 -c "{code.replace("CALL", "f()")}"')
    twin = shell(f'python3 -c "{code.replace("CALL", "pass")}"')
    assert attack.exit_code == 128 + 31
    assert twin.exit_code == 0
