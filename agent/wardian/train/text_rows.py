"""Conversations without recorded ids as token ids: rows of runs by models behind an API.

The base model's own template writes each prompt as it would at inference, message by message; a
reply is what stands between two prompts, up to the token that ends it. Text of a message never
becomes a control token. What a model sampled itself is never tokenised again: see `data.rows`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.models.template import ChatTemplate, TemplateFailed, pieces

Messages = Sequence[Mapping[str, Any]]
_NEXT: dict[str, Any] = {"role": "user", "content": "\N{REPLACEMENT CHARACTER}"}
"""What would be said next, so that the template closes the last reply."""


@dataclass(frozen=True)
class Encoder:
    """A tokenizer of transformers with the template that goes with it."""

    tokenizer: Any
    describe_tools: bool = True

    @cached_property
    def template(self) -> ChatTemplate:
        """Raises: ConfigurationError."""
        spellings = [str(token) for token in self.tokenizer.added_tokens_decoder.values()]
        try:
            return ChatTemplate(self.tokenizer.chat_template, spellings)
        except TemplateFailed as problem:
            raise ConfigurationError(
                f"The base model's template cannot be used: {problem}.", "Take another base model."
            ) from problem

    def conversation(
        self, messages: Messages, tools: Sequence[Mapping[str, Any]]
    ) -> tuple[list[int], list[int]]:
        """T ids, and T marks: 1 on the tokens of the assistant's messages and their ends.

        Raises: ConfigurationError where the template rewrites what it wrote before.
        """
        chat = [_as_message(one) for one in messages]
        ids: list[int] = []
        mask: list[int] = []
        written = ""
        for place, message in enumerate(chat):
            if message["role"] != "assistant":
                continue
            prompt = self.render(chat[:place], tools)
            whole = self.render([*chat, _NEXT], tools)
            added = self.encode(_after(prompt, written))
            reply = self.encode(self._reply(whole, prompt))
            ids += [*added, *reply]
            mask += [0] * len(added) + [1] * len(reply)
            written = prompt + self._reply(whole, prompt)
        return ids, mask

    def reply(
        self, prompt: Messages, completion: Messages, tools: Sequence[Mapping[str, Any]]
    ) -> tuple[list[int], list[int]]:
        """The ids of a prompt, and of the one assistant message that follows it."""
        chat = [_as_message(one) for one in prompt]
        before = self.render(chat, tools)
        whole = self.render([*chat, *map(_as_message, completion), _NEXT], tools)
        return self.encode(before), self.encode(self._reply(whole, before))

    def render(self, chat: Messages, tools: Sequence[Mapping[str, Any]]) -> str:
        """A prompt with marks (`template.pieces`). Raises: ConfigurationError."""
        try:
            return self.template.render(
                chat,
                tools,
                describe_tools=self.describe_tools,
                bos=self.tokenizer.bos_token or "",
                eos=self.tokenizer.eos_token or "",
            )
        except TemplateFailed as problem:
            raise ConfigurationError(
                f"The base model's template cannot write a conversation: {problem}.",
                "Take another base model, or one whose template knows tools.",
            ) from problem

    def encode(self, marked: str) -> list[int]:
        """Each piece by itself, so that control tokens come from the template only."""
        made: list[int] = []
        for piece in pieces(marked):
            made += cast("list[int]", self.tokenizer.encode(piece, add_special_tokens=False))
        return made

    def _reply(self, whole: str, prompt: str) -> str:
        """What follows the prompt, to the end of the reply. Raises: ConfigurationError."""
        rest = _after(whole, prompt)
        end = self.tokenizer.eos_token or ""
        at = rest.find(end)
        if not end or at < 0:
            raise ConfigurationError(
                f"The base model's template does not end a reply with {end or 'an end token'}.",
                "Take a base model whose eos_token ends a turn.",
            )
        return rest[: at + len(end)]


def _after(text: str, beginning: str) -> str:
    """Raises: ConfigurationError where the text does not begin so."""
    if not text.startswith(beginning):
        raise ConfigurationError(
            "The base model's template rewrites earlier messages when new ones come, so what "
            "would be learnt is not what the model sees.",
            "Train on runs of this model itself (their ids are recorded), or take another base.",
        )
    return text[len(beginning) :]


def _as_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """From the columns of TRL and OpenAI to what `ChatTemplate` takes."""
    made: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning:
        made["reasoning"] = reasoning
    if calls := message.get("tool_calls"):
        made["calls"] = [_as_call(call, place) for place, call in enumerate(calls, start=1)]
    if message["role"] == "tool":
        made["call_id"] = message.get("tool_call_id") or ""
        made["name"] = message.get("name") or ""
    return made


def _as_call(call: Mapping[str, Any], place: int) -> dict[str, str]:

    function = call.get("function", call)
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": str(call.get("id") or f"call_{place}"),
        "name": function["name"],
        "arguments": text,
    }
