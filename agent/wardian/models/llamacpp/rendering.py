"""Messages → the text and the ids of a prompt, inside the child.

A template is a stranger's code: `bounded` limits its time and memory while it runs.
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from wardian.models.families import Family
from wardian.models.llamacpp.common import common_length
from wardian.models.llamacpp.load import Loaded
from wardian.models.llamacpp.vocab import Vocabulary
from wardian.models.template import ChatTemplate, TemplateFailed, pieces

TOOLS_KEY = "wardian.tools_in_prompt"
"""`false` in a GGUF file: the model knows its tools by heart, they are not described to it."""
_SOMEBODY_ELSE = {"role": "user", "content": "\N{REPLACEMENT CHARACTER}"}
"""A first message that no other shares its beginning with."""


class Refused(Exception):
    """A request that cannot be answered: `kind`, then the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """The model's own template, compiled when first used."""

    loaded: Loaded
    vocabulary: Vocabulary
    bounded: Callable[[], AbstractContextManager[None]]
    too_slow: type[BaseException]
    source: str | None
    describe_tools: bool
    compiled: list[ChatTemplate]

    def render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> str:
        """The prompt's text with marks (`template.pieces`). Raises: Refused."""
        functions = [{"type": "function", "function": t} for t in tools]
        try:
            with self.bounded():
                if not self.compiled:
                    spellings = self.vocabulary.guarded_spellings(self.source or "")
                    self.compiled.append(ChatTemplate(self.source, spellings))
                return self.compiled[0].render(
                    messages,
                    functions,
                    describe_tools=self.describe_tools,
                    bos=self.vocabulary.bos,
                    eos=self.vocabulary.eos,
                )
        except TemplateFailed as e:
            raise Refused("template", str(e)) from e
        except self.too_slow:
            raise Refused("template", "it does not come to an end") from None
        except MemoryError:
            raise Refused("template", "it needs too much memory") from None

    @property
    def family(self) -> Family:
        """Known once something was rendered."""
        return self.compiled[0].family

    def prefix_tokens(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]],
        rendered: str,
        ids: Sequence[int],
    ) -> int:
        """How much of the prompt is system message and tools, so shared with other conversations.

        Found by rendering another conversation's first message after them.
        """
        system = list(messages[:1]) if messages and messages[0]["role"] == "system" else []
        if not system and not tools:
            return 0
        try:
            other = self.render([*system, _SOMEBODY_ELSE], tools)
        except Refused:
            return 0
        shared = pieces(rendered[: common_length(rendered, other)])
        return common_length(self.vocabulary.encode(shared, first=True), list(ids))


def renderer(
    loaded: Loaded,
    vocabulary: Vocabulary,
    bounded: Callable[[], AbstractContextManager[None]],
    too_slow: type[BaseException],
) -> Renderer:
    return Renderer(
        loaded=loaded,
        vocabulary=vocabulary,
        bounded=bounded,
        too_slow=too_slow,
        source=_template_source(loaded),
        describe_tools=_metadata(loaded, TOOLS_KEY) != "false",
        compiled=[],
    )


def _template_source(loaded: Loaded) -> str | None:
    api = loaded.api
    found: bytes | None = api.llama_model_chat_template(loaded.model, b"tool_use")
    found = found or api.llama_model_chat_template(loaded.model, None)
    return found.decode(errors="replace") if found else None


def _metadata(loaded: Loaded, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    length: int = loaded.api.llama_model_meta_val_str(loaded.model, key.encode(), buffer, 256)
    return buffer.value.decode(errors="replace") if length >= 0 else ""
