"""What keeps each limit of a box, and what a limit that was hit means to whoever hit it."""

from wardian_sandbox.types import Limit, ResourceLimits

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def said(limit: Limit, limits: ResourceLimits) -> str:
    """One sentence for the model: which limit, how much it is, what to do."""
    match limit:
        case Limit.WALL:
            return f"time limit of {limits.wall_seconds:g} s reached: do less in one call"
        case Limit.CPU:
            return f"processor time limit of {limits.cpu_seconds} s reached: do less in one call"
        case Limit.MEMORY:
            room = in_bytes(limits.memory_bytes)
            return (
                f"memory limit of {room} reached: use less at a time; files in /tmp, /dev/shm and "
                "the home folder count too"
            )
        case Limit.PROCESSES:
            return f"limit of {limits.processes} processes and threads reached: start fewer at once"
        case Limit.FILE:
            return f"file size limit of {in_bytes(limits.file_bytes)} reached: write smaller files"
        case Limit.WORKSPACE:
            return (
                f"the workspace may grow by {in_bytes(limits.workspace_bytes)} and "
                f"{limits.workspace_files} files, or by what the disk has: delete what is not "
                "needed before writing more"
            )
        case Limit.OUTPUT:
            return "far too much output: print less, or write it to a file"


def private_bytes(limits: ResourceLimits) -> int:
    """Size of one private tmpfs: all three full, a quarter of the memory is left to programs."""
    return min(limits.scratch_bytes, limits.memory_bytes // 4)


def in_bytes(count: int) -> str:
    """A size as people read it."""
    size = float(count)
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} {UNITS[-1]}"


def kept_by(keeper: str, *, cgroup: bool, has_size: bool = True) -> dict[str, str]:
    """Limit → what keeps it, for the record. `keeper` is of memory and processes together."""
    each = "rlimit for each process"
    return {
        "wall": "supervisor, backed by the host",
        "cpu": f"{each}, {keeper} for all",
        "memory": f"{each}, {keeper} for all",
        "processes": keeper if cgroup else "rlimit in the user namespace",
        "file": each,
        "scratch": "tmpfs size" if has_size else "memory limit",
        "workspace": "host watcher",
        "output": "supervisor",
    }
