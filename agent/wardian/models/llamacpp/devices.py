"""The GPUs llama.cpp was built for and found, and what memory is free on them."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GPU, _INTEGRATED_GPU = 1, 2
"""`enum ggml_backend_dev_type`. Source: ggml-backend.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    name: str
    """`CUDA0`, `Vulkan0`, `Metal`."""
    description: str
    free_bytes: int
    total_bytes: int


def gpus(api: Any) -> list[Gpu]:
    """Discrete ones, or integrated ones where there are no others, as llama.cpp chooses."""
    ggml = _ggml(api)
    if ggml is None:
        return []
    found: dict[int, list[Gpu]] = {_GPU: [], _INTEGRATED_GPU: []}
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        kind = ggml.ggml_backend_dev_type(device)
        if kind in found:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            gpu = Gpu(
                name=ggml.ggml_backend_dev_name(device).decode(errors="replace"),
                description=ggml.ggml_backend_dev_description(device).decode(errors="replace"),
                free_bytes=free.value,
                total_bytes=total.value,
            )
            found[kind].append(gpu)
    return found[_GPU] or found[_INTEGRATED_GPU]


def _ggml(api: Any) -> Any:
    """The library of ggml's devices, which llama.cpp has loaded already."""
    folder = Path(str(api.__file__)).parent / "lib"
    for name in ("libggml.so", "libggml.dylib", "ggml.dll"):
        if (folder / name).exists():
            library = ctypes.CDLL(str(folder / name))
            break
    else:
        return None
    try:
        library.ggml_backend_dev_count.restype = ctypes.c_size_t
        library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        library.ggml_backend_dev_get.restype = ctypes.c_void_p
        for text in ("name", "description"):
            function = getattr(library, f"ggml_backend_dev_{text}")
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_char_p
        library.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        size = ctypes.POINTER(ctypes.c_size_t)
        library.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size, size]
    except AttributeError:
        return None
    return library
