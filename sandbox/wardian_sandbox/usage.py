"""What a box uses, measured from the host, where no control group counts it.

Covers: memory of all processes of the box together, shared pages counted once; files in its private
tmpfs and in memfds that a process holds open; processes and threads; processor time.
Does not cover: memory that only the kernel holds for it (socket buffers, page tables, a memfd that
is on its way through a socket); what starts and ends between two looks.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.cgroup import children_of

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
BLOCK_BYTES = 512
"""The unit of st_blocks."""
SCRATCH = ("tmp", "home/agent", "dev/shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tree of processes uses at one moment."""

    memory_bytes: int
    """At most this; exactly, where it was beyond what was asked about."""
    threads: int
    cpu_seconds: float
    """Since the box was opened, with that of processes that are gone."""


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    found = [root]
    for pid in found:  # grows while it is gone through
        found += children_of(pid)
    return found


def measure(root: int, memory_limit: int) -> Usage:
    """Usage of the box whose outermost process is `root`.

    Exact only where a quick upper bound is above `memory_limit`, since exactness is slow.
    """
    pids = tree(root)
    threads = resident = ticks = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            # After the name: state is 0, utime 11, stime 12, cutime 13, cstime 14, threads 17.
            ticks += sum(int(field) for field in fields[11:15])
            threads += int(fields[17])
            resident += int(fields[21]) * PAGE_BYTES
    files = _scratch_bytes(pids) + _memfd_bytes(pids)
    memory = resident + files
    if memory > memory_limit:
        memory = _exact(pids, files)
    return Usage(memory_bytes=memory, threads=threads, cpu_seconds=ticks / TICKS)


def _exact(pids: list[int], files: int) -> int:
    """Private memory and its fair share of what is shared; mapped files of ours not twice."""
    anonymous = shared = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in ("Pss_Anon", "SwapPss"):
                    anonymous += int(rest.split()[0]) << 10
                elif name == "Pss_Shmem":
                    shared += int(rest.split()[0]) << 10
    return anonymous + max(shared, files)


def _scratch_bytes(pids: list[int]) -> int:
    """What lies in the private tmpfs, seen through any process that is inside."""
    for pid in reversed(pids):
        try:
            if Path(f"/proc/{pid}/root").samefile("/"):
                continue  # bwrap itself, which is outside
            states = [os.statvfs(f"/proc/{pid}/root/{place}") for place in SCRATCH]
        except OSError:
            continue
        return sum((state.f_blocks - state.f_bfree) * state.f_frsize for state in states)
    return 0


def _memfd_bytes(pids: list[int]) -> int:
    seen: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    if str(Path(entry.path).readlink()).startswith("/memfd:"):
                        status = entry.stat()
                        seen[status.st_dev, status.st_ino] = status.st_blocks * BLOCK_BYTES
    return sum(seen.values())
