"""Adds up the chunks of a chat-completions stream: deltas for the listener, one reply at the end.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
Servers differ from it in ways that lose or merge calls when taken on trust; what is read here:
`index` missing, shared or wrong; `id` missing, repeated or sent again with every piece; whole
calls in one chunk; arguments as an object; `message` instead of `delta`; calls with finish
reason `stop`; the old `function_call`.
"""

import json
from collections.abc import Iterable
from typing import Any

from wardian.models.call_pieces import CallPieces
from wardian.models.json_shapes import is_list, is_object
from wardian.types import (
    Delta,
    Finish,
    Message,
    ReasoningDelta,
    Reply,
    Role,
    TextDelta,
    TokenRecord,
    Usage,
)

REPLY_LIMIT_CHARS = 32 * 1024 * 1024
"""Far above what a model writes (5 MB of arguments must pass), far below what fills memory."""

_FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_calls": Finish.CALLS,
    "function_call": Finish.CALLS,
    "tool_use": Finish.CALLS,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.FILTER,
    "safety": Finish.FILTER,
    "refusal": Finish.FILTER,
}
"""Anything else is CUT: a reason not understood is no permission to run calls."""


class ReplyTooLarge(ValueError):
    """The reply passed `REPLY_LIMIT_CHARS`."""


ANSWERED = ("id", "created", "system_fingerprint", "service_tier")


class Accumulator:
    """What one stream said so far.

    `taken_ids` are the call ids the conversation already used; a call that arrives without an
    id of its own, or with one of these, gets a new one. With `calls_in_text` no text is taken for
    whole without a reason for its end.
    """

    def __init__(self, taken_ids: Iterable[str] = (), *, calls_in_text: bool = False) -> None:
        self.model = ""
        self.finish_reason: str | None = None
        self.usage = Usage()
        self.answered: dict[str, Any] = {}
        """What the server said of its answer, but for the answer"""
        self._calls = CallPieces(taken_ids)
        self._calls_in_text = calls_in_text
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._chars = 0
        self._prompt_ids: tuple[int, ...] = ()
        self._sampled_ids: list[int] = []
        self._logprobs: list[float] = []

    def add(self, chunk: dict[str, Any]) -> list[Delta]:
        """The deltas in one chunk. Raises: ReplyTooLarge."""
        if not self.model and isinstance(chunk.get("model"), str):
            self.model = chunk["model"][:200]
        if not self.answered:
            self.answered = _answered(chunk)
        if is_object(usage := chunk.get("usage")):
            self.usage = read_usage(usage)
        choices = chunk.get("choices")
        if not is_list(choices) or not choices or not is_object(choices[0]):
            return []
        choice = choices[0]
        return self._add_choice(choice, chunk) if choice.get("index") in (0, None) else []

    def _add_choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> list[Delta]:
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
            self.finish_reason = choice["finish_reason"]
        if "logprobs" in choice or "token_ids" in choice:
            self._add_tokens(choice, chunk)
        delta = choice.get("delta") or choice.get("message")
        return self._add_delta(delta) if is_object(delta) else []

    def _add_delta(self, delta: dict[str, Any]) -> list[Delta]:
        found: list[Delta] = []
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str):
            self._reasoning.append(reasoning)
            self._chars += len(reasoning)
            found.append(ReasoningDelta(text=reasoning))
        text = _text_of(delta.get("content")) or _text_of(delta.get("refusal"))
        if text:
            self._text.append(text)
            self._chars += len(text)
            found.append(TextDelta(text=text))
        pieces = delta.get("tool_calls")
        if is_list(pieces):
            found += [d for piece in pieces if (d := self._calls.add(piece)) is not None]
        if is_object(old := delta.get("function_call")):
            d = self._calls.add({"index": "function_call", "function": old})
            found += [] if d is None else [d]
        if self._chars + self._calls.chars > REPLY_LIMIT_CHARS:
            raise ReplyTooLarge(f"The reply is longer than {REPLY_LIMIT_CHARS} characters.")
        return found

    def _add_tokens(self, choice: dict[str, Any], chunk: dict[str, Any]) -> None:
        """vLLM with `return_token_ids` gives the ids; any server with `logprobs` the others."""
        if is_list(prompt_ids := chunk.get("prompt_token_ids")) and not self._prompt_ids:
            self._prompt_ids = tuple(n for n in prompt_ids if isinstance(n, int))
        if is_list(sampled_ids := choice.get("token_ids")):
            self._sampled_ids += [n for n in sampled_ids if isinstance(n, int)]
        logprobs = choice.get("logprobs")
        if is_object(logprobs) and is_list(entries := logprobs.get("content")):
            values = [entry.get("logprob") for entry in entries if is_object(entry)]
            self._logprobs += [float(v) for v in values if isinstance(v, int | float)]

    def end(self) -> None:
        """The server says that this was all. A text needs no other reason; a call does."""
        has_calls = self._calls_in_text or len(self._calls)
        if self.finish_reason is None and self._text and not has_calls:
            self.finish_reason = Finish.STOP

    @property
    def is_empty(self) -> bool:
        """Nothing a listener could have seen."""
        return not self._text and not self._reasoning and not len(self._calls)

    @property
    def has_finished(self) -> bool:
        """The server said why it stopped: all content was sent."""
        return self.finish_reason is not None

    def reply(self, *, model: str, seconds_to_first_token: float | None = None) -> Reply:
        finish = self._finish()
        calls = self._calls.calls(is_complete=finish in (Finish.STOP, Finish.CALLS))
        message = Message(
            role=Role.ASSISTANT,
            content="".join(self._text),
            reasoning="".join(self._reasoning),
            calls=calls,
        )
        return Reply(
            message=message,
            finish=finish,
            usage=self.usage,
            model=self.model or model,
            tokens=self._tokens(),
            seconds_to_first_token=seconds_to_first_token,
        )

    def _finish(self) -> Finish:
        if self.finish_reason is None:
            return Finish.CUT
        finish = _FINISHES.get(self.finish_reason.lower(), Finish.CUT)
        if finish is Finish.STOP and len(self._calls):
            return Finish.CALLS
        if finish is Finish.CALLS and not len(self._calls):
            return Finish.STOP if self._text else Finish.CUT  # announced and never sent
        return finish

    def _tokens(self) -> TokenRecord | None:
        if not self._sampled_ids or len(self._sampled_ids) != len(self._logprobs):
            return None
        return TokenRecord(
            prompt_suffix_ids=self._prompt_ids,
            kept_ids=0,
            sampled_ids=tuple(self._sampled_ids),
            logprobs=tuple(self._logprobs),
            constrained=(False,) * len(self._sampled_ids),
        )


def _answered(chunk: dict[str, Any]) -> dict[str, Any]:
    said = {name: chunk.get(name) for name in ANSWERED}
    return {
        name: value[:200] if isinstance(value, str) else value
        for name, value in said.items()
        if isinstance(value, str | int)
    }


def _text_of(content: Any) -> str:
    """Text, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    if not is_list(content):
        return ""
    texts = [part.get("text") for part in content if is_object(part)]
    return "".join(text for text in texts if isinstance(text, str))


def read_usage(usage: dict[str, Any]) -> Usage:
    """What a provider's usage object says; OpenRouter's `cost` is in US dollars."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if is_object(details) else 0
    cost = usage.get("cost")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(cached) or _count(usage.get("prompt_cache_hit_tokens")),
        cost_usd=float(cost) if isinstance(cost, int | float) and cost >= 0 else None,
    )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0


def parse_chunks(payload: bytes) -> list[dict[str, Any]]:
    """The JSON objects of one event: one as a rule, several where a server forgot the blank lines.

    Raises: ValueError, when a line is neither.
    """
    try:
        chunk = json.loads(payload)
    except (ValueError, RecursionError):
        lines = payload.split(b"\n")
        if len(lines) == 1:
            raise ValueError("An event of the stream is not JSON.") from None
        return [chunk for line in lines if line != b"[DONE]" for chunk in parse_chunks(line)]
    return [chunk] if is_object(chunk) else []
