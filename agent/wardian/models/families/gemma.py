"""Gemma 4: `<|tool_call>call:NAME{key:value,…}<tool_call|>`, its texts in quotes of their own.

FunctionGemma writes the same with other markers. Gemma 2 and 3 have no notation for calls and get
one told (`hermes`). Source: the chat templates of gemma-4-31B-it and functiongemma-270m-it.

Not covered: a text that holds the quote itself, which the notation cannot say.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.json_object import arguments_schema
from wardian.models.families.source import Source
from wardian.models.families.tagged import narrow_values, parameters_of, resolved, types_allowed

_WORDS = {"true": True, "false": False, "null": None, "None": None, "True": True, "False": False}
_NOTHING = '""'
MAX_DEPTH = 64


class Unreadable(ValueError):
    """What stands there is no value of this notation."""


@dataclass(frozen=True, slots=True)
class Notation:
    """One variety's markers."""

    opens: str
    closes: str
    quote: str

    def read(self, source: Source, heard: Heard, opened: str) -> Reading:
        """After the opening marker."""
        written = yield from self._call_text(source)
        head, brace, _ = written.partition("{")
        name = head.strip().removeprefix("call:")
        try:
            if not brace:
                raise Unreadable
            values, end = self.value(written, len(head), 0)
            if written[end:].strip():
                raise Unreadable
        except (Unreadable, RecursionError):
            heard.end_call(name if brace else "", written.strip())
            return
        heard.end_call(name, json.dumps(values, ensure_ascii=False))

    def _call_text(self, source: Source) -> Generator[None, None, str]:
        """Up to the closing marker that stands in no quotes."""
        parts: list[str] = []
        while True:
            text, found = yield from source.text_up_to(self.closes, self.quote)
            parts.append(text)
            if found != self.quote:
                return "".join(parts)
            inside, closed = yield from source.text_up_to(self.quote)
            parts += (self.quote, inside, closed)

    def value(self, text: str, at: int, depth: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends. Raises: Unreadable."""
        if depth > MAX_DEPTH:
            raise Unreadable
        if text.startswith(self.quote, at):
            begin = at + len(self.quote)
            end = text.find(self.quote, begin)
            if end < 0:
                raise Unreadable
            return text[begin:end], end + len(self.quote)
        if text.startswith("{", at):
            return self._object(text, at + 1, depth)
        if text.startswith("[", at):
            return self._list(text, at + 1, depth)
        end = min((i for c in ",}]" if (i := text.find(c, at)) >= 0), default=len(text))
        word = text[at:end].strip()
        if word in _WORDS:
            return _WORDS[word], end
        try:
            return json.loads(word), end
        except ValueError:
            raise Unreadable from None

    def _object(self, text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
        made: dict[str, Any] = {}
        while not text.startswith("}", at):
            if made:
                at = self._expect(text, at, ",")
            if text.startswith(self.quote, at):
                key, at = self.value(text, at, depth + 1)
            else:
                end = text.find(":", at)
                key, at = text[at:end].strip(), max(end, at)
            made[key], at = self.value(text, self._expect(text, at, ":"), depth + 1)
        return made, at + 1

    def _list(self, text: str, at: int, depth: int) -> tuple[list[Any], int]:
        made: list[Any] = []
        while not text.startswith("]", at):
            if made:
                at = self._expect(text, at, ",")
            value, at = self.value(text, at, depth + 1)
            made.append(value)
        return made, at + 1

    def _expect(self, text: str, at: int, letter: str) -> int:
        if not text.startswith(letter, at):
            raise Unreadable
        return at + 1

    def write(self, calls: Sequence[WrittenCall]) -> str:
        return "".join(
            f"{self.opens}call:{c.name}{self.spelled(c.arguments)}{self.closes}" for c in calls
        )

    def spelled(self, value: Any) -> str:
        if isinstance(value, str):
            return f"{self.quote}{value}{self.quote}"
        if isinstance(value, Mapping):
            entries = cast("Mapping[str, Any]", value)
            return "{" + ",".join(f"{k}:{self.spelled(v)}" for k, v in entries.items()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(self.spelled(v) for v in cast("list[object]", value)) + "]"
        return json.dumps(value)

    def grammar(self, schemas: Schemas, terminals: Terminals) -> str:
        """Names, required parameters and scalar types; what is inside objects and lists is free."""
        quote = terminals.literal(self.quote)
        lines = [
            "body: (" + " | ".join(f"call_{i}" for i in range(len(schemas))) + ") "
            f"{terminals.literal(self.closes)}",
            f"text_value: {quote} {terminals.text_to(self.quote)}",
            'any_value: text_value | number | "true" | "false" | "null" | map | list',
            "number: /-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?/",
            'map: "{" (entry ("," entry)*)? "}"',
            'entry: /[A-Za-z_][A-Za-z0-9_-]*/ ":" any_value',
            'list: "[" (any_value ("," any_value)*)? "]"',
        ]
        for i, (name, parameters) in enumerate(schemas.items()):
            lines += self._call_rules(i, name, arguments_schema(parameters), terminals)
        return "\n".join(lines) + "\n"

    def _call_rules(
        self, i: int, name: str, schema: dict[str, Any], terminals: Terminals
    ) -> list[str]:
        """Required parameters first, in the schema's order; then the others, each at most once."""
        known, required = parameters_of(schema), schema.get("required") or ()
        ordered = sorted(known, key=lambda key: key not in required)
        kinds = {key: self._kinds(known[key], schema, terminals, name) for key in ordered}
        lines: list[str] = []
        inside = ""
        for j, key in reversed(list(enumerate(ordered))):
            rule = f"rest_{i}_{j}"
            pair = f'"," {json.dumps(key + ":")} {kinds[key]} {inside}'
            lines.append(
                f"{rule}: {pair}" + ("" if key in required else f" | {inside or _NOTHING}")
            )
            inside = rule
        first = [
            f"{json.dumps(key + ':')} {kinds[key]} "
            + (f"rest_{i}_{j + 1}" if j + 1 < len(ordered) else "")
            for j, key in enumerate(ordered)
        ]
        choices = first[:1] if any(key in required for key in ordered) else [*first, '""']
        lines.append(f'call_{i}: {json.dumps(f"call:{name}{{")} ({" | ".join(choices)}) "}}"')
        return lines

    def _kinds(self, schema: Any, root: Mapping[str, Any], terminals: Terminals, tool: str) -> str:
        """The Lark rules for a value of this schema."""
        schema = resolved(schema, root)
        values = narrow_values(schema)
        if values is not None:
            return "(" + " | ".join(json.dumps(self.spelled(value)) for value in values) + ")"
        allowed = types_allowed(schema, root)
        rules = {
            "string": "text_value",
            "number": "number",
            "integer": "/-?(0|[1-9][0-9]*)/",
            "boolean": '("true" | "false")',
            "null": '"null"',
            "object": "map",
            "array": "list",
        }
        if not allowed:
            return "any_value"
        if allowed <= {"integer", "number"}:
            return terminals.json(cast("dict[str, Any]", schema), tool)
        return "(" + " | ".join(rules.get(kind, "any_value") for kind in sorted(allowed)) + ")"


def is_template(source: str) -> bool:
    return "<|tool_call>" in source and "<tool_call|>" in source


def is_template_functions(source: str) -> bool:
    return "<start_function_call>" in source


_FOUR = Notation("<|tool_call>", "<tool_call|>", '<|"|>')
_FUNCTIONS = Notation("<start_function_call>", "<end_function_call>", "<escape>")

GEMMA = Family(
    name="gemma",
    opens=(_FOUR.opens,),
    read=_FOUR.read,
    write=_FOUR.write,
    grammar=_FOUR.grammar,
    is_template=is_template,
    reasoning=(("<|channel>thought\n", "<channel|>"),),
    markers=(
        *(_FOUR.closes, _FOUR.quote, "<|tool_response>", "<tool_response|>", "<|turn>", "<turn|>"),
        *("<|channel>", "<|think|>", "<|tool>", "<tool|>"),
    ),
)
FUNCTION_GEMMA = Family(
    name="functiongemma",
    opens=(_FUNCTIONS.opens,),
    read=_FUNCTIONS.read,
    write=_FUNCTIONS.write,
    grammar=_FUNCTIONS.grammar,
    is_template=is_template_functions,
    markers=(
        *(_FUNCTIONS.closes, _FUNCTIONS.quote, "<start_function_response>"),
        *("<end_function_response>", "<start_of_turn>", "<end_of_turn>"),
    ),
)
