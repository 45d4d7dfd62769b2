"""How many threads compute, and that they outlive a token."""

import ctypes
import os
from pathlib import Path
from typing import Any

_MASK_BYTES = 512
"""GGML_MAX_N_THREADS"""
_SPARE_BYTES = 256
"""For what later versions put behind what is known here"""


class _PoolParams(ctypes.Structure):
    """Source: `struct ggml_threadpool_params` in ggml.h, as of llama-cpp-python 0.3.36."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * _MASK_BYTES),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
        ("spare", ctypes.c_char * _SPARE_BYTES),
    )


def attach_pool(api: Any, context: int, threads: int) -> None:
    """Let the threads wait between two evaluations, instead of starting them for each.

    They sleep while they wait: llama.cpp's own programs let them spin for a tenth of a second,
    which takes cores from everything else and was no quicker. Nothing is done where one thread
    computes, and where this llama.cpp has no pools.
    """
    if threads < 2:
        return
    library = api._lib  # noqa: SLF001  the bindings leave these functions out
    try:
        fill = library.ggml_threadpool_params_init
        make = library.ggml_threadpool_new
        attach = library.llama_attach_threadpool
    except AttributeError:
        return
    make.restype = ctypes.c_void_p
    params = _PoolParams()
    fill(ctypes.byref(params), ctypes.c_int(threads))
    if params.n_threads != threads or not 0 < params.poll <= 100:
        return  # its fields stand elsewhere than here
    params.poll = 0
    if pool := make(ctypes.byref(params)):
        attach(ctypes.c_void_p(context), ctypes.c_void_p(pool), ctypes.c_void_p(pool))


def physical_cores() -> int:
    """Cores this process may use: siblings of one core count once, a container's share counts."""
    allowed = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    siblings: set[str] = set()
    for cpu in allowed:
        try:
            topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            siblings.add(topology.read_text())
        except OSError:
            siblings.add(str(cpu))
    return max(1, min(len(siblings), _container_share()))


def _container_share() -> int:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return os.cpu_count() or 1
