"""Token in, token out: the next prompt is the recorded ids and the ids of what was added.

A conversation's text is tokenised once. What the model itself wrote keeps the ids it was sampled
with, even where its spelling would tokenise differently. Only where the template changes earlier
text (several drop old reasoning after a new user message) is all of it tokenised again.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from wardian.models.llamacpp.vocab import Vocabulary
from wardian.models.template import pieces

MAX_TRANSCRIPTS = 256

_SEAMS = re.compile(r"\s*(</?tool_call>|</?think>)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A prompt and what was sampled after it."""

    prompt: str
    generated: str
    """Without the text of `end`."""
    end: str
    """Text of the control token that ended the reply; empty where a limit did."""
    ids: tuple[int, ...]
    """Prompt and completion."""


class Transcripts:
    """The last reply of each conversation. The nameless conversation is not remembered."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._by_conversation: OrderedDict[str, Transcript] = OrderedDict()

    def keep(self, conversation: str, transcript: Transcript) -> None:
        if conversation:
            self._by_conversation[conversation] = transcript
            self._by_conversation.move_to_end(conversation)
            if len(self._by_conversation) > MAX_TRANSCRIPTS:
                self._by_conversation.popitem(last=False)

    def prompt_ids(self, conversation: str, rendered: str) -> tuple[list[int], int]:
        """The ids of the prompt, and how many of the last transcript's stand unchanged in it."""
        parts = pieces(rendered)
        last = self._by_conversation.get(conversation)
        if last is None:
            return self._vocabulary.encode(parts, first=True), 0
        begin = _end_of(last, "".join(parts), _seams_of(parts))
        if begin is not None:
            added = self._vocabulary.encode(_from(parts, begin), first=False)
            return [*last.ids, *added], len(last.ids)
        ids = self._vocabulary.encode(parts, first=True)
        return ids, _common(last.ids, ids)


def _end_of(last: Transcript, text: str, seams: frozenset[int]) -> int | None:
    """Where in the new prompt's text the last prompt and completion end; None if they changed."""
    if not text.startswith(last.prompt):
        return None
    begin = len(last.prompt)
    whole = last.generated + last.end
    if text.startswith(whole, begin):
        return begin + len(whole)
    if not last.end:
        return None
    at = text.find(last.end, begin)
    while at >= 0 and any(at < s < at + len(last.end) for s in seams):
        at = text.find(last.end, at + 1)
    if at < 0 or _without_blanks(text[begin:at]) != _without_blanks(last.generated):
        return None
    return at + len(last.end)


def _without_blanks(text: str) -> str:
    """Blanks around the markers are the template's taste; the recorded ids keep the model's."""
    return _SEAMS.sub(r"\1", text).strip()


def _seams_of(parts: Sequence[str]) -> frozenset[int]:
    at, found = 0, list[int]()
    for part in parts:
        at += len(part)
        found.append(at)
    return frozenset(found)


def _from(parts: Sequence[str], begin: int) -> list[str]:
    """The parts of the text from `begin` on."""
    kept: list[str] = []
    for part in parts:
        if begin < len(part):
            kept.append(part[max(begin, 0) :])
        begin -= len(part)
    return kept


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
