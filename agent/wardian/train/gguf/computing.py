"""What llama.cpp makes of texts: token ids, and the logits of given ids. Runs in a child process.

Keys and values are held in float32 and flash attention is off, so that what differs from the
source model is the file and not the way it is run.
"""

import ctypes
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ModelError
from wardian.models.llamacpp.load import SMALL_FILE_BYTES, LlamaLog
from wardian.models.llamacpp.threads import physical_cores
from wardian.train.gguf.processes import run_child

_F32 = 0
"""`ggml_type`"""
_SPARE = 16


def computed(
    model: Path, adapter: Path | None, texts: Sequence[str], prompts: Sequence[Sequence[int]]
) -> tuple[list[list[int]], list[NDArray[np.float32]]]:
    """Ids of `texts` (special tokens recognised, none added); logits of `prompts`, each T x V.

    Raises: ModelError where llama.cpp cannot load the file or crashes over it.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="wardian-") as folder:
        asked, answer = Path(folder) / "asked.json", Path(folder) / "logits.npz"
        asked.write_text(
            json.dumps(
                {
                    "model": str(model),
                    "adapter": str(adapter) if adapter else "",
                    "texts": list(texts),
                    "prompts": [list(ids) for ids in prompts],
                }
            ),
            encoding="utf-8",
        )
        run_child(
            "wardian.train.gguf.computing",
            [str(asked), str(answer)],
            what=f"llama.cpp cannot use the file {(adapter or model).name}",
        )
        with np.load(answer) as arrays:
            ids = [arrays[f"ids{n}"].tolist() for n in range(len(texts))]
            return ids, [arrays[f"logits{n}"] for n in range(len(prompts))]


def main(asked: str, answer: str) -> None:
    """In the child. Raises: ModelError."""
    from wardian.models.llamacpp.api import llama

    question: dict[str, Any] = json.loads(Path(asked).read_text(encoding="utf-8"))
    prompts: list[list[int]] = question["prompts"]
    api = llama()
    log = LlamaLog(api)
    api.llama_backend_init()
    params = api.llama_model_default_params()
    params.n_gpu_layers = 0
    model = api.llama_model_load_from_file(os.fsencode(question["model"]), params)
    if not model:
        raise ModelError(log.reason())
    longest = max((len(ids) for ids in prompts), default=1)
    is_small = Path(question["model"]).stat().st_size <= SMALL_FILE_BYTES
    context = _context(api, model, longest, 1 if is_small else physical_cores(), log)
    if question["adapter"]:
        _put_on(api, model, context, question["adapter"], log)
    vocab = api.llama_model_get_vocab(model)
    size = api.llama_vocab_n_tokens(vocab)
    arrays: dict[str, Any] = {
        f"ids{n}": np.array(_ids(api, vocab, text), np.int32)
        for n, text in enumerate(question["texts"])
    }
    for n, ids in enumerate(prompts):
        arrays[f"logits{n}"] = _logits(api, context, ids, size)
    np.savez(answer, **arrays)


def _context(api: Any, model: Any, longest: int, threads: int, log: LlamaLog) -> Any:
    params = api.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = longest + _SPARE
    params.type_k = params.type_v = _F32
    params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_threads = params.n_threads_batch = threads
    context = api.llama_init_from_model(model, params)
    if not context:
        raise ModelError(log.reason())
    return context


def _put_on(api: Any, model: Any, context: Any, adapter: str, log: LlamaLog) -> None:
    handle = api.llama_adapter_lora_init(model, os.fsencode(adapter))
    if not handle:
        raise ModelError(log.reason())
    held = (api.llama_adapter_lora_p_ctypes * 1)(handle)
    if api.llama_set_adapters_lora(context, held, 1, (ctypes.c_float * 1)(1.0)) != 0:
        raise ModelError("its adapter could not be put in force")


def _ids(api: Any, vocab: Any, text: str) -> list[int]:
    data = text.encode()
    room = len(data) + _SPARE
    buffer = (ctypes.c_int32 * room)()
    count: int = api.llama_tokenize(vocab, data, len(data), buffer, room, False, True)
    if count < 0:
        raise ModelError(f"llama.cpp could not tokenise {len(data)} bytes")
    return list(buffer[:count])


def _logits(api: Any, context: Any, ids: list[int], size: int) -> NDArray[np.float32]:
    """T x V, of a conversation that begins with `ids`."""
    api.llama_memory_clear(api.llama_get_memory(context), True)
    batch = api.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place] = token, place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = 1
        if api.llama_decode(context, batch) != 0:
            raise ModelError("llama.cpp could not evaluate the prompts")
        shape = (len(ids), size)
        return np.ctypeslib.as_array(api.llama_get_logits(context), shape).copy()
    finally:
        api.llama_batch_free(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
