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

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, cast

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SOURCE_CHARS = 200_000
"""Published templates have at most about 20,000."""
MAX_RENDERED_CHARS = 20_000_000
MAX_REPEAT = 1_000_000
"""Most characters or items `*` may make."""

MAX_PRODUCT_BITS = 4096

MARK = "\U0010fffd"
"""Last private-use character: put inside a control token's spelling. Doubled, it is itself."""

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
"""For a model that brings no template. Source: the ChatML convention of OpenAI, 2023."""

TOOLS_TEXT = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
"""Source: the chat template of Qwen 2.5 and 3, after NousResearch's Hermes function calling."""


_MARKS = re.compile(f"({MARK}{MARK}|{MARK})")


class TemplateFailed(Exception):
    """The template cannot be compiled, refused the messages, or went out of bounds."""


class RawJson(dict[str, Any]):
    """Arguments of a call that `tojson` writes exactly as the model wrote them."""

    def __init__(self, text: str) -> None:
        super().__init__(_object_or_empty(text))
        self.text = text


class ChatTemplate:
    """A compiled template. `render` gives text with marks; `pieces` resolves them."""

    def __init__(self, source: str | None, specials: Iterable[str] = ()) -> None:
        """`specials` are the spellings of the vocabulary's control and user-defined tokens.

        Raises: TemplateFailed.
        """
        self.source = CHATML if source is None else source
        self.writes_calls = _writes_hermes_calls(self.source)
        self.describes_tools = (
            self.writes_calls and re.search(r"\btools\b", self.source) is not None
        )
        self._quoted = _any_of(specials)
        if len(self.source) > MAX_SOURCE_CHARS:
            raise TemplateFailed(f"it is longer than {MAX_SOURCE_CHARS} characters")
        try:
            self._compiled = _environment().from_string(self.source)
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
        if not self.writes_calls:
            chat = _in_plain_words(chat)
        if not self.describes_tools:
            chat, described = _with_tools_told(chat, described), []
        given = {"tools": described or None, "bos_token": bos, "eos_token": eos}
        try:
            return self._run(chat, given)
        except _Refused:
            pass
        try:
            return self._run(_strictly_alternating(chat), given)
        except _Refused as e:
            raise TemplateFailed(f"it refused the messages: {e}") from e

    def quote(self, text: str) -> str:
        """The text with a mark inside every spelling of a control token."""
        if MARK in text:
            text = text.replace(MARK, MARK + MARK)
        return self._quoted.sub(lambda m: m[0][0] + MARK + m[0][1:], text) if self._quoted else text

    def _run(self, chat: list[dict[str, Any]], given: dict[str, Any]) -> str:
        parts: list[str] = []
        length = 0
        try:
            for part in self._compiled.generate(messages=chat, add_generation_prompt=True, **given):
                parts.append(part)
                length += len(part)
                if length > MAX_RENDERED_CHARS:
                    raise TemplateFailed(f"it writes more than {MAX_RENDERED_CHARS} characters")
        except (TemplateFailed, _Refused):
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
            "arguments": RawJson(self.quote(call["arguments"])),
        }
        return {"type": "function", "id": self.quote(call["id"]), "function": function}

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


def _writes_hermes_calls(source: str) -> bool:
    """Does the template itself write calls as JSON in `<tool_call>`?"""
    return "tool_calls" in source and "<tool_call>" in source and "<function=" not in source


class _Refused(Exception):
    """The template said no (`raise_exception`): often to a system message or to an order."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (abs(left) < 1e6 and abs(right) < 64):
            raise SecurityError("a power is too large")
        if operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, int) and isinstance(other, int):
                    if one.bit_length() + other.bit_length() > MAX_PRODUCT_BITS:
                        raise SecurityError("a product is too large")
                    break
                many = isinstance(one, str | list | tuple) and isinstance(other, int)
                if many and len(cast("Sized", one)) * other > MAX_REPEAT:
                    raise SecurityError("a repetition is too long")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks what training learns from; here, nothing."""

    tags = {"generation"}  # noqa: RUF012  Jinja's own declaration is mutable

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception  # pyright: ignore[reportArgumentType]
    today = dt.datetime.now(dt.UTC)
    environment.globals["strftime_now"] = today.strftime  # pyright: ignore[reportArgumentType]
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face's: no HTML escapes. Arguments are written as the model wrote them."""
    if isinstance(value, RawJson) and indent is None and separators is None:
        return value.text
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> str:
    raise _Refused(str(message)[:500])


def _in_plain_words(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls and results as text, for a template that has no place for them."""
    plain: list[dict[str, Any]] = []
    for message in chat:
        role, content = message["role"], message["content"]
        if role == "tool":
            role, content = "user", f"<tool_response>\n{content}\n</tool_response>"
            if plain and plain[-1].get("results"):
                plain[-1]["content"] += f"\n{content}"
                continue
        for call in message.get("tool_calls", ()):
            function = call["function"]
            head = f'{{"name": "{function["name"]}", "arguments": '
            written = f"<tool_call>\n{head}{function['arguments'].text}}}\n</tool_call>"
            content = f"{content}\n{written}" if content else written
        plain.append({"role": role, "content": content, "results": message["role"] == "tool"})
    return plain


def _with_tools_told(
    chat: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The tools described in the system message, for a template that does not describe them."""
    if not tools:
        return chat
    text = TOOLS_TEXT.format(tools="\n".join(_tojson(t) for t in tools))
    if chat and chat[0]["role"] == "system":
        return [{**chat[0], "content": f"{chat[0]['content']}\n\n{text}"}, *chat[1:]]
    return [{"role": "system", "content": text}, *chat]


def _strictly_alternating(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without a system message and with user and assistant in turn, for templates that insist."""
    merged: list[dict[str, Any]] = []
    for message in chat:
        role = "user" if message["role"] == "system" else message["role"]
        if merged and merged[-1]["role"] == role and role in ("user", "assistant"):
            merged[-1]["content"] += "\n\n" + message["content"]
            merged[-1].update({k: v for k, v in message.items() if k not in ("role", "content")})
        else:
            merged.append({**message, "role": role})
    return merged


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    spelled = sorted({t for t in texts if len(t) > 1}, key=len, reverse=True)
    if not spelled:
        return None
    firsts = "".join(re.escape(c) for c in sorted({t[0] for t in spelled}))
    return re.compile(f"(?=[{firsts}])(?:{'|'.join(map(re.escape, spelled))})")


def _object_or_empty(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _reason(e: BaseException) -> str:
    detail = str(e).splitlines()[0][:300] if str(e) else ""
    return f"{type(e).__name__}: {detail}" if detail else type(e).__name__
