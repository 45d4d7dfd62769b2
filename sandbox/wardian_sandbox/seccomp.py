"""The system call filter of a box, made from the table in `syscalls`; for bubblewrap and Docker.

Covers: only the calls of the table, with its conditions on arguments; others fail with EPERM, and
those newer than the table with ENOSYS. A call of a foreign architecture (i386, x32, 32-bit ARM)
kills the process that makes it.
Does not cover: what a call's pointers lead to (a filter cannot see it), and bugs in allowed calls.
"""

import functools
import platform
import struct
from collections.abc import Iterable
from typing import Any

from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.syscalls import ABSENT, ALLOWED, CONDITIONS, NEWEST, Clause, Condition

EPERM, ENOSYS = 1, 38

# Source: linux/seccomp.h, linux/bpf_common.h, linux/audit.h
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, GREATER, AT_LEAST = 0x20, 0x15, 0x25, 0x35
AND, JUMP, RETURN = 0x54, 0x05, 0x06
NUMBER_OFFSET, ARCH_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
X32_BIT = 0x40000000
NO_CALL = 0xFFFFFFFF
"""syscall(-1), which is of no architecture."""
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""machine → column of the table, AUDIT_ARCH_…"""

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand"""


@functools.cache
def program(machine: str = "") -> bytes:
    """The filter for this machine, ready for `bwrap --seccomp`. Raises: SandboxUnavailable."""
    column, arch = _architecture(machine)
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_OFFSET),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_OFFSET),
        (EQUAL, 0, 1, NO_CALL),
        _errno(ENOSYS),
    ]
    if column == 0:
        code += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    code += [(GREATER, 0, 1, NEWEST), _errno(ENOSYS)]
    for numbers in ABSENT.values():
        code += [(EQUAL, 0, 1, _known(numbers[column])), _errno(ENOSYS)]
    for condition in CONDITIONS:
        if (number := condition.numbers[column]) is not None:
            block = _block(condition)
            code += [(EQUAL, 1, 0, number), (JUMP, 0, 0, len(block)), *block]
    for first, last in _ranges(numbers[column] for numbers in ALLOWED.values()):
        # Ascending: a number below this range is in none.
        code += [(GREATER, 3, 0, last), (AT_LEAST, 0, 1, first), (RETURN, 0, 0, ALLOW)]
        code.append(_errno(EPERM))
    code.append(_errno(EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def docker_profile(machine: str = "") -> dict[str, Any]:
    """The same filter as a profile for `docker --security-opt seccomp=FILE`.

    Docker adds by itself that calls newer than all that are named are absent. Refused conditions
    give EPERM there. Raises: SandboxUnavailable.
    """
    column, _ = _architecture(machine)
    architecture = "SCMP_ARCH_X86_64" if column == 0 else "SCMP_ARCH_AARCH64"
    plain = [name for name, numbers in ALLOWED.items() if numbers[column] is not None]
    rules: list[dict[str, Any]] = [
        {"names": plain, "action": "SCMP_ACT_ALLOW"},
        {"names": list(ABSENT), "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]
    for condition in CONDITIONS:
        if condition.numbers[column] is not None:
            rules += [_rule(condition.name, clause) for clause in condition.clauses]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [architecture],
        "syscalls": rules,
    }


def _architecture(machine: str) -> tuple[int, int]:
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise SandboxUnavailable(
            f"There is no system call table for {machine}.",
            "Use a machine with x86_64 or aarch64.",
        )
    return ARCHITECTURES[machine]


def _known(number: int | None) -> int:
    assert number is not None
    return number


def _ranges(numbers: Iterable[int | None]) -> list[tuple[int, int]]:
    """Ascending runs of consecutive numbers, as (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in sorted(number for number in numbers if number is not None):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _errno(number: int) -> Instruction:
    return (RETURN, 0, 0, ERRNO | number)


def _block(condition: Condition) -> list[Instruction]:
    """Code that ends in a return either way."""
    code: list[Instruction] = []
    for clause in condition.clauses:
        code += _clause(clause)
    return [*code, _errno(condition.errno)]


def _clause(clause: Clause) -> list[Instruction]:
    """Allows if every test holds; otherwise goes on behind itself."""
    tests: list[list[Instruction]] = []
    for test in clause:
        for shift in (0, 32):
            if mask := test.mask >> shift & 0xFFFFFFFF:
                # Both architectures are little-endian: the lower half comes first.
                offset = ARGUMENTS_OFFSET + 8 * test.index + shift // 8
                value = test.value >> shift & 0xFFFFFFFF
                tests.append([(LOAD, 0, 0, offset), (AND, 0, 0, mask), (EQUAL, 0, 0, value)])
    left = sum(len(code) for code in tests) + 1
    code: list[Instruction] = []
    for load, narrow, (compare, _, _, value) in tests:
        left -= 3
        code += [load, narrow, (compare, 0, left, value)]
    return [*code, (RETURN, 0, 0, ALLOW)]


def _rule(name: str, clause: Clause) -> dict[str, Any]:
    return {
        "names": [name],
        "action": "SCMP_ACT_ALLOW",
        "args": [
            {
                "index": test.index,
                "op": "SCMP_CMP_MASKED_EQ",
                "value": test.mask,
                "valueTwo": test.value,
            }
            for test in clause
        ],
    }
