"""Loads a GGUF file with llama.cpp. Imports nothing heavy, so that it can run while others do."""

import ctypes
import os
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardian.models.llamacpp.devices import Gpu, gpus
from wardian.models.llamacpp.memory import (
    SPARE_BYTES,
    Layout,
    available_bytes,
    layers_that_fit,
    readable,
)
from wardian.models.llamacpp.threads import attach_pool, physical_cores

DEFAULT_CONTEXT_TOKENS = 8192
SMALL_FILE_BYTES = 16 * 2**20
"""Below this, all tensors are checked at load, and one thread computes: llama.cpp's threads wait
for each other many times a token, which on a busy machine costs more than the work itself."""
BATCH_TOKENS = 512
SEQUENCES = 32
"""Conversations, samples and checkpoints held at once in one unified KV cache."""
RECURRENT_SEQUENCES = 16
"""At most; each holds a state of its own."""
CACHE_SHARE = 8
"""A cache for several conversations may take one part in so many of the memory there is."""
CELL_BOOKKEEPING_BYTES = 64
"""What llama.cpp keeps of a cell beside its keys and values."""
_FUNCTION = re.compile(r"^(\w+: )+")
_ALL_LAYERS = 10_000
_held: list[object] = []
"""The callback that C holds, one for the process: it stays until another has taken its place."""


class LoadFailed(Exception):
    """llama.cpp would not load the file; the message is its reason."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        """`remedy`: where it is not another file."""
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    path: str
    context_tokens: int | None = None
    """Of one conversation. None takes the model's own, at most `DEFAULT_CONTEXT_TOKENS`."""
    sequences: int | None = None
    """None takes `SEQUENCES`, or what a recurrent model has memory for."""
    threads: int | None = None
    gpu_layers: int | None = None
    """None takes as many as fit in the GPU's free memory; -1 all."""
    adapters: Sequence[tuple[str, float]] = ()
    """LoRA files, each with its scale."""
    layer_bytes: Sequence[int] = ()
    """Of each layer's weights, from the header."""
    other_bytes: int = 0
    """Of the weights that belong to no layer."""
    layer_cell_bytes: int = 0
    """What a token takes in one layer's cache."""
    vocab_only: bool = False
    """Only what texts and tokens need: no weights, no context."""
    taken_bytes: int = 0
    """What other models of this program keep mapped; the system counts that as available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """llama.cpp's handles. Freed with the process."""

    api: Any
    model: int
    context: int
    vocab: int
    context_tokens: int
    """Of one conversation; the cache holds more."""
    keeps_state: bool
    """Recurrent or hybrid: part of a sequence cannot be dropped."""
    device: str
    """`CPU`, or which GPU holds how many layers."""
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
    devices = gpus(api) if options.gpu_layers != 0 and api.llama_supports_gpu_offload() else []
    layers = _layers_on_gpu(options, devices)
    model_params = api.llama_model_default_params()
    model_params.n_gpu_layers = layers
    model_params.check_tensors = small
    model_params.vocab_only = options.vocab_only
    model = api.llama_model_load_from_file(os.fsencode(options.path), model_params)
    if not model:
        raise LoadFailed(log.reason())
    if options.vocab_only:
        return Loaded(
            api=api,
            model=model,
            context=0,
            vocab=api.llama_model_get_vocab(model),
            context_tokens=0,
            keeps_state=False,
            device="",
            keep_alive=(log,),
        )
    params = _context_params(api, model, options, offload=layers > 0, small=small)
    context_tokens: int = params.n_ctx
    keeps_state = _keeps_state(api, model)
    if layers == 0 and not keeps_state:
        _check_context(context_tokens, cell_bytes(api, model))
    params.n_seq_max = options.sequences or _sequences(api, model, keeps_state=keeps_state)
    params.n_outputs_max = params.n_seq_max
    params.n_ctx = _cells(api, model, context_tokens, small=small, offload=layers > 0)
    context = api.llama_init_from_model(model, params)
    if not context and params.n_ctx > context_tokens:
        params.n_ctx = context_tokens
        context = api.llama_init_from_model(model, params)
    if not context:
        raise LoadFailed(f"no context of {context_tokens} tokens could be made ({log.reason()})")
    attach_pool(api, context, params.n_threads)
    adapters = _with_adapters(api, model, context, options.adapters, log)
    return Loaded(
        api=api,
        model=model,
        context=context,
        vocab=api.llama_model_get_vocab(model),
        context_tokens=context_tokens,
        keeps_state=keeps_state,
        device=_described(devices, layers, api.llama_model_n_layer(model)),
        keep_alive=(log, adapters),
    )


def _context_params(
    api: Any, model: int, options: LoadOptions, *, offload: bool, small: bool
) -> Any:
    """All but how many sequences and cells. `n_ctx` is one conversation's."""
    trained: int = api.llama_model_n_ctx_train(model)
    params = api.llama_context_default_params()
    params.n_ctx = options.context_tokens or min(
        trained or DEFAULT_CONTEXT_TOKENS, DEFAULT_CONTEXT_TOKENS
    )
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.n_outputs_max_per_seq = 1
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = options.threads or (
        1 if small else physical_cores()
    )
    params.flash_attn_type = (
        api.LLAMA_FLASH_ATTN_TYPE_AUTO if offload else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.no_perf = True
    return params


def _layers_on_gpu(options: LoadOptions, devices: Sequence[Gpu]) -> int:
    if not devices:
        return 0
    if options.gpu_layers is not None:
        return options.gpu_layers if options.gpu_layers >= 0 else _ALL_LAYERS
    cells = options.layer_cell_bytes * (options.context_tokens or DEFAULT_CONTEXT_TOKENS)
    layout = Layout(layers=options.layer_bytes, output=options.other_bytes, cells=cells)
    fitting = layers_that_fit(layout, sum(d.free_bytes for d in devices))
    return _ALL_LAYERS if fitting > len(options.layer_bytes) else fitting


def _described(devices: Sequence[Gpu], layers: int, of_layers: int) -> str:
    if not devices or layers == 0:
        return "CPU"
    share = "all" if layers > of_layers else f"{layers} of {of_layers}"
    return f"{share} layers on {', '.join(f'{d.name} ({d.description})' for d in devices)}"


def _keeps_state(api: Any, model: int) -> bool:
    return bool(api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model))


def _sequences(api: Any, model: int, *, keeps_state: bool) -> int:
    if not keeps_state:
        return SEQUENCES
    room = (available_bytes() or 0) // CACHE_SHARE
    return max(4, min(RECURRENT_SEQUENCES, room // max(1, _state_bytes(api, model))))


def _state_bytes(api: Any, model: int) -> int:
    """About what one recurrent state takes."""
    inner = _number(api, model, "ssm.inner_size") or api.llama_model_n_embd(model)
    state = _number(api, model, "ssm.state_size") or _number(api, model, "wkv.head_size") or 64
    return int(api.llama_model_n_layer(model) * inner * state * 4)


def cell_bytes(api: Any, model: int) -> int:
    """At most what one token takes in the cache, in half precision."""
    heads: int = api.llama_model_n_head(model)
    width = api.llama_model_n_embd(model) // max(1, heads)
    key = _number(api, model, "attention.key_length") or width
    value = _number(api, model, "attention.value_length") or width
    kv_heads = api.llama_model_n_head_kv(model) or heads
    return int(api.llama_model_n_layer(model) * kv_heads * (key + value) * 2)


def _cells(api: Any, model: int, context_tokens: int, *, small: bool, offload: bool) -> int:
    """How many tokens all conversations together may hold: up to four full ones."""
    if small:
        return 2 * context_tokens
    each = context_tokens * cell_bytes(api, model)
    room = ((available_bytes() or 0) - SPARE_BYTES) // CACHE_SHARE
    if offload:  # what the weights have left of the GPU
        room = sum(d.free_bytes for d in gpus(api)) // 2
    return context_tokens * max(1, min(4, room // max(1, each)))


def _number(api: Any, model: int, key: str) -> int:
    """A number out of the header; 0 where it has none, or one a layer."""
    room = ctypes.create_string_buffer(64)
    api.llama_model_meta_val_str(model, b"general.architecture", room, 64)
    name = room.value + b"." + key.encode()
    length: int = api.llama_model_meta_val_str(model, name, room, 64)
    return int(room.value) if length > 0 and room.value.isdigit() else 0


def _with_adapters(
    api: Any, model: int, context: int, adapters: Sequence[tuple[str, float]], log: LlamaLog
) -> tuple[Any, ...]:
    """LoRA adapters, in force for all requests. Raises: LoadFailed."""
    if not adapters:
        return ()
    handles: list[int] = []
    for path, _ in adapters:
        handle = api.llama_adapter_lora_init(model, os.fsencode(path))
        if not handle:
            reason = log.reason()
            raise LoadFailed(
                f"the adapter {Path(path).name} does not go with it ({reason})",
                "Name the model that the adapter was trained on.",
            )
        handles.append(handle)
    many = len(handles)
    held = (api.llama_adapter_lora_p_ctypes * many)(*handles)
    scales = (ctypes.c_float * many)(*(scale for _, scale in adapters))
    if api.llama_set_adapters_lora(context, held, many, scales) != 0:
        raise LoadFailed("its adapters could not be put in force")
    return (held, scales)


def check_memory(options: LoadOptions, size_bytes: int) -> None:
    """Raises: LoadFailed where the weights alone would not fit."""
    available = available_bytes()
    if available is None:
        return
    left = available - options.taken_bytes - SPARE_BYTES
    if size_bytes > left:
        raise LoadFailed(
            f"it needs {readable(size_bytes)} of memory and {readable(max(0, left))} can be had"
        )


def _check_context(context_tokens: int, bytes_each: int) -> None:
    """Raises: LoadFailed. llama.cpp itself would take minutes to find out, or be killed."""
    available, needed = available_bytes(), context_tokens * (bytes_each + CELL_BOOKKEEPING_BYTES)
    if available is not None and needed > available - SPARE_BYTES:
        raise LoadFailed(
            f"a context of {context_tokens} tokens needs {readable(needed)} of memory"
            f" and {readable(max(0, available - SPARE_BYTES))} can be had",
            "Choose a smaller one: agent config set context_tokens N.",
        )
