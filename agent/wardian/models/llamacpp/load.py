"""Loads a GGUF file with llama.cpp. Imports nothing heavy, so that it can run while others do."""

import ctypes
import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_CONTEXT_TOKENS = 8192
SMALL_FILE_BYTES = 16 * 2**20
"""Below this, all tensors are checked at load, and one thread computes: llama.cpp's threads wait
for each other many times a token, which on a busy machine costs more than the work itself."""
BATCH_TOKENS = 512
SEQUENCES = 8
"""Conversations whose cache is kept at once, in one unified KV cache."""
_FUNCTION = re.compile(r"^(\w+: )+")
_ALL_LAYERS = 10_000
_held: list[object] = []
"""The callback that C holds, one for the process: it stays until another has taken its place."""


class LoadFailed(Exception):
    """llama.cpp would not load the file; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    path: str
    context_tokens: int | None = None
    """None takes the model's own, at most `DEFAULT_CONTEXT_TOKENS`."""
    threads: int | None = None
    gpu_layers: int = -1
    """-1 puts all layers on the GPU, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """llama.cpp's handles. Freed with the process."""

    api: Any
    model: int
    context: int
    vocab: int
    keep_alive: tuple[Any, ...] = field(repr=False)
    """Callbacks that C holds."""


class LlamaLog:
    """The last warnings and errors llama.cpp wrote."""

    def __init__(self, api: Any) -> None:
        self.lines: deque[str] = deque(maxlen=20)
        self._level = 0
        self.callback = api.llama_log_callback(self._take)
        api.llama_log_set(self.callback, ctypes.c_void_p(0))
        _held[:] = [self.callback]

    def _take(self, level: int, text: bytes, _: object) -> None:
        self._level = level if level != 5 else self._level
        if self._level in (3, 4) and (line := text.decode(errors="replace").strip()):
            self.lines.append(line[:500])

    def reason(self) -> str:
        """The line that says most: the last with `error`, its prefix of function names cut off."""
        for line in reversed(self.lines):
            _, found, reason = line.partition("error loading model: ")
            if found:
                return _FUNCTION.sub("", reason)
        return _FUNCTION.sub("", self.lines[-1]) if self.lines else "llama.cpp gave no reason"


def load(api: Any, options: LoadOptions) -> Loaded:
    """Raises: LoadFailed."""
    log = LlamaLog(api)
    api.llama_backend_init()
    small = Path(options.path).stat().st_size <= SMALL_FILE_BYTES
    offload = bool(api.llama_supports_gpu_offload()) and options.gpu_layers != 0
    model_params = api.llama_model_default_params()
    layers = options.gpu_layers if options.gpu_layers >= 0 else _ALL_LAYERS
    model_params.n_gpu_layers = layers if offload else 0
    model_params.check_tensors = small
    model = api.llama_model_load_from_file(os.fsencode(options.path), model_params)
    if not model:
        raise LoadFailed(log.reason())
    params = _context_params(api, model, options, offload=offload, small=small)
    context = api.llama_init_from_model(model, params)
    if not context:
        raise LoadFailed(f"no context of {params.n_ctx} tokens could be made ({log.reason()})")
    return Loaded(
        api=api,
        model=model,
        context=context,
        vocab=api.llama_model_get_vocab(model),
        keep_alive=(log,),
    )


def _context_params(
    api: Any, model: int, options: LoadOptions, *, offload: bool, small: bool
) -> Any:
    trained: int = api.llama_model_n_ctx_train(model)
    recurrent = api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model)
    params = api.llama_context_default_params()
    params.n_ctx = options.context_tokens or min(
        trained or DEFAULT_CONTEXT_TOKENS, DEFAULT_CONTEXT_TOKENS
    )
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.n_seq_max = 2 if recurrent else SEQUENCES
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = options.threads or (
        1 if small else physical_cores()
    )
    params.flash_attn_type = (
        api.LLAMA_FLASH_ATTN_TYPE_AUTO if offload else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.no_perf = True
    return params


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
