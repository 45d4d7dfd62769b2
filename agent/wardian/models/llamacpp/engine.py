"""Evaluates the tokens of several conversations in shared batches.

One context, one owner thread. A `Work` is a list of ids that the cache is to catch up with: while a
prompt is read, by hundreds at a time; while a reply is written, by one. Each step evaluates what
all of them have open, those that write first, and gives the logits of those that have caught up.

Work that begins with what another is just reading waits for it and takes a copy. Where the cache is
full even without idle conversations, the work begun last is set back, and read again later.
"""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.models.llamacpp.cache import Cache
from wardian.models.llamacpp.cache import Sequence as CacheSequence
from wardian.models.llamacpp.common import common_length
from wardian.models.llamacpp.load import BATCH_TOKENS, Loaded
from wardian.models.llamacpp.vocab import Vocabulary

ABORT_CHECK_TOKENS = 32
"""Evaluating more than this at once can be interrupted inside llama.cpp; below, it is one token's
work and the check, a Python call per graph node, would cost more than it saves."""
SHARED_AT_LEAST_TOKENS = 8
"""A shorter common prefix is not worth waiting for."""
_DONE, _NO_ROOM, _ABORTED = 0, 1, 2


class EngineFailed(Exception):
    """llama.cpp could not evaluate; the cache is empty again."""


@dataclass(slots=True, eq=False)
class Work:
    """Ids on their way into the cache."""

    conversation: str
    """Empty for none: only what is the same for all conversations is kept of it."""
    ids: list[int]
    """The prompt, then what is sampled."""
    should_stop: Callable[[], bool]
    prefix_tokens: int = 0
    """How far the prompt is the same in every conversation; 0 where that is not known."""
    lasting: bool = False
    """A later request may change what follows this prompt."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those that were not evaluated again."""
    evaluated_tokens: int = 0
    sequence: CacheSequence | None = None
    set_back: bool = False
    row: int = field(default=-1)

    @property
    def open_tokens(self) -> int:
        return len(self.ids) - (len(self.sequence.cells) if self.sequence else 0)


class Engine:
    """Belongs to one thread."""

    def __init__(self, loaded: Loaded) -> None:
        api = loaded.api
        self._api = api
        self._context = loaded.context
        self._keeps_state = loaded.keeps_state
        self._batch = _Batch(api)
        self._reading: list[Work] = []
        self._abort = api.ggml_abort_callback(self._is_stopped)
        self._no_abort = api.ggml_abort_callback()
        self._rows: NDArray[np.float32] | None = None
        self._rows_at = 0
        self.cache = Cache(loaded)
        self.vocabulary = Vocabulary(api, loaded.vocab)
        self.context_tokens = loaded.context_tokens
        self.trained_context_tokens: int = api.llama_model_n_ctx_train(loaded.model)
        self.sequences: int = api.llama_n_seq_max(loaded.context)
        self.cells: int = api.llama_n_ctx(loaded.context)
        self.device = loaded.device

    def work(
        self,
        conversation: str,
        ids: list[int],
        should_stop: Callable[[], bool],
        *,
        prefix_tokens: int = 0,
        lasting: bool = False,
    ) -> Work:
        return Work(
            conversation,
            ids[:],
            should_stop,
            prefix_tokens=prefix_tokens,
            lasting=lasting,
            prompt_tokens=len(ids),
        )

    def step(self, works: Sequence[Work]) -> list[Work]:
        """Evaluate a batch of what is open; those whose logits are there now.

        None of them where an evaluation was stopped. Raises: EngineFailed.
        """
        while planned := self._plan(works):
            status = self._decode(planned)
            if status == _DONE:
                return self._take_in(planned)
            if status == _ABORTED:
                for work, _ in planned:
                    assert work.sequence is not None
                    self.cache.restart(work.sequence)
                return []
            if status != _NO_ROOM or not self._make_room(planned):
                self._give_up(works)
                count = sum(many for _, many in planned)
                raise EngineFailed(f"llama.cpp could not evaluate {count} tokens ({status})")
        return []

    def logits(self, work: Work) -> NDArray[np.float32]:
        """One number a token of the vocabulary; free to change, good until the next step."""
        pointer = self._api.llama_get_logits(self._context)
        if not pointer or work.row < 0:
            raise EngineFailed("llama.cpp has no logits for the last token")
        address = ctypes.addressof(pointer.contents)
        if self._rows is None or address != self._rows_at:
            shape = (self.sequences, self.vocabulary.size)
            self._rows, self._rows_at = np.ctypeslib.as_array(pointer, shape), address
        row: NDArray[np.float32] = self._rows[work.row]
        return row

    def finish(self, work: Work, *, forget: bool = False) -> None:
        """The work is over. A conversation's cache stays for what comes next, unless `forget`;
        what belongs to none is emptied, since attention reads every cell in use."""
        sequence, work.sequence = work.sequence, None
        if sequence is not None:
            self.cache.release(sequence, forget=forget)
            if not work.conversation:
                self.cache.clear(sequence)

    def _plan(self, works: Sequence[Work]) -> list[tuple[Work, int]]:
        """How many tokens of which work come next."""
        planned: list[tuple[Work, int]] = []
        left = int(BATCH_TOKENS)
        for work in sorted(works, key=lambda w: w.sequence is None or w.open_tokens > 1):
            if left == 0 or len(planned) == self.sequences:
                break
            if work.sequence is None and not self._admit(work, works):
                continue
            count = min(left, work.open_tokens, self._to_next_mark(work))
            if count:
                planned.append((work, count))
                left -= count
        return planned

    def _admit(self, work: Work, works: Iterable[Work]) -> bool:
        """Give the work a sequence, unless it has to wait for one or for a prefix."""
        if work.set_back or self._waits(work, works):
            return False
        work.sequence = self.cache.claim(work.conversation, work.ids)
        if work.sequence is None:
            return False
        if not work.evaluated_tokens:
            work.cached_tokens = len(work.sequence.cells)
        return True

    def _waits(self, work: Work, works: Iterable[Work]) -> bool:
        """Is another just reading what this one begins with?"""
        here = self.cache.longest(work.ids) + SHARED_AT_LEAST_TOKENS
        for other in works:
            if other is work or other.sequence is None or other.open_tokens <= 1:
                continue
            if len(other.sequence.cells) < self._shared(work, other) and (
                self._shared(work, other) >= here
            ):
                return True
        return False

    def _shared(self, work: Work, other: Work) -> int:
        """How long a prefix the first could take over once the second has read it."""
        common = min(common_length(work.ids, other.ids), len(work.ids) - 1)
        if not self._keeps_state:
            return common
        marks = (other.prefix_tokens, other.prompt_tokens - 1)
        return max((m for m in marks if m <= common), default=0)

    def _to_next_mark(self, work: Work) -> int:
        """A recurrent state is remembered on the way, so evaluation stops there."""
        assert work.sequence is not None
        done = len(work.sequence.cells)
        marks = (work.prefix_tokens, work.prompt_tokens - 1) if self._keeps_state else ()
        return min((m - done for m in marks if m > done), default=BATCH_TOKENS)

    def _decode(self, planned: Sequence[tuple[Work, int]]) -> int:
        self._batch.clear()
        for work, count in planned:
            assert work.sequence is not None
            begin = len(work.sequence.cells)
            ids = work.ids[begin : begin + count]
            wants_logits = begin + count == len(work.ids)
            self._batch.add(ids, begin, work.sequence.number, wants_logits=wants_logits)
        many = self._batch.count > ABORT_CHECK_TOKENS
        if many:
            self._reading = [work for work, count in planned if count > 1]
            self._api.llama_set_abort_callback(self._context, self._abort, None)
        try:
            status: int = self._api.llama_decode(self._context, self._batch.handle)
        finally:
            if many:
                self._api.llama_set_abort_callback(self._context, self._no_abort, None)
        return status

    def _take_in(self, planned: Sequence[tuple[Work, int]]) -> list[Work]:
        ready: list[Work] = []
        for work, count in planned:
            sequence = work.sequence
            assert sequence is not None
            begin = len(sequence.cells)
            sequence.cells += work.ids[begin : begin + count]
            work.evaluated_tokens += count
            work.row = -1
            if work.open_tokens == 0:
                work.row = len(ready)
                ready.append(work)
            if begin < work.prompt_tokens:
                self._remember(work, begin)
        return ready

    def _remember(self, work: Work, begin: int) -> None:
        """Keep what later requests will begin with."""
        sequence = work.sequence
        assert sequence is not None
        done = len(sequence.cells)
        if self._keeps_state and done in (work.prefix_tokens, work.prompt_tokens - 1):
            is_prefix = done == work.prefix_tokens
            self.cache.snapshot(sequence, lasting=is_prefix or work.lasting)
        reached = begin < work.prefix_tokens <= done
        if reached and work.prefix_tokens >= SHARED_AT_LEAST_TOKENS:
            self.cache.checkpoint(sequence, work.prefix_tokens)

    def _make_room(self, planned: Sequence[tuple[Work, int]]) -> bool:
        if self.cache.make_room():
            return True
        if len(planned) < 2:
            return False
        work = planned[-1][0]
        assert work.sequence is not None
        self.cache.release(work.sequence, forget=True)
        self.cache.clear(work.sequence)
        work.sequence, work.set_back = None, True
        return True

    def let_in(self, works: Iterable[Work]) -> None:
        """Something has finished: what was set back may try again."""
        for work in works:
            work.set_back = False

    def _give_up(self, works: Iterable[Work]) -> None:
        for work in works:
            self.finish(work, forget=True)
        self.cache.clear_all()

    def _is_stopped(self, _: object) -> bool:
        return any(work.should_stop() for work in self._reading)


class _Batch:
    """llama.cpp's batch, written through arrays over its memory."""

    def __init__(self, api: Any) -> None:
        self.handle = api.llama_batch_init(BATCH_TOKENS, 0, 1)
        shape = (BATCH_TOKENS,)
        self._tokens = np.ctypeslib.as_array(self.handle.token, shape)
        self._positions = np.ctypeslib.as_array(self.handle.pos, shape)
        self._wanted = np.ctypeslib.as_array(self.handle.logits, shape)
        self._sequences = np.zeros(BATCH_TOKENS, np.int32)
        np.ctypeslib.as_array(self.handle.n_seq_id, shape)[:] = 1
        pointer, width = ctypes.POINTER(ctypes.c_int32), self._sequences.itemsize
        for i in range(BATCH_TOKENS):
            address = self._sequences.ctypes.data + i * width
            self.handle.seq_id[i] = ctypes.cast(address, pointer)
        self.count = 0

    def clear(self) -> None:
        self.count = self.handle.n_tokens = 0

    def add(self, ids: Sequence[int], position: int, sequence: int, *, wants_logits: bool) -> None:
        begin, end = self.count, self.count + len(ids)
        self._tokens[begin:end] = ids
        self._positions[begin:end] = range(position, position + len(ids))
        self._sequences[begin:end] = sequence
        self._wanted[begin:end] = 0
        self._wanted[end - 1] = wants_logits
        self.count = self.handle.n_tokens = end
