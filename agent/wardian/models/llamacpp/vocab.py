"""A model's vocabulary: text ↔ token ids, and which tokens are not text."""

import ctypes
from collections.abc import Sequence
from typing import Any

from wardian.models.families import MARKERS

_PIECE_BYTES = 4096


class Vocabulary:
    """Belongs to one thread, but for `all_pieces`."""

    def __init__(self, api: Any, vocab: int) -> None:
        self.api = api
        self.handle = vocab
        self.size: int = api.llama_vocab_n_tokens(vocab)
        control, user = api.LLAMA_TOKEN_ATTR_CONTROL, api.LLAMA_TOKEN_ATTR_USER_DEFINED
        attributes: list[int] = [api.llama_vocab_get_attr(vocab, i) for i in range(self.size)]
        self._pieces: dict[int, bytes] = {}
        self._room = _room()
        self.control = {
            self.piece(i).decode(errors="replace"): i
            for i, a in enumerate(attributes)
            if a & control
        }
        """Spelling → id of tokens that are never text."""
        self.user_defined = {
            self.piece(i).decode(errors="replace"): i for i, a in enumerate(attributes) if a & user
        }
        """Spelling → id of tokens added by name, such as `<tool_call>`."""
        self.ends = frozenset(
            i
            for i, a in enumerate(attributes)
            if a & (control | user) and api.llama_vocab_is_eog(vocab, i)
        ) | {e for e in (api.llama_vocab_eos(vocab),) if e >= 0}
        """Ids that end a reply."""
        bos: int = api.llama_vocab_bos(vocab)
        eos: int = api.llama_vocab_eos(vocab)
        self.bos = self.piece(bos).decode(errors="replace") if bos >= 0 else ""
        self.eos = self.piece(eos).decode(errors="replace") if eos >= 0 else ""
        self._starts_with_bos = bos if bos >= 0 and api.llama_vocab_get_add_bos(vocab) else None

    def piece(self, token: int) -> bytes:
        """The token's bytes; of a control token, its spelling."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._read_piece(token)
        return found

    def named(self, spelling: str) -> int | None:
        """The id of the one token spelled so, if there is one."""
        return self.user_defined.get(spelling, self.control.get(spelling))

    def guarded_spellings(self, template: str) -> set[str]:
        """What no text of a message may become: control tokens, and those the template writes.

        Other added tokens (runs of blanks, HTML tags) are text, and stay one token in text.
        """
        written = {s for s in self.user_defined if s in template or s in MARKERS}
        return {s for s in self.control if len(s) > 1} | {s for s in written if len(s) > 1}

    def encode(self, pieces: Sequence[str], *, first: bool) -> list[int]:
        """Each piece by itself, control tokens recognised; `first` puts BOS where it belongs."""
        ids: list[int] = []
        begins_with_bos = bool(pieces) and pieces[0].startswith(self.bos)
        if first and self._starts_with_bos is not None and not begins_with_bos:
            ids.append(self._starts_with_bos)
        for piece in pieces:
            ids += self._encode(piece.encode(errors="replace"))
        return ids

    def _encode(self, text: bytes) -> list[int]:
        room = len(text) + 8
        buffer = (ctypes.c_int32 * room)()
        count: int = self.api.llama_tokenize(
            self.handle, text, len(text), buffer, room, False, True
        )
        if count < 0:
            raise ValueError(f"llama.cpp could not tokenise {len(text)} bytes")
        return buffer[:count]

    def _read_piece(self, token: int) -> bytes:
        room = _PIECE_BYTES
        length: int = self.api.llama_token_to_piece(self.handle, token, self._room, room, 0, True)
        return ctypes.string_at(self._room, length) if length > 0 else b""

    def all_pieces(self) -> list[bytes]:
        """Of every token, in order. May run beside the rest: it has room of its own."""
        read, handle, room = self.api.llama_token_to_piece, self.handle, _room()
        pieces: list[bytes] = []
        for token in range(self.size):
            length: int = read(handle, token, room, _PIECE_BYTES, 0, True)
            pieces.append(ctypes.string_at(room, length) if length > 0 else b"")
        return pieces


def _room() -> Any:
    return ctypes.create_string_buffer(_PIECE_BYTES)
