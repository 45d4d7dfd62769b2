"""The unified KV cache: which tokens of which conversation llama.cpp has evaluated already.

Each conversation has a sequence. A new one begins with a copy (of references, not of cells) of the
longest prefix that any sequence shares with it; what system message and tools come to has a
sequence of its own, which is given up last. Where sequences or cells run out, the conversation
unused for longest makes room, and its state is kept in memory where that is cheap.

Recurrent and hybrid models cannot drop part of a sequence. Theirs begins again at a snapshot of the
recurrent state: one where system message and tools end, one before the last token of a prompt.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from typing import Any

from wardian.models.llamacpp.common import common_length
from wardian.models.llamacpp.load import CACHE_SHARE, Loaded
from wardian.models.llamacpp.memory import MIB, available_bytes

MAX_CHECKPOINTS = 4
MAX_SNAPSHOTS = 6
MAX_SAVED_BYTES = 1024 * MIB
WORTH_SAVING_TOKENS = 64
_WHOLE, _PARTIAL = 0, 1
"""`LLAMA_STATE_SEQ_FLAGS_*`: all of a sequence's state, or what cannot be cut (the recurrent)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A recurrent state after `length` tokens."""

    length: int
    state: Any
    lasting: bool
    """A later request is likely to begin again here."""


@dataclass(slots=True, eq=False)
class Sequence:
    number: int
    conversation: str = ""
    """Empty: what it holds is good for its prefix only."""
    cells: list[int] = field(default_factory=list[int])
    """Ids evaluated, in order."""
    snapshots: list[Snapshot] = field(default_factory=list[Snapshot])
    used: int = 0
    """When, in the cache's own count."""
    busy: bool = False
    checkpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    cells: list[int]
    snapshots: list[Snapshot]
    state: Any


class Cache:
    """Belongs to the engine's thread."""

    def __init__(self, loaded: Loaded) -> None:
        self._api = loaded.api
        self._context = loaded.context
        self._memory = self._api.llama_get_memory(loaded.context)
        self._keeps_state = loaded.keeps_state
        self._sequences = [Sequence(i) for i in range(self._api.llama_n_seq_max(loaded.context))]
        self._clock = 0
        self._saved: OrderedDict[str, _Saved] = OrderedDict()
        self._saved_bytes = 0
        self._room_bytes = min(MAX_SAVED_BYTES, (available_bytes() or 0) // (2 * CACHE_SHARE))
        self.evictions = 0

    def claim(self, conversation: str, ids: list[int]) -> Sequence | None:
        """A sequence that holds the longest reusable prefix of `ids`, short of the last one.

        None where all sequences are busy.
        """
        self._clock += 1
        sequence = self._own(conversation)
        if sequence is None:
            return None
        best = max(self._sequences, key=lambda s: (self.reusable(s, ids), s is sequence))
        length = self.reusable(best, ids)
        saved = self._saved.get(conversation) if conversation else None
        if saved is not None and common_length(saved.cells, ids) > length:
            self._drop_saved(conversation)
            if self._restore(sequence, saved):
                best, length = sequence, self.reusable(sequence, ids)
        if best is sequence:
            self.cut(sequence, length)
        else:
            self._copy(best, sequence, length)
        best.used = sequence.used = self._clock
        sequence.conversation, sequence.busy = conversation, True
        return sequence

    def reusable(self, sequence: Sequence, ids: Ordered[int]) -> int:
        """How many of `ids`, short of the last one, need not be evaluated after this sequence."""
        common = min(common_length(sequence.cells, ids), len(ids) - 1)
        if not self._keeps_state or common == len(sequence.cells):
            return common
        return max((s.length for s in sequence.snapshots if s.length <= common), default=0)

    def longest(self, ids: Ordered[int]) -> int:
        """The longest prefix of `ids` that `claim` would find, but for what is saved."""
        return max(self.reusable(s, ids) for s in self._sequences)

    def release(self, sequence: Sequence, *, forget: bool = False) -> None:
        sequence.busy = False
        if forget:
            sequence.conversation = ""

    def forget(self, conversation: str) -> None:
        """Empty the sequence of a conversation that will not go on."""
        self._drop_saved(conversation)
        for sequence in self._sequences:
            if sequence.conversation == conversation and not sequence.busy:
                self.clear(sequence)

    def cut(self, sequence: Sequence, length: int) -> None:
        """Keep the first `length` cells, or as many as a recurrent model can go back to."""
        if length == len(sequence.cells):
            return
        if self._keeps_state and length:
            self._go_back(sequence, length)
        elif self._api.llama_memory_seq_rm(self._memory, sequence.number, length, -1):
            del sequence.cells[length:]
        else:
            self.clear(sequence)
        sequence.snapshots = [s for s in sequence.snapshots if s.length <= len(sequence.cells)]

    def restart(self, sequence: Sequence) -> None:
        """After an evaluation that was broken off: what the cells hold is what they held before."""
        number, length = sequence.number, len(sequence.cells)
        if self._keeps_state:
            self._go_back(sequence, length)
        elif not self._api.llama_memory_seq_rm(self._memory, number, length, -1):
            self.clear(sequence)

    def clear(self, sequence: Sequence) -> None:
        self._api.llama_memory_seq_rm(self._memory, sequence.number, -1, -1)
        sequence.cells, sequence.snapshots = [], []
        sequence.checkpoint = False
        if not sequence.busy:
            sequence.conversation = ""

    def clear_all(self) -> None:
        self._api.llama_memory_clear(self._memory, True)
        for sequence in self._sequences:
            sequence.cells, sequence.snapshots, sequence.checkpoint = [], [], False
            sequence.conversation = sequence.conversation if sequence.busy else ""

    def snapshot(self, sequence: Sequence, *, lasting: bool) -> None:
        """Remember the recurrent state as it is now."""
        length = len(sequence.cells)
        sequence.snapshots = [s for s in sequence.snapshots if s.length != length]
        state = self._state(sequence, _PARTIAL)
        if state is None:
            return
        sequence.snapshots.append(Snapshot(length=length, state=state, lasting=lasting))
        sequence.snapshots.sort(key=lambda s: s.length)
        each = self._room_bytes // (len(self._sequences) * max(1, len(state)))
        if len(sequence.snapshots) > max(2, min(MAX_SNAPSHOTS, each)):
            # The first is where system message and tools end.
            passing = (s for s in sequence.snapshots[1:-1] if not s.lasting)
            sequence.snapshots.remove(next(passing, sequence.snapshots[1]))

    def checkpoint(self, sequence: Sequence, length: int) -> None:
        """Give the first `length` cells a sequence of their own, that outlives the conversation."""
        prefix = sequence.cells[:length]
        kept = [s for s in self._sequences if s.checkpoint]
        if any(s.cells == prefix for s in kept):
            return
        free = next((s for s in self._sequences if not s.cells and not s.busy), None)
        if len(kept) >= MAX_CHECKPOINTS:
            free = min(kept, key=lambda s: s.used)
        if free is None:
            return
        self._copy(sequence, free, length)
        free.conversation, free.checkpoint, free.used = "", True, self._clock

    def make_room(self) -> bool:
        """Empty the idle sequence that is least likely to be asked for again."""
        idle = [s for s in self._sequences if s.cells and not s.busy]
        if not idle:
            return False
        oldest = min(idle, key=_value)
        self._give_up(oldest)
        self.clear(oldest)
        return True

    def _own(self, conversation: str) -> Sequence | None:
        free = [s for s in self._sequences if not s.busy]
        for sequence in free:
            if conversation and sequence.conversation == conversation:
                return sequence
        chosen = min(free, key=lambda s: (bool(s.cells), *_value(s)), default=None)
        if chosen is not None and (chosen.conversation or chosen.checkpoint):
            self._give_up(chosen)
        return chosen

    def _give_up(self, sequence: Sequence) -> None:
        """Another may have it; what it holds may still begin that one's prompt."""
        self.evictions += 1
        if sequence.conversation:
            self._save(sequence)
        sequence.conversation, sequence.checkpoint = "", False

    def _copy(self, source: Sequence, target: Sequence, length: int) -> None:
        self.clear(target)
        if not length:
            return
        numbers = source.number, target.number
        if not self._keeps_state:
            self._api.llama_memory_seq_cp(self._memory, *numbers, 0, length)
            target.cells = source.cells[:length]
            return
        self._api.llama_memory_seq_cp(self._memory, *numbers, -1, -1)
        target.cells, target.snapshots = source.cells[:], source.snapshots[:]
        self.cut(target, length)

    def _go_back(self, sequence: Sequence, length: int) -> None:
        """To the longest snapshot of at most `length` tokens."""
        found = [s for s in sequence.snapshots if s.length <= length]
        if not found or not self._set_state(sequence, found[-1].state, _PARTIAL):
            self.clear(sequence)
            return
        length = found[-1].length
        if self._api.llama_memory_seq_rm(self._memory, sequence.number, length, -1):
            del sequence.cells[length:]
        else:
            self.clear(sequence)

    def _save(self, sequence: Sequence) -> None:
        """Keep the state of an evicted conversation in memory, up to `_room_bytes` in all."""
        if len(sequence.cells) < WORTH_SAVING_TOKENS:
            return
        state = self._state(sequence, _WHOLE)
        if state is None:
            return
        saved = _Saved(cells=sequence.cells[:], snapshots=sequence.snapshots, state=state)
        self._drop_saved(sequence.conversation)
        self._saved[sequence.conversation] = saved
        self._saved_bytes += len(state)
        while self._saved_bytes > self._room_bytes:
            self._drop_saved(next(iter(self._saved)))

    def _restore(self, sequence: Sequence, saved: _Saved) -> bool:
        """Bring back what an evicted conversation had evaluated."""
        self.clear(sequence)
        sequence.busy = True
        while not (restored := self._set_state(sequence, saved.state, _WHOLE)):
            self.clear(sequence)
            if not self.make_room():
                break
        if restored:
            sequence.cells, sequence.snapshots = saved.cells, saved.snapshots
        return restored

    def _drop_saved(self, conversation: str) -> None:
        dropped = self._saved.pop(conversation, None)
        if dropped is not None:
            self._saved_bytes -= len(dropped.state)

    def _state(self, sequence: Sequence, flags: int) -> Any:
        """None where it is larger than all that may be kept."""
        number = sequence.number
        size: int = self._api.llama_state_seq_get_size_ext(self._context, number, flags)
        if not size or size > self._room_bytes:
            return None
        room = (ctypes.c_uint8 * size)()
        written = self._api.llama_state_seq_get_data_ext(self._context, room, size, number, flags)
        return room if written == size else None

    def _set_state(self, sequence: Sequence, state: Any, flags: int) -> bool:
        size = len(state)
        read = self._api.llama_state_seq_set_data_ext(
            self._context, state, size, sequence.number, flags
        )
        return bool(read)


def _value(sequence: Sequence) -> tuple[bool, bool, int]:
    """Low for what is given up first: anonymous ones, then the oldest, checkpoints last."""
    return sequence.checkpoint, bool(sequence.conversation), sequence.used
