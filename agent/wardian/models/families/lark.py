"""Terminals for one vocabulary, in llguidance's dialect of Lark.

Source: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_ANY_TEXT = "/(.|\\n)*/"


class LarkTerminals:
    """`Terminals` (see `family`). The rules it makes for them go at the end of the grammar."""

    def __init__(
        self, tokens: Mapping[str, int], json_rule: Callable[[Mapping[str, Any], str], str]
    ) -> None:
        """`tokens`: spelling → id of the tokens that have a name.

        `json_rule`: a schema and the tool it belongs to → what stands on a rule's right side.
        """
        spelled = sorted((s for s in tokens if len(s) > 1), key=len, reverse=True)
        self._tokens = tokens
        self._named = re.compile(f"({'|'.join(map(re.escape, spelled))})") if spelled else None
        self._json_rule = json_rule
        self.rules: list[str] = []

    def literal(self, spelling: str) -> str:
        parts = self._named.split(spelling) if self._named else [spelling]
        return " ".join(self._part(part) for part in parts if part)

    def _part(self, text: str) -> str:
        token = self._tokens.get(text)
        return json.dumps(text, ensure_ascii=False) if token is None else f"<[{token}]>"

    def json(self, schema: Mapping[str, Any], tool: str) -> str:
        return self._json_rule(schema, tool)

    def text_to(self, spelling: str) -> str:
        if spelling in self._tokens:
            return f"{_ANY_TEXT} {self.literal(spelling)}"
        name = f"text_to_{len(self.rules)}"
        self.rules.append(f"{name}[suffix={json.dumps(spelling)}]: {_ANY_TEXT}\n")
        return name
