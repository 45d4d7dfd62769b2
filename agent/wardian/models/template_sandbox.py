"""Jinja as Hugging Face's `apply_chat_template` has it, for templates that strangers wrote.

Bounded: source, output, what `*` and `**` make. Time and memory are bounded by whoever renders.
"""

import datetime as dt
import json
from collections.abc import Iterator, Sized
from typing import Any, cast

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_REPEAT = 1_000_000
"""Most characters or items `*` may make."""
MAX_PRODUCT_BITS = 4096
MARK = "\U0010fffd"
"""Last private-use character: put inside a control token's spelling. Doubled, it is itself."""
_ESCAPED_MARK = json.dumps(MARK)[1:-1]


class Refused(Exception):
    """The template said no (`raise_exception`): often to a system message or to an order."""


class RawJson(dict[str, Any]):
    """Arguments of a call that `tojson` writes exactly as the model wrote them."""

    def __init__(self, text: str, values: dict[str, Any] | None = None) -> None:
        super().__init__(object_or_empty(text) if values is None else values)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Given(list[Any]):
    """What a template is given and must not change."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**"])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Kimi K2's template keeps a queue."""
        if attr in ("append", "pop") and type(cast("object", obj)) is list:
            return True
        return super().is_safe_attribute(obj, attr, value)

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


def environment() -> ImmutableSandboxedEnvironment:
    made = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception  # pyright: ignore[reportArgumentType]
    today = dt.datetime.now(dt.UTC)
    made.globals["strftime_now"] = today.strftime  # pyright: ignore[reportArgumentType]
    return made


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face's: no HTML escapes. Arguments are written as the model wrote them."""
    if isinstance(value, RawJson) and indent is None and separators is None:
        return value.text
    written = json.dumps(
        list(value) if isinstance(value, Iterator) else value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
    return written.replace(_ESCAPED_MARK, MARK) if ensure_ascii else written


def raise_exception(message: str) -> str:
    raise Refused(str(message)[:500])


def object_or_empty(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
