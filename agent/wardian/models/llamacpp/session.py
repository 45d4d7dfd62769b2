"""Answers requests inside the child: render, tokenise, evaluate, sample, send.

Any number of requests are under way at once. `begin` takes one in, `step` advances all of them by
one shared evaluation.
"""

import hashlib
import random
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from wardian.models.llamacpp.constraint import Constraint
from wardian.models.llamacpp.engine import Engine, EngineFailed
from wardian.models.llamacpp.generation import Generation
from wardian.models.llamacpp.grammar import GrammarMaker
from wardian.models.llamacpp.load import Loaded
from wardian.models.llamacpp.rendering import Refused, renderer
from wardian.models.llamacpp.transcript import Transcript, Transcripts
from wardian.models.template import pieces

STOPS_WITHOUT_TEMPLATE = ("<|im_end|>", "<|im_start|>")
"""Where ChatML is only text to the model, these end its reply."""


class Parent(Protocol):
    """The other end of the line."""

    def send(self, message: dict[str, Any]) -> None: ...

    def say(self, request: int, sample: int, text: str) -> None:
        """Text of a reply."""
        ...

    def flush(self) -> None:
        """What was sent goes out now."""
        ...

    def is_cancelled(self, request: int) -> bool: ...


class Session:
    """One loaded model and its conversations."""

    def __init__(
        self,
        loaded: Loaded,
        parent: Parent,
        bounded: Callable[[], AbstractContextManager[None]],
        too_slow: type[BaseException],
    ) -> None:
        self._parent = parent
        self._engine = Engine(loaded)
        self._vocabulary = self._engine.vocabulary
        self._renderer = renderer(loaded, self._vocabulary, bounded, too_slow)
        self._transcripts = Transcripts(self._vocabulary)
        self._stops = () if self._renderer.source else STOPS_WITHOUT_TEMPLATE
        self._writing: list[Generation] = []
        self._prompts: dict[int, _Prompt] = {}
        self._maker: GrammarMaker | None = None
        self._making: threading.Thread | None = None
        source = self._renderer.source or ""
        self.facts: dict[str, Any] = {
            "context_tokens": self._engine.context_tokens,
            "trained_context_tokens": self._engine.trained_context_tokens,
            "cache_tokens": self._engine.cells,
            "sequences": self._engine.sequences,
            "keeps_state": loaded.keeps_state,
            "device": self._engine.device,
            "vocabulary_size": self._vocabulary.size,
            "template_sha256": hashlib.sha256(source.encode()).hexdigest(),
        }

    @property
    def is_busy(self) -> bool:
        return bool(self._writing)

    def begin(self, request: dict[str, Any]) -> None:
        """Send `prompt`; or `failed`."""
        number: int = request["id"]
        self._parent.send({"id": number, "begun": True})
        self._parent.flush()
        try:
            self._begin(number, request)
        except Refused as e:
            self._parent.send({"id": number, "failed": e.args[0], "cause": e.args[1]})
        except EngineFailed as e:
            self._parent.send({"id": number, "failed": "engine", "cause": str(e)})

    def adopt(self, conversation: str, sample: int) -> None:
        """Of the last samples, go on with this one."""
        chosen = _branch(conversation, sample)
        for branch in self._transcripts.adopt(conversation, chosen):
            self._engine.cache.forget(branch)

    def step(self) -> None:
        """One evaluation; say the text, if there is some; send `end` where a reply is over."""
        for generation in [g for g in self._writing if self._parent.is_cancelled(g.request)]:
            self._fail(generation, "cancelled", "")
        try:
            ready = self._engine.step([g.work for g in self._writing])
        except EngineFailed as e:
            for generation in self._writing[:]:
                self._fail(generation, "engine", str(e))
            return
        by_work = {id(g.work): g for g in self._writing}
        for work in ready:
            self._advance(by_work[id(work)])

    def _begin(self, number: int, request: dict[str, Any]) -> None:
        conversation: str = request["conversation"]
        messages: list[dict[str, Any]] = request["messages"]
        tools: list[dict[str, Any]] = request["tools"]
        if request["sampling"]["constrain"] and (tools or request["output_schema"]):
            self._begin_grammars()
        rendered = self._renderer.render(messages, tools)
        found = self._transcripts.prompt_ids(conversation, rendered)
        for branch in found.given_up:
            self._engine.cache.forget(branch)
        ids = found.ids
        if not ids:
            raise Refused("template", "it writes nothing of the conversation")
        if len(ids) >= self._engine.context_tokens:
            raise Refused("overflow", {"prompt_tokens": len(ids), **self.facts})
        prefix = 0
        if not found.kept:
            prefix = self._renderer.prefix_tokens(messages, tools, rendered, ids)
        family = self._renderer.family
        thinking = family.is_thinking(rendered)
        sent = {
            "ids": ids[found.kept :],
            "kept": found.kept,
            "thinking": thinking,
            "family": family.name,
        }
        self._parent.send({"id": number, "prompt": sent})
        self._prompts[number] = _Prompt(request, rendered, ids, prefix, thinking)
        for sample in range(request["samples"]):
            self._writing.append(self._generation(number, sample))

    def _generation(self, number: int, sample: int) -> Generation:
        prompt = self._prompts[number]
        request, conversation = prompt.request, prompt.request["conversation"]
        work = self._engine.work(
            _branch(conversation, sample),
            prompt.ids,
            lambda: self._parent.is_cancelled(number),
            prefix_tokens=prompt.prefix_tokens,
            lasting=request["messages"][-1:] != [] and request["messages"][-1]["role"] == "user",
        )
        sampling = _as_done(
            request["sampling"], sample, self._engine.context_tokens - len(work.ids)
        )
        constraint = Constraint(
            self._grammars,
            self._vocabulary,
            tools=request["tools"] if sampling["constrain"] else (),
            schema=request["output_schema"] if sampling["constrain"] else None,
            family=self._renderer.family,
            must_call=request["must_call"] and sampling["constrain"],
            thinking=prompt.thinking,
        )
        return Generation(
            request=number,
            sample=sample,
            work=work,
            sampling=sampling,
            constraint=constraint,
            limit=sampling["max_tokens"],
            stops=(*self._stops, *sampling["stop"]),
        )

    def _advance(self, generation: Generation) -> None:
        try:
            text = generation.take_next(self._engine)
        except EngineFailed as e:
            self._fail(generation, "engine", str(e))
            return
        if text:
            self._parent.say(generation.request, generation.sample, text)
        if generation.finish:
            self._end(generation)

    def _end(self, generation: Generation) -> None:
        prompt, draft, work = self._prompts[generation.request], generation.draft, generation.work
        conversation: str = prompt.request["conversation"]
        transcript = Transcript(
            prompt="".join(pieces(prompt.rendered)),
            generated=draft.text,
            end=draft.end,
            ids=(*prompt.ids, *draft.sampled),
        )
        self._transcripts.keep(conversation, work.conversation, transcript)
        end = {
            "finish": generation.finish,
            "sampled": draft.sampled,
            "logprobs": draft.logprobs,
            "constrained": draft.constrained,
            "sampling": generation.sampling,
            "constraint_sha256": generation.constraint.sha256 if any(draft.constrained) else "",
            "prompt_tokens": len(prompt.ids),
            "cached_tokens": work.cached_tokens,
            "refused": self._maker.refused if self._maker else {},
        }
        self._parent.send({"id": generation.request, "sample": generation.sample, "end": end})
        self._leave(generation)

    def _fail(self, generation: Generation, kind: str, cause: str) -> None:
        head = {"id": generation.request, "sample": generation.sample}
        self._parent.send({**head, "failed": kind, "cause": cause})
        self._leave(generation)

    def _leave(self, generation: Generation) -> None:
        self._engine.finish(generation.work)
        self._writing.remove(generation)
        if not any(g.request == generation.request for g in self._writing):
            del self._prompts[generation.request]
        self._engine.let_in(g.work for g in self._writing)

    def _begin_grammars(self) -> threading.Thread:
        """Beside the first prompt that needs them: half a second for a large vocabulary."""
        if self._making is None:
            self._making = threading.Thread(target=self._make_grammars)
            self._making.start()
        return self._making

    def _make_grammars(self) -> None:
        self._maker = GrammarMaker(self._vocabulary)

    def _grammars(self) -> GrammarMaker:
        self._begin_grammars().join()
        if self._maker is None:
            raise EngineFailed("llguidance could not read its vocabulary")
        return self._maker


class _Prompt:
    """What the samples of one request have in common."""

    def __init__(
        self,
        request: dict[str, Any],
        rendered: str,
        ids: Sequence[int],
        prefix_tokens: int,
        thinking: bool,
    ) -> None:
        self.request = request
        self.rendered = rendered
        self.ids = list(ids)
        self.prefix_tokens = prefix_tokens
        self.thinking = thinking


def _branch(conversation: str, sample: int) -> str:
    """What one sample's cache goes by; the first has the conversation's own."""
    return f"{conversation}\0{sample}" if conversation and sample else conversation


def _as_done(asked: dict[str, Any], sample: int, room: int) -> dict[str, Any]:
    """Sampling without a default left open. The first sample has the seed that was asked for."""
    seed: int = secrets.randbits(32) if asked["seed"] is None else asked["seed"]
    if sample:
        seed = random.Random(f"{seed}/{sample}").getrandbits(32)  # noqa: S311  not a secret
    return {
        **asked,
        "temperature": asked["temperature"] or 0.0,
        "top_p": 1.0 if asked["top_p"] is None else asked["top_p"],
        "max_tokens": min(asked["max_tokens"] or room, room),
        "seed": seed,
    }
