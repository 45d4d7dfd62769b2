"""One reply while it is being written: sample, constrain, spell out, stop."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wardian.models.llamacpp.constraint import Constraint
from wardian.models.llamacpp.engine import Engine, EngineFailed, Work
from wardian.models.llamacpp.sampling import NotANumber, Sampler


@dataclass(slots=True)
class Draft:
    """A reply as far as it is sampled."""

    sampled: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    constrained: list[bool] = field(default_factory=list[bool])
    text: str = ""
    end: str = ""
    """Text of the control token that ended it."""


class Generation:
    """`take_next` once for each evaluation; `finish` says why it is over."""

    def __init__(
        self,
        *,
        request: int,
        sample: int,
        work: Work,
        sampling: dict[str, Any],
        constraint: Constraint,
        limit: int,
        stops: Sequence[str],
    ) -> None:
        self.request = request
        self.sample = sample
        self.work = work
        self.sampling = sampling
        self.constraint = constraint
        self.draft = Draft()
        self.finish = ""
        """`stop` or `length`; empty while it goes on."""
        self._limit = limit
        self._sampler = Sampler(
            temperature=sampling["temperature"], top_p=sampling["top_p"], seed=sampling["seed"]
        )
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._shown = Shown(stops)

    def take_next(self, engine: Engine) -> str:
        """Sample a token; the text that may be shown now. Raises: EngineFailed."""
        free = not self.constraint.in_force
        token = self._choose(engine)
        vocabulary, draft = engine.vocabulary, self.draft
        if token in vocabulary.ends:
            draft.end = vocabulary.piece(token).decode(errors="replace")
            return self._over("stop")
        text = self._decoder.decode(vocabulary.piece(token))
        draft.text += text
        ready = self._shown.add(text, free=free)
        if self._shown.stopped:
            self.finish = "stop"
        elif len(draft.sampled) >= self._limit:
            return ready + self._over("length")
        else:
            self.work.ids.append(token)
        return ready

    def _over(self, finish: str) -> str:
        self.finish = finish
        return self._shown.rest() + self._decoder.decode(b"", final=True)

    def _choose(self, engine: Engine) -> int:
        logits = engine.logits(self.work)
        masked = self.constraint.mask(logits)
        while True:
            try:
                chosen = self._sampler.choose(logits)
            except NotANumber:
                raise EngineFailed("its logits are not numbers: the weights are damaged") from None
            if self.constraint.take(chosen.token):
                break
            logits[chosen.token] = -np.inf
        self.draft.sampled.append(chosen.token)
        self.draft.logprobs.append(chosen.logprob)
        self.draft.constrained.append(masked)
        return chosen.token


class Shown:
    """Holds text back while it may be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def add(self, text: str, *, free: bool = True) -> str:
        """`free`: False inside a call, where stop strings are only text."""
        if not self._stops:
            return text
        held = self._held + text
        if not free:
            self._held = ""
            return held
        found = min((at, s) for s in (*self._stops, "") if (at := _place(held, s)) is not None)
        if found[1]:
            self.stopped, self._held = True, ""
            return held[: found[0]]
        keep = max(_overlap(held, stop) for stop in self._stops)
        ready, self._held = held[: len(held) - keep], held[len(held) - keep :]
        return ready

    def rest(self) -> str:
        rest, self._held = self._held, ""
        return rest


def _place(text: str, stop: str) -> int | None:
    """Where the stop string begins; the empty one stands behind everything."""
    if not stop:
        return len(text)
    at = text.find(stop)
    return at if at >= 0 else None


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if stop.startswith(text[-n:])), 0
    )
