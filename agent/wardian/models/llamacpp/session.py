"""Answers requests inside the child: render, tokenise, evaluate, sample, send."""

import codecs
import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from wardian.models.llamacpp.engine import Engine, EngineFailed, Interrupted
from wardian.models.llamacpp.grammar import Constraint, GrammarMaker
from wardian.models.llamacpp.load import Loaded
from wardian.models.llamacpp.sampling import NotANumber, Sampler
from wardian.models.llamacpp.transcript import Transcript, Transcripts
from wardian.models.template import ChatTemplate, TemplateFailed

STOPS_WITHOUT_TEMPLATE = ("<|im_end|>", "<|im_start|>")
"""Where ChatML is only text to the model, these end its reply."""
TOOLS_KEY = "wardian.tools_in_prompt"
"""`false` in a GGUF file: the model knows its tools by heart, they are not described to it."""


class Parent(Protocol):
    """The other end of the line."""

    def send(self, message: dict[str, Any]) -> None: ...

    def is_cancelled(self, request: int) -> bool: ...


class Refused(Exception):
    """A request that cannot be answered: `kind`, then the cause."""


@dataclass(slots=True)
class Draft:
    """A reply as far as it is sampled."""

    sampled: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    constrained: list[bool] = field(default_factory=list[bool])
    text: str = ""
    end: str = ""


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
        self._bounded = bounded
        self._too_slow = too_slow
        self._engine = Engine(loaded)
        self._vocabulary = self._engine.vocabulary
        self._transcripts = Transcripts(self._vocabulary)
        source = _template_source(loaded)
        self._describe_tools = _metadata(loaded, TOOLS_KEY) != "false"
        self._template: ChatTemplate | None = None
        self._template_source = source
        self._stops = () if source else STOPS_WITHOUT_TEMPLATE
        self._maker: GrammarMaker | None = None
        self._making = threading.Thread(target=self._make_grammars)
        self._making.start()
        self.facts: dict[str, Any] = {
            "context_tokens": self._engine.context_tokens,
            "trained_context_tokens": self._engine.trained_context_tokens,
            "vocabulary_size": self._vocabulary.size,
            "template_sha256": hashlib.sha256((source or "").encode()).hexdigest(),
        }

    def answer(self, request: dict[str, Any]) -> None:
        """Send `prompt`, then `text` as it comes, then `end`; or `failed`."""
        number: int = request["id"]
        try:
            self._answer(number, request)
        except Refused as e:
            self._parent.send({"id": number, "failed": e.args[0], "cause": e.args[1]})
        except Interrupted:
            self._parent.send({"id": number, "failed": "cancelled", "cause": ""})
        except EngineFailed as e:
            self._parent.send({"id": number, "failed": "engine", "cause": str(e)})

    def _answer(self, number: int, request: dict[str, Any]) -> None:
        conversation: str = request["conversation"]
        tools: list[dict[str, Any]] = request["tools"]
        rendered = self._render(request["messages"], tools)
        ids, recorded = self._transcripts.prompt_ids(conversation, rendered)
        if len(ids) >= self._engine.context_tokens:
            raise Refused("overflow", {"prompt_tokens": len(ids), **self.facts})
        thinking = rendered.rstrip().endswith("<think>")
        sent = {"ids": ids[recorded:], "kept": recorded, "thinking": thinking}
        self._parent.send({"id": number, "prompt": sent})
        evaluated = self._engine.evaluate(
            conversation, ids, lambda: self._parent.is_cancelled(number)
        )
        constraint = Constraint(
            self._grammars,
            self._vocabulary,
            tools=tools,
            schema=request["output_schema"],
            thinking=thinking,
        )
        draft, finish = self._write(number, conversation, request, constraint, len(ids))
        transcript = Transcript(
            prompt=_unmarked(rendered),
            generated=draft.text,
            end=draft.end,
            ids=(*ids, *draft.sampled),
        )
        self._transcripts.keep(conversation, transcript)
        end = {
            "finish": finish,
            "sampled": draft.sampled,
            "logprobs": draft.logprobs,
            "constrained": draft.constrained,
            "prompt_tokens": len(ids),
            "cached_tokens": evaluated,
            "refused": self._maker.refused if self._maker else {},
        }
        self._parent.send({"id": number, "end": end})

    def _write(
        self,
        number: int,
        conversation: str,
        request: dict[str, Any],
        constraint: Constraint,
        prompt_tokens: int,
    ) -> tuple[Draft, str]:
        """Sample until the model ends, a limit is reached, or the parent cancels."""
        asked: dict[str, Any] = request["sampling"]
        sampler = Sampler(
            temperature=asked["temperature"], top_p=asked["top_p"], seed=asked["seed"]
        )
        room = self._engine.context_tokens - prompt_tokens
        limit = min(asked["max_tokens"] or room, room)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        draft, shown = Draft(), Shown(self._stops)
        while len(draft.sampled) < limit:
            if self._parent.is_cancelled(number):
                raise Interrupted
            if draft.sampled:
                self._engine.append(conversation, draft.sampled[-1])
            token = self._choose(sampler, constraint, draft)
            if token in self._vocabulary.ends:
                draft.end = self._vocabulary.piece(token).decode(errors="replace")
                break
            text = decoder.decode(self._vocabulary.piece(token))
            draft.text += text
            if ready := shown.add(text):
                self._parent.send({"id": number, "text": ready})
            if shown.stopped:
                return draft, "stop"
        if rest := shown.rest() + decoder.decode(b"", final=True):
            self._parent.send({"id": number, "text": rest})
        return draft, "stop" if draft.end else "length"

    def _choose(self, sampler: Sampler, constraint: Constraint, draft: Draft) -> int:
        logits = self._engine.logits()
        allowed = constraint.allowed()
        if allowed is not None:
            logits[~allowed] = -np.inf
        while True:
            try:
                chosen = sampler.choose(logits)
            except NotANumber:
                raise EngineFailed("its logits are not numbers: the weights are damaged") from None
            if constraint.take(chosen.token):
                break
            logits[chosen.token] = -np.inf
        draft.sampled.append(chosen.token)
        draft.logprobs.append(chosen.logprob)
        draft.constrained.append(allowed is not None)
        return chosen.token

    def _render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> str:
        functions = [{"type": "function", "function": t} for t in tools]
        try:
            with self._bounded():
                if self._template is None:
                    spellings = self._vocabulary.guarded_spellings(self._template_source or "")
                    self._template = ChatTemplate(self._template_source, spellings)
                return self._template.render(
                    messages,
                    functions,
                    describe_tools=self._describe_tools,
                    bos=self._vocabulary.bos,
                    eos=self._vocabulary.eos,
                )
        except TemplateFailed as e:
            raise Refused("template", str(e)) from e
        except self._too_slow:
            raise Refused("template", "it does not come to an end") from None
        except MemoryError:
            raise Refused("template", "it needs too much memory") from None

    def _make_grammars(self) -> None:
        """Beside the first prompt: a large vocabulary takes half a second to index."""
        self._maker = GrammarMaker(self._vocabulary)

    def _grammars(self) -> GrammarMaker:
        self._making.join()
        if self._maker is None:
            raise EngineFailed("llguidance could not read its vocabulary")
        return self._maker


class Shown:
    """Holds text back while it may be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        if not self._stops:
            return text
        self._held += text
        for stop in self._stops:
            before, found, _ = self._held.partition(stop)
            if found:
                self.stopped = True
                self._held = ""
                return before
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        ready, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return ready

    def rest(self) -> str:
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if stop.startswith(text[-n:])), 0
    )


def _template_source(loaded: Loaded) -> str | None:
    api = loaded.api
    found: bytes | None = api.llama_model_chat_template(loaded.model, b"tool_use")
    found = found or api.llama_model_chat_template(loaded.model, None)
    return found.decode(errors="replace") if found else None


def _metadata(loaded: Loaded, key: str) -> str:
    import ctypes

    buffer = ctypes.create_string_buffer(256)
    length: int = loaded.api.llama_model_meta_val_str(loaded.model, key.encode(), buffer, 256)
    return buffer.value.decode(errors="replace") if length >= 0 else ""


def _unmarked(rendered: str) -> str:
    from wardian.models.template import pieces

    return "".join(pieces(rendered))
