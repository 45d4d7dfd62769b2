"""Calling styles for models that take no tools: calls as JSON in the text, or as code.

`TEXT` describes the tools in the system message and reads `<tool_call>{…}</tool_call>` out of the
reply. `CODE` lets the model write Python in a ``` fence, which is run as a call of the tool
`python`; other tools are then out of its reach. `AUTO` speaks to the model in its own way until it
says that it takes no tools, and then in text.

Covers any model whose requests go over a wire. A GGUF file needs none of this: its template decides
(`template`). Does not cover: a code-style answer that shows Python without meaning it to be run.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module
from typing import Any

from wardian.errors import ModelError
from wardian.models.call_style import CallStyle
from wardian.types import Delta, Model, Reply, Request, Startable

_NO_TOOLS = ("does not support tool", "tools are not supported", "tool use", "--jinja")
"""How Ollama, vLLM and llama-server say that a model takes no tools."""


class StyledModel:
    """A model spoken to in a style of our own."""

    def __init__(self, model: Model, style: CallStyle) -> None:
        self._model = model
        self._style = style

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def is_local(self) -> bool:
        return self._model.is_local

    @property
    def identity(self) -> dict[str, Any]:
        return self._model.identity | {"call_style": self._style.value}

    async def start(self) -> None:
        if isinstance(self._model, Startable):
            await self._model.start()

    async def close(self) -> None:
        await self._model.close()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """As the wrapped model's. Raises: ModelError, ConfigurationError."""
        if self._style in (CallStyle.AUTO, CallStyle.NATIVE):
            begun = False
            try:
                async with aclosing(self._model.stream(request)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                return
            except ModelError as e:
                if begun or self._style is CallStyle.NATIVE or not _takes_no_tools(e, request):
                    raise
            self._style = CallStyle.TEXT
        words = import_module(
            "wardian.models.retold"
        ).in_words  # who needs none does not wait for it
        async with aclosing(words(self._model, request, self._style)) as parts:
            async for part in parts:
                yield part


def _takes_no_tools(error: ModelError, request: Request) -> bool:
    said = str(error).lower()
    return bool(request.tools) and any(phrase in said for phrase in _NO_TOOLS)
