"""The system call filter of a box, as a classic BPF program made from one table.

Covers: what Docker's default profile refuses to an unprivileged container, plus: ptrace and reading
other processes' memory or descriptors, io_uring, user-fault handling, memory policy, new
namespaces, sockets other than unix, internet and plain routing netlink (so no vsock, no AF_ALG, no
packet sockets), faked terminal input, set-user-id and set-group-id bits, system calls newer than
the table, and foreign architectures.
Does not cover: what a call's pointers lead to (a filter cannot see it), and bugs in allowed calls.
"""

import platform
import struct

from wardian_sandbox.errors import SandboxUnavailable

DENIED: dict[str, tuple[int | None, int | None]] = {
    # name: number on x86-64, on aarch64; None where there is none.
    # Source: Linux 6.12, arch/x86/entry/syscalls/syscall_64.tbl and asm-generic/unistd.h.
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "get_mempolicy": (239, 236),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lsm_set_self_attr": (460, 460),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
ABSENT = {"clone3": (435, 435), "openat2": (437, 437)}
"""Answered as if the kernel had none, since a filter cannot see the flags they point to; every C
library then uses the older call."""
NEWEST = 462
"""The highest number the table was made for (mseal); above it all calls are absent."""

MODE_BITS = 0o6000
"""S_ISUID and S_ISGID."""
CREATES = 0o100 | 0o20000000
"""O_CREAT and the bit that only O_TMPFILE has."""
NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW… flag that clone(2) takes."""
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
PERSONALITIES = (0, 0xFFFFFFFF)
"""Plain Linux, and asking which one it is."""
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97

# Source: linux/seccomp.h, linux/bpf_common.h, linux/audit.h
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
NUMBER_OFFSET, ARCH_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
X32_BIT = 0x40000000
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""machine → column of the table, AUDIT_ARCH_…"""

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand"""


def program(machine: str = "") -> bytes:
    """The filter for this machine, ready for `bwrap --seccomp`. Raises: SandboxUnavailable."""
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise SandboxUnavailable(
            f"There is no system call table for {machine}.",
            "Use a machine with x86_64 or aarch64, or --sandbox docker.",
        )
    column, arch = ARCHITECTURES[machine]
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_OFFSET),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_OFFSET),
    ]
    if column == 0:
        code += [(AT_LEAST, 0, 1, X32_BIT), _errno(ENOSYS)]
    code += [(GREATER, 0, 1, NEWEST), _errno(ENOSYS)]
    for numbers in ABSENT.values():
        code += [(EQUAL, 0, 1, numbers[column]), _errno(ENOSYS)]
    for number, block in _blocks(column):
        code += [(EQUAL, 0, len(block), number), *block]
    for denied in DENIED.values():
        number_here = denied[column]
        if number_here is not None:
            code += [(EQUAL, 0, 1, number_here), _errno(EPERM)]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _blocks(column: int) -> list[tuple[int, list[Instruction]]]:
    """Calls that depend on an argument: number, and code that ends in a return either way."""
    opens, mode = _creates_special, _refuse_bits
    by_name: list[tuple[tuple[int | None, int | None], list[Instruction]]] = [
        ((56, 220), mode(0, NEW_NAMESPACES)),  # clone
        ((90, None), mode(1, MODE_BITS)),  # chmod
        ((91, 52), mode(1, MODE_BITS)),  # fchmod
        ((268, 53), mode(2, MODE_BITS)),  # fchmodat
        ((452, 452), mode(2, MODE_BITS)),  # fchmodat2
        ((133, None), mode(1, MODE_BITS)),  # mknod
        ((259, 33), mode(2, MODE_BITS)),  # mknodat
        ((85, None), mode(1, MODE_BITS)),  # creat
        ((2, None), opens(1, 2)),  # open
        ((257, 56), opens(2, 3)),  # openat
        ((41, 198), _families()),  # socket
        ((53, 199), _families()),  # socketpair
        ((16, 29), _refuse_values(1, (TIOCSTI, TIOCLINUX))),  # ioctl
        ((135, 92), _accept_values(0, PERSONALITIES)),  # personality
    ]
    found = ((numbers[column], block) for numbers, block in by_name)
    return [(number, block) for number, block in found if number is not None]


def _errno(number: int) -> Instruction:
    return (RETURN, 0, 0, ERRNO | number)


def _argument(index: int) -> Instruction:
    """Load the lower half of an argument; both architectures are little-endian."""
    return (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * index)


def _refuse_bits(index: int, bits: int) -> list[Instruction]:
    return [_argument(index), (ANY_BIT, 0, 1, bits), _errno(EPERM), (RETURN, 0, 0, ALLOW)]


def _creates_special(flags: int, mode: int) -> list[Instruction]:
    """The mode counts only where a file may be created; otherwise it is left-over memory."""
    plain = [_argument(flags), (ANY_BIT, 1, 0, CREATES), (RETURN, 0, 0, ALLOW)]
    return [*plain, *_refuse_bits(mode, MODE_BITS)]


def _refuse_values(index: int, values: tuple[int, ...]) -> list[Instruction]:
    code = [_argument(index)]
    for value in values:
        code += [(EQUAL, 0, 1, value), _errno(EPERM)]
    return [*code, (RETURN, 0, 0, ALLOW)]


def _accept_values(index: int, values: tuple[int, ...]) -> list[Instruction]:
    code = [_argument(index)]
    for value in values:
        code += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    return [*code, _errno(EPERM)]


def _families() -> list[Instruction]:
    code = [_argument(0)]
    for family in (AF_UNIX, AF_INET, AF_INET6):
        code += [(EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    # NETLINK_ROUTE (protocol 0) is how the C library lists interfaces.
    code += [(EQUAL, 1, 0, AF_NETLINK), _errno(EAFNOSUPPORT), _argument(2)]
    return [*code, (EQUAL, 0, 1, 0), (RETURN, 0, 0, ALLOW), _errno(EAFNOSUPPORT)]
