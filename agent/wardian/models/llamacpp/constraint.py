"""Follows one reply and says which tokens may come next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.models.families import HERMES, Family
from wardian.models.llamacpp.grammar import Grammar, GrammarMaker
from wardian.models.llamacpp.vocab import Vocabulary


class Constraint:
    """Free until the reply opens a call; then its grammar, to the call's end; then free again.

    With a schema for the answer, or where a call is demanded, in force from the first token on,
    after reasoning, if the model begins with it.
    """

    def __init__(
        self,
        maker: Callable[[], GrammarMaker],
        vocabulary: Vocabulary,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        schema: Mapping[str, Any] | None = None,
        family: Family = HERMES,
        must_call: bool = False,
        thinking: bool = False,
    ) -> None:
        """`maker` is called when first needed. `thinking`: the prompt ends inside reasoning."""
        self._maker = maker
        self._vocabulary = vocabulary
        self._tools = tools
        self._schema = None if must_call and tools else schema
        self._family = family
        self._thinking = thinking
        self._tail = b""
        self._said = b""
        """What was written at the beginning, as long as it may be a call without a marker."""
        self._may_be_bare = bool(tools and family.bare_opens)
        self._trigger = family.trigger.encode()
        self._matcher: Any = None
        self._reasoning = [(o.encode(), c.encode()) for o, c in family.reasoning]
        self._opens = [o for o, _ in self._reasoning]
        self._closes = self._reasoning[0][1]
        markers = (self._trigger, *(m for pair in self._reasoning for m in pair))
        self._tail_bytes = max(map(len, markers)) - 1
        """How much of a marker may have been written without being one yet."""
        self._may_think = {
            token: closes.encode()
            for opens, closes in family.reasoning
            if (token := vocabulary.named(opens)) is not None
        }
        """A model that reasons may begin its reply with one of these instead of the grammar."""
        self.sha256 = ""
        """Of the last grammar that was in force."""
        self._whole = schema is not None or (must_call and bool(tools))
        if self._whole and not thinking:
            self._begin_whole()

    @property
    def in_force(self) -> bool:
        return self._matcher is not None

    def mask(self, logits: NDArray[np.float32]) -> bool:
        """Put what must not come out of reach; False where all may."""
        packed = self._packed()
        if packed is None:
            return False
        self._maker().masks.forbid(logits, packed)
        return True

    def allows(self, token: int) -> bool:
        packed = self._packed()
        return packed is None or bool(packed[token // 8] >> token % 8 & 1)

    def _packed(self) -> bytes | None:
        """One bit a token of the vocabulary, the lowest first; None where all are allowed."""
        if self._matcher is None:
            return None
        packed: bytes = self._matcher.compute_bitmask()
        if self._matcher.is_error() or packed == bytes(len(packed)):
            self._matcher, self._whole = None, False
            return None
        if self._whole and self._may_think:
            more = bytearray(packed)
            for token in self._may_think:
                more[token // 8] |= 1 << token % 8
            packed = bytes(more)
        return packed

    def take(self, token: int) -> bool:
        """Follow the token; False where it must not come, and another is to be chosen."""
        if token in self._vocabulary.ends:
            return True
        if self._matcher is None:
            return self._watch(self._vocabulary.piece(token))
        if self._whole and token in self._may_think and not self._matcher.consume_token(token):
            self._matcher, self._thinking = None, True
            self._closes = self._may_think[token]
        elif self._matcher.is_error() or not self._matcher.consume_token(token):
            return False
        elif not self._whole and self._matcher.is_stopped():
            self._matcher = None
        self._may_think = {}
        return True

    def _watch(self, piece: bytes) -> bool:
        """Outside a call: look for what opens one, and for reasoning, where nothing does."""
        if self._may_be_bare and not self._thinking and not self._watch_bare(piece):
            return False
        if self._matcher is not None:
            return True
        rest, trigger = self._tail + piece, self._trigger
        while True:
            wanted = [self._closes] if self._thinking else [*self._opens, trigger]
            at, opened = min(((rest.find(w), w) for w in wanted if w in rest), default=(-1, b""))
            if at < 0:
                break
            rest = rest[at + len(opened) :]
            if opened == trigger:
                if self._tools:
                    return self._begin_call(rest)
            elif self._thinking:
                self._thinking, self._tail = False, rest
                if self._whole:
                    self._begin_whole()
                    return True
            else:
                self._thinking = True
                self._closes = next(c for o, c in self._reasoning if o == opened)
        self._tail = rest[-self._tail_bytes :]
        return True

    def _watch_bare(self, piece: bytes) -> bool:
        """At the beginning of a reply: does it begin as a call without a marker does?"""
        said = (self._said + piece).lstrip()
        opens = self._family.bare_opens.encode()
        if said.startswith(opens):
            self._may_be_bare = False
            return self._begin_call(said)
        self._said, self._may_be_bare = said, opens.startswith(said)
        return True

    def _begin_call(self, rest: bytes) -> bool:
        maker = self._maker()
        grammar = maker.call_body(self._tools, self._family)
        matcher = grammar.matcher()
        if matcher.is_error():
            return True
        if rest and not matcher.consume_tokens(maker.tokenizer.tokenize_bytes(rest)):
            return False
        self._hold(grammar, matcher)
        return True

    def _begin_whole(self) -> None:
        grammar = self._maker().whole_reply(self._tools, self._schema, self._family)
        self._hold(grammar, grammar.matcher())

    def _hold(self, grammar: Grammar, matcher: Any) -> None:
        self._matcher, self._tail, self.sha256 = matcher, b"", grammar.sha256
