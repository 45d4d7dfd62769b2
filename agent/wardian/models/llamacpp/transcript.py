"""Token in, token out: the next prompt is the recorded ids and the ids of what was added.

A conversation's text is tokenised once. What the model itself wrote keeps the ids it was sampled
with, even where its spelling would tokenise differently. Only where the template changes earlier
text (several drop old reasoning after a new user message) is all of it tokenised again.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardian.models.families import MARKERS
from wardian.models.llamacpp.common import common_length
from wardian.models.llamacpp.vocab import Vocabulary
from wardian.models.template import pieces

MAX_TRANSCRIPTS = 256

_SEAMS = re.compile(rf"\s*({'|'.join(map(re.escape, sorted(MARKERS, key=len, reverse=True)))})\s*")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptIds:
    ids: list[int]
    kept: int
    """How many of the conversation's last transcript stand unchanged in it."""
    given_up: tuple[str, ...] = ()
    """Branches of the conversation that it does not go on with."""


class Transcripts:
    """The last replies of each conversation: one, or several samples (branches) to choose from.

    The nameless conversation is not remembered.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._by_conversation: OrderedDict[str, dict[str, Transcript]] = OrderedDict()

    def keep(self, conversation: str, branch: str, transcript: Transcript) -> None:
        """The first branch is the conversation itself."""
        if not conversation:
            return
        branches = self._by_conversation.setdefault(conversation, {})
        branches[branch] = transcript
        self._by_conversation.move_to_end(conversation)
        if len(self._by_conversation) > MAX_TRANSCRIPTS:
            self._by_conversation.popitem(last=False)

    def adopt(self, conversation: str, branch: str) -> tuple[str, ...]:
        """Go on with this branch; the names of those given up."""
        branches = self._by_conversation.get(conversation, {})
        if branch not in branches:
            return ()
        self._by_conversation[conversation] = {branch: branches[branch]}
        return tuple(b for b in branches if b != branch)

    def prompt_ids(self, conversation: str, rendered: str) -> PromptIds:
        """The ids of the prompt: what is recorded of it, and what was added.

        A conversation that is not known may be the fork of one that is: the ids come from there.
        """
        parts = pieces(rendered)
        text, seams = "".join(parts), _seams_of(parts)
        branches = self._by_conversation.get(conversation, {})
        own = _best(branches.values(), text, seams)
        if own is not None:
            last, begin = own
            chosen = next(b for b, t in branches.items() if t is last)
            added = self._vocabulary.encode(_from(parts, begin), first=False)
            return PromptIds(
                ids=[*last.ids, *added],
                kept=len(last.ids),
                given_up=self.adopt(conversation, chosen),
            )
        if branches or not conversation:
            ids = self._vocabulary.encode(parts, first=True)
            kept = max((common_length(list(t.ids), ids) for t in branches.values()), default=0)
            return PromptIds(ids=ids, kept=kept)
        everywhere = (t for b in self._by_conversation.values() for t in b.values())
        forked = _best(everywhere, text, seams)
        if forked is None:
            return PromptIds(ids=self._vocabulary.encode(parts, first=True), kept=0)
        last, begin = forked
        added = self._vocabulary.encode(_from(parts, begin), first=False)
        return PromptIds(ids=[*last.ids, *added], kept=0)


def _best(
    transcripts: Iterable[Transcript], text: str, seams: frozenset[int]
) -> tuple[Transcript, int] | None:
    """The transcript that most of the text goes on from, and where in the text it ends."""
    ends = ((_end_of(t, text, seams), t) for t in transcripts)
    found = [(end, t) for end, t in ends if end is not None]
    end, last = max(found, key=lambda f: f[0], default=(0, None))
    return None if last is None else (last, end)


def _end_of(last: Transcript, text: str, seams: frozenset[int]) -> int | None:
    """Where in the new prompt's text the last prompt and completion end; None if they changed."""
    if not text.startswith(last.prompt):
        return None
    begin = len(last.prompt)
    whole = last.generated + last.end
    if text.startswith(whole, begin):
        return begin + len(whole)
    if not last.end:  # cut by a limit; blanks around it are not shown
        shown = last.generated.strip()
        begins = bool(shown) and text.startswith(shown, begin)
        return begin + len(shown) if begins else None
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
