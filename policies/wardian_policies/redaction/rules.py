"""Keys and tokens known by their form: the rules of CredSweeper that need no context.

CredSweeper's rules were chosen over detect-secrets' because they are kept up to date and know the
tokens of this year's providers, and over running either because CredSweeper itself brings 20
packages and a neural network, and both take milliseconds a line. `scripts/secret_rules.py` writes
the file from a wheel; its licence (MIT) is in it.

Covers 99 kinds of token that have a mark of their own (`ghp_…`, `AKIA…`, `sk-ant-…`).
Does not cover secrets that look like any other text; `structure` finds some by what stands before.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from wardian_policies.redaction.engine import Bytes, compiled, matches
from wardian_policies.redaction.values import Span

FILE = "credsweeper_rules.json"
MIN_GATE_CHARS = 3


@dataclass(frozen=True, slots=True)
class TokenRule:
    name: str
    pattern: Any
    before: frozenset[int]
    """Bytes that must not stand before the token: it would be part of something longer."""
    after: frozenset[int]


@cache
def token_rules() -> tuple[Any, tuple[TokenRule, ...]]:
    """A pattern that any text with a token matches, and the rules."""
    import re

    entries: list[dict[str, Any]] = json.loads(
        files("wardian_policies.redaction").joinpath(FILE).read_text("utf-8")
    )["rules"]
    marks = {mark for entry in entries for mark in entry["marks"] if len(mark) >= MIN_GATE_CHARS}
    # Those without a mark of their own are part of the gate themselves.
    bare = [e["pattern"] for e in entries if min(map(len, e["marks"])) < MIN_GATE_CHARS]
    gate = compiled("|".join([*map(re.escape, sorted(marks)), *bare]))
    return gate, tuple(map(token_rule, entries))


def token_rule(entry: dict[str, Any]) -> TokenRule:
    return TokenRule(
        name=entry["name"],
        pattern=compiled(entry["pattern"]),
        before=members(entry["before"]),
        after=members(entry["after"]),
    )


def members(character_class: str) -> frozenset[int]:
    """The ASCII codes a character class such as `[0-9a-z_]` stands for."""
    import re

    if not character_class:
        return frozenset()
    sign = re.compile(character_class)
    return frozenset(code for code in range(128) if sign.fullmatch(chr(code)))


def find_tokens(text: Bytes) -> Iterator[Span]:
    """Where tokens stand, in characters."""
    gate, rules = token_rules()
    if gate.search(text.content) is None:
        return
    content = text.content
    for rule in rules:
        for start, end in matches(rule.pattern, text):
            stands_alone = not (start and content[start - 1] in rule.before)
            if stands_alone and not (end < len(content) and content[end] in rule.after):
                yield Span(text.characters(start), text.characters(end), rule.name)
