"""The KV cache: which tokens of which conversation llama.cpp has evaluated already.

One context, one owner thread, one unified cache. Each conversation has a sequence in it; of a
prompt only what follows the longest common prefix is evaluated. A new conversation begins with a
copy (of references, not of cells) of the longest prefix any other one shares with it. When the
cache is full, the conversation unused for longest makes room and will be evaluated again.

Recurrent and hybrid models cannot drop part of a sequence; theirs is cleared and evaluated again.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardian.models.llamacpp.load import BATCH_TOKENS, Loaded
from wardian.models.llamacpp.vocab import Vocabulary

ABORT_CHECK_TOKENS = 32
"""Evaluating more than this at once can be interrupted inside llama.cpp; below, it is one token's
work and the check, a Python call per graph node, would cost more than it saves."""
_ABORTED, _NO_ROOM = 2, 1


class EngineFailed(Exception):
    """llama.cpp could not evaluate; the cache is empty again."""


class Interrupted(Exception):
    """`should_stop` said so."""


@dataclass(slots=True)
class _Sequence:
    number: int
    conversation: str | None = None
    cells: list[int] = field(default_factory=list[int])
    """Ids evaluated, in order."""
    used: int = 0
    """When, in the engine's own count of requests."""


class Engine:
    """Evaluates tokens and gives the logits of the last one."""

    def __init__(self, loaded: Loaded) -> None:
        api = loaded.api
        self._loaded = loaded
        self._api = api
        self._context = loaded.context
        self._memory = api.llama_get_memory(loaded.context)
        self._batch = api.llama_batch_init(BATCH_TOKENS, 0, 1)
        self._sequences = [_Sequence(i) for i in range(api.llama_n_seq_max(loaded.context))]
        self._clock = 0
        self._stop: Callable[[], bool] = _never
        self._abort = api.ggml_abort_callback(self._is_stopped)
        self._no_abort = api.ggml_abort_callback()
        self.vocabulary = Vocabulary(api, loaded.vocab)
        self._logits = np.empty(self.vocabulary.size, np.float32)
        self.context_tokens: int = api.llama_n_ctx(loaded.context)
        self.trained_context_tokens: int = api.llama_model_n_ctx_train(loaded.model)

    def evaluate(self, conversation: str, ids: list[int], should_stop: Callable[[], bool]) -> int:
        """Make the cache hold exactly `ids`; how many of them it held already.

        Raises: EngineFailed, Interrupted.
        """
        sequence = self._sequence(conversation, ids)
        kept = min(_common(sequence.cells, ids), len(ids) - 1)
        if kept < len(sequence.cells) and not self._cut(sequence, kept):
            kept = 0
        many = len(ids) - kept > ABORT_CHECK_TOKENS
        self._stop = should_stop
        if many:
            self._api.llama_set_abort_callback(self._context, self._abort, None)
        try:
            for start in range(kept, len(ids), BATCH_TOKENS):
                if should_stop():
                    raise Interrupted
                end = min(start + BATCH_TOKENS, len(ids))
                self._decode(sequence, ids[start:end], last=end == len(ids))
        finally:
            if many:
                self._api.llama_set_abort_callback(self._context, self._no_abort, None)
        return kept

    def append(self, conversation: str, token: int) -> None:
        """Evaluate one more token of the conversation evaluated last. Raises: EngineFailed."""
        sequence = next(s for s in self._sequences if s.conversation == conversation)
        self._stop = _never
        self._decode(sequence, (token,), last=True)

    def logits(self) -> NDArray[np.float32]:
        """One number a token of the vocabulary; free to change, good until the next call."""
        pointer = self._api.llama_get_logits_ith(self._context, -1)
        if not pointer:
            raise EngineFailed("llama.cpp has no logits for the last token")
        ctypes.memmove(self._logits.ctypes.data, pointer, self._logits.nbytes)
        return self._logits

    def _decode(self, sequence: _Sequence, ids: Sequence[int], *, last: bool) -> None:
        self._fill(sequence, ids, last=last)
        status: int = self._api.llama_decode(self._context, self._batch)
        while status == _NO_ROOM and self._make_room(sequence):
            status = self._api.llama_decode(self._context, self._batch)
        if status == 0:
            sequence.cells.extend(ids)
            return
        if status == _ABORTED:
            self._cut(sequence, len(sequence.cells))
            raise Interrupted
        self._clear()
        raise EngineFailed(f"llama.cpp could not evaluate {len(ids)} tokens (status {status})")

    def _fill(self, sequence: _Sequence, ids: Sequence[int], *, last: bool) -> None:
        batch, position = self._batch, len(sequence.cells)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence.number
            batch.logits[i] = 0
        batch.logits[len(ids) - 1] = last

    def _is_stopped(self, _: object) -> bool:
        return self._stop()

    def _sequence(self, conversation: str, ids: list[int]) -> _Sequence:
        self._clock += 1
        for sequence in self._sequences:
            if sequence.conversation == conversation:
                sequence.used = self._clock
                return sequence
        free = min(self._sequences, key=lambda s: (s.conversation is not None, s.used))
        if free.conversation is not None:
            self._cut(free, 0)
        likest = max(self._sequences, key=lambda s: _common(s.cells, ids))
        shared = _common(likest.cells, ids)
        if likest is not free and shared and self._can_share(likest, shared):
            self._api.llama_memory_seq_cp(self._memory, likest.number, free.number, 0, shared)
            free.cells = likest.cells[:shared]
        free.conversation, free.used = conversation, self._clock
        return free

    def _can_share(self, sequence: _Sequence, shared: int) -> bool:
        """A recurrent state stands for the whole sequence: it cannot be copied in part."""
        model = self._loaded.model
        whole = self._api.llama_model_is_recurrent(model) or self._api.llama_model_is_hybrid(model)
        return not whole or shared == len(sequence.cells)

    def _cut(self, sequence: _Sequence, kept: int) -> bool:
        """Drop all cells from `kept` on; False where all had to go."""
        if self._api.llama_memory_seq_rm(self._memory, sequence.number, kept, -1):
            del sequence.cells[kept:]
            return True
        self._api.llama_memory_seq_rm(self._memory, sequence.number, -1, -1)
        sequence.cells.clear()
        return False

    def _make_room(self, wanting: _Sequence) -> bool:
        others = [s for s in self._sequences if s is not wanting and s.cells]
        if not others:
            return False
        oldest = min(others, key=lambda s: s.used)
        self._cut(oldest, 0)
        oldest.conversation = None
        return True

    def _clear(self) -> None:
        self._api.llama_memory_clear(self._memory, True)
        for sequence in self._sequences:
            sequence.conversation, sequence.cells = None, []


def _never() -> bool:
    return False


def _common(one: list[int], other: list[int]) -> int:
    """Length of the longest common prefix."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return shorter
    return next(i for i in range(shorter) if one[i] != other[i])
