"""Chat templates: messages → the text a model was trained to read.

A template comes out of a model file, so it is code by a stranger. It is rendered in Jinja's
immutable sandbox, bounded in source, in output, in repetition and in powers; whoever calls
`ChatTemplate.render` bounds its time and memory (`llamacpp.child` does).

Text from people, files and pages must never turn into the model's control tokens. `quote` puts a
mark inside every spelling of one; `pieces` splits the rendered text at the marks, and each piece is
tokenised by itself, so that no spelling survives whole while the template's own tokens do.

Covered: the Jinja dialect of Hugging Face's `apply_chat_template`.
Not covered: templates that assemble a control token out of a message's letters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from jinja2 import TemplateError

from wardian.models.families import HERMES, Family, family_of
from wardian.models.template_chat import (
    Chat,
    arguments_as_text,
    calls_in_words,
    in_parts,
    one_call_each,
    orders_in_question,
    own_ids,
    results_in_words,
    strictly_alternating,
    thoughts_in_calls,
    tools_told,
)
from wardian.models.template_probe import IN_WORDS, VALUE, Abilities, forgets_orders, probe
from wardian.models.template_sandbox import (
    MARK,
    MAX_REPEAT,
    Given,
    RawJson,
    Refused,
    environment,
    object_or_empty,
)

__all__ = [
    "CHATML",
    "MARK",
    "MAX_REPEAT",
    "MAX_SOURCE_CHARS",
    "ChatTemplate",
    "TemplateFailed",
    "pieces",
]

MAX_SOURCE_CHARS = 200_000
"""Published templates have at most about 20,000."""
MAX_RENDERED_CHARS = 20_000_000

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
"""For a model that brings no template. Source: the ChatML convention of OpenAI, 2023."""

_MARKS = re.compile(f"({MARK}{MARK}|{MARK})")


class TemplateFailed(Exception):
    """The template cannot be compiled, refused the messages, or went out of bounds."""


class ChatTemplate:
    """A compiled template. `render` gives text with marks; `pieces` resolves them."""

    def __init__(self, source: str | None, specials: Iterable[str] = ()) -> None:
        """`specials` are the spellings of the vocabulary's control and user-defined tokens.

        Raises: TemplateFailed.
        """
        self.source = CHATML if source is None else source
        self._family: Family | None = None
        self._abilities = IN_WORDS
        self._wants_parts = False
        self._forgets_orders = False
        self._quoted = _beginning_of(specials)
        if len(self.source) > MAX_SOURCE_CHARS:
            raise TemplateFailed(f"it is longer than {MAX_SOURCE_CHARS} characters")
        try:
            self._compiled = environment().from_string(self.source)
        except (TemplateError, RecursionError, MemoryError, ValueError, OverflowError) as e:
            raise TemplateFailed(_reason(e)) from e

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        describe_tools: bool = True,
        bos: str = "",
        eos: str = "",
    ) -> str:
        """The prompt, ready for the assistant's next words, with marks. Raises: TemplateFailed."""
        chat = [self._message(m) for m in messages]
        described = [self._quote_leaves(t) for t in tools] if describe_tools else []
        family, can = self.family, self._abilities
        chat = own_ids(chat, family)
        if not can.tools:
            chat, described = tools_told(chat, described, family), []
        given = {"tools": described or None, "bos_token": bos, "eos_token": eos}
        refusal: Refused | None = None
        for shaped in self._shapes(chat, can):
            try:
                return self._run_somehow(shaped, given)
            except Refused as e:
                refusal = e
        raise TemplateFailed(f"it refused the messages: {refusal}") from refusal

    @property
    def family(self) -> Family:
        """How replies to it spell calls. The first look renders the template a few times."""
        if self._family is None:
            self._family = self._found_out()
        return self._family

    @property
    def abilities(self) -> Abilities:
        """What it can say by itself; the rest is said in words."""
        _ = self.family
        return self._abilities

    def _found_out(self) -> Family:
        family = family_of(self.source)
        self._wants_parts = self._loses_text() and not self._loses_text(in_parts)
        if not family.is_template(self.source):
            return family
        mentions_tools = re.search(r"\btools\b", self.source) is not None
        found = probe(self._attempt, family, mentions_tools=mentions_tools)
        self._abilities = found or IN_WORDS
        self._forgets_orders = found is not None and forgets_orders(self._attempt, family)
        return family if found else HERMES

    def _loses_text(self, shape: Callable[[Chat], Chat] = list) -> bool:
        """A template that wants a list of parts goes through a text letter by letter."""
        told = self._attempt(shape([{"role": "user", "content": VALUE}]), [])
        return told is None or VALUE not in told

    def _attempt(self, chat: Chat, tools: list[dict[str, Any]]) -> str | None:
        try:
            return self._run(chat, {"tools": tools, "bos_token": "", "eos_token": ""})
        except (TemplateFailed, Refused):
            return None

    def _shapes(self, chat: Chat, can: Abilities) -> Iterable[Chat]:
        """The conversation in the shapes to try, the most faithful first."""
        chat = orders_in_question(chat) if self._forgets_orders else chat
        shaped = chat if can.calls else calls_in_words(chat, self.family)
        shaped = shaped if can.several_calls else one_call_each(shaped)
        shaped = shaped if can.results else results_in_words(shaped)
        shaped = arguments_as_text(shaped) if can.text_arguments else shaped
        if self.family.read_reply is not None:
            shaped = thoughts_in_calls(shaped)
        yield shaped
        yield strictly_alternating(shaped)
        yield strictly_alternating(results_in_words(calls_in_words(chat, self.family)))

    def quote(self, text: str) -> str:
        """The text with a mark inside every spelling of a control token."""
        if MARK in text:
            text = text.replace(MARK, MARK + MARK)
        return self._quoted.sub(lambda m: m[0] + MARK, text) if self._quoted else text

    def _run_somehow(self, chat: Chat, given: dict[str, Any]) -> str:
        """With an empty list of tools where the template cannot do with none."""
        try:
            return self._run(chat, given)
        except TemplateFailed:
            if given["tools"] is not None:
                raise
            return self._run(chat, {**given, "tools": []})

    def _run(self, chat: list[dict[str, Any]], given: dict[str, Any]) -> str:
        parts: list[str] = []
        length = 0
        chat = in_parts(chat) if self._wants_parts else chat
        try:
            made = self._compiled.generate(
                messages=Given(chat), add_generation_prompt=True, **given
            )
            for part in made:
                parts.append(part)
                length += len(part)
                if length > MAX_RENDERED_CHARS:
                    raise TemplateFailed(f"it writes more than {MAX_RENDERED_CHARS} characters")
        except (TemplateFailed, Refused):
            raise
        except Exception as e:
            raise TemplateFailed(_reason(e)) from e
        return "".join(parts)

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message in the form templates expect, its texts quoted."""
        made: dict[str, Any] = {
            "role": str(message["role"]),
            "content": self.quote(message.get("content", "")),
        }
        if message.get("reasoning"):
            made["reasoning_content"] = self.quote(message["reasoning"])
        if message.get("calls"):
            made["tool_calls"] = [self._call(c) for c in message["calls"]]
        if made["role"] == "tool":
            made["tool_call_id"] = self.quote(message.get("call_id", ""))
            made["name"] = self.quote(message.get("name", ""))
        return made

    def _call(self, call: Mapping[str, str]) -> dict[str, Any]:
        function = {
            "name": self.quote(call["name"]),
            "arguments": self._arguments(call["arguments"]),
        }
        return {"type": "function", "id": self.quote(call["id"]), "function": function}

    def _arguments(self, text: str) -> RawJson:
        """Quoted as text and as values: an escape in the text may hide what a value spells."""
        return RawJson(self.quote(text), self._quote_leaves(object_or_empty(text)))

    def _quote_leaves(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.quote(value)
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value)
            return {self.quote(k): self._quote_leaves(v) for k, v in entries.items()}
        if isinstance(value, list):
            return [self._quote_leaves(v) for v in cast("list[object]", value)]
        return value


def pieces(rendered: str) -> list[str]:
    """Rendered text without its marks, split where each stood. Joined, it is the prompt's text."""
    made = [""]
    for text in _MARKS.split(rendered):
        if text == MARK:
            made.append("")
        else:
            made[-1] += MARK if text == MARK + MARK else text
    return [p for p in made if p]


def _beginning_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """The first letter of each of the texts, wherever one stands, inside another one too."""
    spelled = sorted({t for t in texts if len(t) > 1}, key=len, reverse=True)
    if not spelled:
        return None
    firsts = "".join(re.escape(c) for c in sorted({t[0] for t in spelled}))
    return re.compile(f"(?=[{firsts}])(?=(?:{'|'.join(map(re.escape, spelled))}))[{firsts}]")


def _reason(e: BaseException) -> str:
    detail = str(e).splitlines()[0][:300] if str(e) else ""
    return f"{type(e).__name__}: {detail}" if detail else type(e).__name__
