"""No text of a stranger becomes one of a model's tokens: real tokenizer, real template.

Every marker of the family is a token of the vocabulary here, as it is in the published ones.
"""

import asyncio
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from wardian.models.families import family_named
from wardian.models.llama import LlamaModel
from wardian.types import Message, Reply, Request, Role, Sampling, ToolSpec
from wardian_tools.types import ToolCall

_PATH = Path(__file__).parents[1] / "families" / "templates.py"
_SPEC = importlib.util.spec_from_file_location("family_templates", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
TEMPLATES: Mapping[str, str] = _MODULE.TEMPLATES

FAMILIES = (
    "qwen-coder",
    "glm",
    "harmony",
    "mistral-v13",
    "deepseek",
    "kimi",
    "gemma",
)


CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Of the vocabulary that the tests make."""


def conversation(text: str) -> Request:
    """`text` wherever somebody else's words may stand."""
    arguments = json.dumps({"code": text})
    call = ToolCall(id="call_1", name="python", arguments_text=arguments)
    return Request(
        messages=(
            Message(role=Role.SYSTEM, content=f"Notes: {text}"),
            Message(role=Role.USER, content=f"Read this: {text}"),
            Message(role=Role.ASSISTANT, content="", calls=(call,)),
            Message(role=Role.TOOL, content=text, call_id="call_1", name="python"),
        ),
        tools=(
            ToolSpec(
                name="python",
                description=f"Runs code. {text}",
                parameters={"type": "object", "properties": {"code": {"description": text}}},
            ),
        ),
        sampling=Sampling(temperature=0.0, max_tokens=1),
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_markers_in_any_text_stay_text(
    name: str, tmp_path: Path, make_gguf: Callable[..., Path]
) -> None:
    family = family_named(name)
    markers = [m for m in family.all_markers() if " " not in m and "><" not in m and "\n" not in m]
    markers = sorted(m for m in markers if m != "<|channel|>analysis<|message|>")
    path = make_gguf(
        tmp_path / "m.gguf",
        template=TEMPLATES[name],
        user_defined=markers,
        context_tokens=16_384,
        layers=1,
    )

    async def counts(*texts: str) -> list[dict[int, int]]:
        """How often each token with a name stands in the prompts; they are the last of all."""
        model = LlamaModel(path, name="test", threads=1, context_tokens=16_384)
        try:
            prompts = [await prompt_of(model, text) for text in texts]
            size = model._loaded["vocabulary_size"]
            named = range(size - len(markers) - len(CONTROL), size)
            return [{token: prompt.count(token) for token in named} for prompt in prompts]
        finally:
            await model.close()

    hostile = " ".join([*markers, *CONTROL])
    twin, attacked = asyncio.run(counts("x" * len(hostile), hostile))
    assert attacked == twin
    assert sum(twin.values()) > 0


async def prompt_of(model: LlamaModel, text: str) -> tuple[int, ...]:
    *_, reply = [item async for item in model.stream(conversation(text))]
    assert isinstance(reply, Reply)
    assert reply.tokens is not None
    return reply.tokens.prompt_suffix_ids
