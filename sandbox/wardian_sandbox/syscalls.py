"""The one table of system calls that code in a box may make.

What is not in it is refused. It is Docker's default profile without: legacy and io_uring
asynchronous input and output, System V message queues, ptrace and other ways into another process,
vmsplice, secret memory, clock adjustment, and kernel interfaces that nothing current uses.
Conditions look at a call's arguments; what its pointers lead to is beyond a filter.
"""

from dataclasses import dataclass

Numbers = tuple[int | None, int | None]
"""A call's number on x86-64 and on aarch64; None where there is none."""

# Source: Linux 6.17, arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl;
# moby/moby, profiles/seccomp/default.json.
ALLOWED: dict[str, Numbers] = {
    "accept": (43, 202), "accept4": (288, 242), "access": (21, None), "alarm": (37, None),
    "arch_prctl": (158, None), "bind": (49, 200), "brk": (12, 214), "cachestat": (451, 451),
    "capget": (125, 90), "capset": (126, 91), "chdir": (80, 49), "chown": (92, None),
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115),
    "close": (3, 57), "close_range": (436, 436), "connect": (42, 203),
    "copy_file_range": (326, 285), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "epoll_wait": (232, None),
    "eventfd": (284, None), "eventfd2": (290, 19), "execve": (59, 221), "execveat": (322, 281),
    "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fadvise64": (221, 223), "fallocate": (285, 47), "fchdir": (81, 50), "fchown": (93, 55),
    "fchownat": (260, 54), "fcntl": (72, 25), "fdatasync": (75, 83), "fgetxattr": (193, 10),
    "flistxattr": (196, 13), "flock": (73, 32), "fork": (57, None), "fremovexattr": (199, 16),
    "fsetxattr": (190, 7), "fstat": (5, 80), "fstatfs": (138, 44), "fsync": (74, 82),
    "ftruncate": (77, 46), "futex": (202, 98), "futex_requeue": (456, 456),
    "futex_wait": (455, 455), "futex_waitv": (449, 449), "futex_wake": (454, 454),
    "futimesat": (261, None), "get_robust_list": (274, 100), "getcpu": (309, 168),
    "getcwd": (79, 17), "getdents": (78, None), "getdents64": (217, 61), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158), "getitimer": (36, 102),
    "getpeername": (52, 205), "getpgid": (121, 155), "getpgrp": (111, None), "getpid": (39, 172),
    "getppid": (110, 173), "getpriority": (140, 141), "getrandom": (318, 278),
    "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163),
    "getrusage": (98, 165), "getsid": (124, 156), "getsockname": (51, 204), "getsockopt": (55, 209),
    "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174), "getxattr": (191, 8),
    "getxattrat": (464, 464), "inotify_add_watch": (254, 27), "inotify_init": (253, None),
    "inotify_init1": (294, 26), "inotify_rm_watch": (255, 28), "ioprio_get": (252, 31),
    "ioprio_set": (251, 30), "kill": (62, 129), "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446),
    "lchown": (94, None), "lgetxattr": (192, 9), "link": (86, None), "linkat": (265, 37),
    "listen": (50, 201), "listxattr": (194, 11), "listxattrat": (465, 465), "llistxattr": (195, 12),
    "lremovexattr": (198, 15), "lseek": (8, 62), "lsetxattr": (189, 6), "lstat": (6, None),
    "madvise": (28, 233), "map_shadow_stack": (453, 453), "membarrier": (324, 283),
    "memfd_create": (319, 279), "mincore": (27, 232), "mkdir": (83, None), "mkdirat": (258, 34),
    "mlock": (149, 228), "mlock2": (325, 284), "mlockall": (151, 230), "mmap": (9, 222),
    "mprotect": (10, 226), "mq_getsetattr": (245, 185), "mq_notify": (244, 184),
    "mq_open": (240, 180), "mq_timedreceive": (243, 183), "mq_timedsend": (242, 182),
    "mq_unlink": (241, 181), "mremap": (25, 216), "mseal": (462, 462), "msync": (26, 227),
    "munlock": (150, 229), "munlockall": (152, 231), "munmap": (11, 215), "nanosleep": (35, 101),
    "newfstatat": (262, 79), "pause": (34, None), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pipe": (22, None), "pipe2": (293, 59),
    "pkey_alloc": (330, 289), "pkey_free": (331, 290), "pkey_mprotect": (329, 288),
    "poll": (7, None), "ppoll": (271, 73), "prctl": (157, 167), "pread64": (17, 67),
    "preadv": (295, 69), "preadv2": (327, 286), "prlimit64": (302, 261), "pselect6": (270, 72),
    "pwrite64": (18, 68), "pwritev": (296, 70), "pwritev2": (328, 287), "read": (0, 63),
    "readahead": (187, 213), "readlink": (89, None), "readlinkat": (267, 78), "readv": (19, 65),
    "recvfrom": (45, 207), "recvmmsg": (299, 243), "recvmsg": (47, 212), "removexattr": (197, 14),
    "removexattrat": (466, 466), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "restart_syscall": (219, 128), "rmdir": (84, None), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigpending": (127, 136), "rt_sigprocmask": (14, 135),
    "rt_sigqueueinfo": (129, 138), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "rt_tgsigqueueinfo": (297, 240),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123), "sched_getattr": (315, 275), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_rr_get_interval": (148, 127),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_yield": (24, 124), "seccomp": (317, 277),
    "select": (23, None), "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192),
    "sendfile": (40, 71), "sendmmsg": (307, 269), "sendmsg": (46, 211), "sendto": (44, 206),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "setfsgid": (123, 152),
    "setfsuid": (122, 151), "setgid": (106, 144), "setgroups": (116, 159), "setitimer": (38, 103),
    "setpgid": (109, 154), "setpriority": (141, 140), "setregid": (114, 143),
    "setresgid": (119, 149), "setresuid": (117, 147), "setreuid": (113, 145),
    "setrlimit": (160, 164), "setsid": (112, 157), "setsockopt": (54, 208), "setuid": (105, 146),
    "setxattr": (188, 5), "setxattrat": (463, 463), "shmat": (30, 196), "shmctl": (31, 195),
    "shmdt": (67, 197), "shutdown": (48, 210), "sigaltstack": (131, 132), "signalfd": (282, None),
    "signalfd4": (289, 74), "splice": (275, 76), "stat": (4, None), "statfs": (137, 43),
    "statx": (332, 291), "symlink": (88, None), "symlinkat": (266, 36), "sync": (162, 81),
    "sync_file_range": (277, 84), "syncfs": (306, 267), "sysinfo": (99, 179), "tee": (276, 77),
    "tgkill": (234, 131), "time": (201, None), "timer_create": (222, 107),
    "timer_delete": (226, 111), "timer_getoverrun": (225, 109), "timer_gettime": (224, 108),
    "timer_settime": (223, 110), "timerfd_create": (283, 85), "timerfd_gettime": (287, 87),
    "timerfd_settime": (286, 86), "times": (100, 153), "tkill": (200, 130), "truncate": (76, 45),
    "umask": (95, 166), "uname": (63, 160), "unlink": (87, None), "unlinkat": (263, 35),
    "utime": (132, None), "utimensat": (280, 88), "utimes": (235, None), "vfork": (58, None),
    "wait4": (61, 260), "waitid": (247, 95), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
ABSENT: dict[str, Numbers] = {"clone3": (435, 435), "openat2": (437, 437)}
"""Answered as if the kernel had none, since a filter cannot see the flags they point to; every C
library then uses the older call."""
NEWEST = 467
"""The highest number the table was made for (open_tree_attr); above it all calls are absent."""

INT = 0xFFFFFFFF
"""The half of an argument that the kernel looks at where it takes an int."""
LONG = 0xFFFFFFFFFFFFFFFF
SPECIAL_MODE_BITS = 0o6000
"""S_ISUID and S_ISGID."""
DEVICE_BIT = 0o020000
"""In S_IFCHR and S_IFBLK, and in no other kind of file that mknod makes."""
CREATES = 0o100 | 0o20000000
"""O_CREAT and the bit that only O_TMPFILE has."""
NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW… flag that clone(2) takes."""
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_TYPE_MASK = 1, 2, 0xF
PROTOCOLS = (0, 6, 17)
"""The usual one, TCP, UDP."""
TERMINAL_REQUESTS = (0x5412, 0x541C, 0x541D, 0x5423)
"""TIOCSTI and TIOCLINUX, which fake input; TIOCCONS; TIOCSETD, which loads line disciplines."""
PERSONALITIES = (0, 0xFFFFFFFF)
"""Plain Linux, and asking which one it is."""
SEGMENT_BYTES, SEMAPHORES = 0x10000, 64
"""Bounds on one System V segment or set: no process need hold it, so no watcher would count it.
Enough for what PostgreSQL makes."""


@dataclass(frozen=True, slots=True)
class Test:
    """(argument & mask) == value."""

    index: int
    mask: int
    value: int = 0


Clause = tuple[Test, ...]
"""Tests that must all hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A call that is allowed if one of the clauses holds, and refused with `errno` if none does."""

    name: str
    numbers: Numbers
    clauses: tuple[Clause, ...]
    errno: int = 1


def all_but(index: int, values: tuple[int, ...]) -> tuple[Clause, ...]:
    """Clauses for every int except `values`: the prefixes of bits that lead to none of them.

    "Not equal" would compare all 64 bits of an argument of which the kernel sees 32.
    """
    clauses: list[Clause] = []
    for bit in reversed(range(32)):
        mask = INT & ~((1 << bit) - 1)
        beside = {(value ^ (1 << bit)) & mask for value in values}
        taken = {value & mask for value in values}
        clauses += [(Test(index, mask, prefix),) for prefix in sorted(beside - taken)]
    return tuple(clauses)


def _one_of(index: int, values: tuple[int, ...]) -> tuple[Clause, ...]:
    return tuple((Test(index, INT, value),) for value in values)


def _without(index: int, bits: int) -> tuple[Clause, ...]:
    return ((Test(index, bits),),)


def _opens(flags: int, mode: int) -> tuple[Clause, ...]:
    """The mode counts only where a file may be created; otherwise it is left-over memory."""
    return ((Test(flags, CREATES),), (Test(mode, SPECIAL_MODE_BITS),))


def _sockets() -> tuple[Clause, ...]:
    """Unix sockets, and internet ones of the plain kinds: no raw, no packet, no netlink, no vsock.

    Netlink too would only tell what a box without a network has; C libraries do without.
    """
    internet = tuple(
        (Test(0, INT, family), Test(1, SOCK_TYPE_MASK, kind), Test(2, INT, protocol))
        for family in (AF_INET, AF_INET6)
        for kind in (SOCK_STREAM, SOCK_DGRAM)
        for protocol in PROTOCOLS
    )
    return ((Test(0, INT, AF_UNIX),), *internet)


EAFNOSUPPORT = 97
CONDITIONS = (
    Condition("chmod", (90, None), _without(1, SPECIAL_MODE_BITS)),
    Condition("clone", (56, 220), _without(0, NEW_NAMESPACES)),
    Condition("creat", (85, None), _without(1, SPECIAL_MODE_BITS)),
    Condition("fchmod", (91, 52), _without(1, SPECIAL_MODE_BITS)),
    Condition("fchmodat", (268, 53), _without(2, SPECIAL_MODE_BITS)),
    Condition("fchmodat2", (452, 452), _without(2, SPECIAL_MODE_BITS)),
    Condition("ioctl", (16, 29), all_but(1, TERMINAL_REQUESTS)),
    Condition("mknod", (133, None), _without(1, SPECIAL_MODE_BITS | DEVICE_BIT)),
    Condition("mknodat", (259, 33), _without(2, SPECIAL_MODE_BITS | DEVICE_BIT)),
    Condition("open", (2, None), _opens(1, 2)),
    Condition("openat", (257, 56), _opens(2, 3)),
    Condition("personality", (135, 92), _one_of(0, PERSONALITIES)),
    Condition("semget", (64, 190), _without(1, INT & ~(SEMAPHORES - 1))),
    Condition("shmget", (29, 194), _without(1, LONG & ~(SEGMENT_BYTES - 1))),
    Condition("socket", (41, 198), _sockets(), EAFNOSUPPORT),
    Condition("socketpair", (53, 199), _one_of(0, (AF_UNIX,)), EAFNOSUPPORT),
)
