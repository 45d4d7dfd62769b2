"""Checks recorded token ids inside the child: is this what the file's template and vocabulary give?

No weights are loaded. A prompt is rendered from its messages anew, and its ids are put together as
they were when it was asked: those of the conversation so far, and those of what was added; or all
of them from the text, as they are for a process that does not know the conversation.
"""

import codecs
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Any, Protocol

from wardian.models.llamacpp.load import Loaded
from wardian.models.llamacpp.rendering import Refused, renderer
from wardian.models.llamacpp.transcript import Transcript, Transcripts
from wardian.models.llamacpp.vocab import Vocabulary
from wardian.models.template import pieces

SHOWN_TOKENS = 12


class Line(Protocol):
    """The other end, which asks."""

    def next(self, *, wait: bool) -> dict[str, Any] | None: ...

    def send(self, message: dict[str, Any]) -> None: ...

    def flush(self) -> None: ...


class Checker:
    """One vocabulary, and the conversations that are checked with it."""

    def __init__(
        self,
        loaded: Loaded,
        bounded: Callable[[], AbstractContextManager[None]],
        too_slow: type[BaseException],
    ) -> None:
        self._vocabulary = Vocabulary(loaded.api, loaded.vocab)
        self._renderer = renderer(loaded, self._vocabulary, bounded, too_slow)
        self._transcripts = Transcripts(self._vocabulary)
        self._ids: dict[str, Sequence[int]] = {}
        """Of each conversation, as recorded so far."""

    def serve(self, line: Line) -> None:
        """Answer until the line is closed."""
        line.send({"id": 0, "loaded": {}})
        while True:
            line.flush()
            request = line.next(wait=True)
            assert request is not None
            try:
                line.send({"id": request["id"], "checked": self.check(request)})
            except Refused as e:
                line.send({"id": request["id"], "failed": e.args[0], "cause": str(e.args[1])})

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        """`at`: the first id of the prompt that is not what it should be, None if all are.

        Raises: Refused.
        """
        conversation: str = request["conversation"]
        before = self._ids.get(conversation, ())
        recorded = [*before[: request["kept"]], *request["suffix"]]
        rendered = self._renderer.render(request["messages"], request["tools"])
        parts = pieces(rendered)
        again = self._transcripts.prompt_ids(conversation, rendered).ids
        fresh = self._vocabulary.encode(parts, first=True)
        at, expected = max(
            ((_parting(recorded, ids), ids) for ids in (again, fresh)),
            key=lambda found: float("inf") if found[0] is None else found[0],
        )
        if request["kept"] > len(before):
            at = len(before)  # it goes on from what nobody recorded
        sampled: list[int] = request["sampled"]
        generated, end = self._spelt(sampled)
        self._ids[conversation] = (*recorded, *sampled)
        transcript = Transcript(
            prompt="".join(parts), generated=generated, end=end, ids=(*recorded, *sampled)
        )
        self._transcripts.keep(conversation, conversation, transcript)
        return {
            "at": at,
            "recorded": "" if at is None else self._text(recorded[at : at + SHOWN_TOKENS]),
            "rendered": "" if at is None else self._text(expected[at : at + SHOWN_TOKENS]),
            "same_text": self._text(recorded) == self._text(fresh),
            "prompt_tokens": len(recorded),
            "generated": generated,
            "family": self._renderer.family.name,
            "thinking": self._renderer.family.is_thinking(rendered),
        }

    def _spelt(self, sampled: Sequence[int]) -> tuple[str, str]:
        """The text of a reply, and that of the control token which ended it."""
        ended = bool(sampled) and sampled[-1] in self._vocabulary.ends
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = "".join(
            decoder.decode(self._vocabulary.piece(token))
            for token in (sampled[:-1] if ended else sampled)
        )
        end = self._vocabulary.piece(sampled[-1]).decode(errors="replace") if ended else ""
        return text, end

    def _text(self, ids: Sequence[int]) -> str:
        return b"".join(map(self._vocabulary.piece, ids)).decode(errors="replace")


def _parting(one: Sequence[int], other: Sequence[int]) -> int | None:
    """The first place at which they differ."""
    pairs = enumerate(zip_longest(one, other))
    return next((at for at, (a, b) in pairs if a != b), None)
