"""Published templates give back the calls that went into them, and lose nobody's words.

They are not part of this project: TRL ships some, under the licences of those who wrote them, and
WARDIAN_TEMPLATES may name a folder of others (llama.cpp has seventy in `models/templates`).
"""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wardian.models.calling import ReplyParser
from wardian.models.template import ChatTemplate, pieces

_TRL = importlib.util.find_spec("trl")
_SHIPPED = (_TRL.submodule_search_locations or []) if _TRL else []
_FOLDERS = [
    *(f"{place}/chat_templates" for place in _SHIPPED),
    *os.environ.get("WARDIAN_TEMPLATES", "").split(os.pathsep),
]
PUBLISHED = {p.stem: p for folder in _FOLDERS if folder for p in Path(folder).glob("*.jinja")}
FAMILIES = {
    "deepseekv3": "deepseek-v3",
    "gemma4": "gemma",
    "glm4moe": "glm",
    "gptoss": "harmony",
    "llama3_1": "llama3",
    "nemotron_3_nano": "qwen-coder",
    "qwen2_5": "hermes",
    "qwen3": "hermes",
    "qwen3_5_think": "qwen-coder",
}
ARGUMENTS: dict[str, Any] = {
    "code": "if a < 3 and b > '{}':\n\tprint(\"é ☃\", [1], {2: 3})\n",
    "count": -7,
    "is_quiet": True,
    "options": {"deep": {"er": [1, "two", None]}, "empty": {}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "count": {"type": "integer"},
        "is_quiet": {"type": "boolean"},
        "options": {"type": "object"},
    },
}
TOOL = {
    "type": "function",
    "function": {"name": "python", "description": "Runs code.", "parameters": SCHEMA},
}
CALLS = json.dumps(ARGUMENTS, ensure_ascii=False)

pytestmark = pytest.mark.skipif(not PUBLISHED, reason="TRL, which ships templates, is not here")


def conversation() -> list[Mapping[str, Any]]:
    call = {"id": "call_1", "name": "python", "arguments": CALLS}
    return [
        {"role": "system", "content": "Be quite brief."},
        {"role": "user", "content": "Please do it."},
        {"role": "assistant", "content": "", "calls": [call]},
        {"role": "tool", "content": "the result", "call_id": "call_1", "name": "python"},
    ]


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) & set(FAMILIES)))
def test_a_published_template_is_known_by_how_it_writes_calls(name: str) -> None:
    assert ChatTemplate(PUBLISHED[name].read_text()).family.name == FAMILIES[name]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_template_gives_back_the_call_and_every_message(name: str) -> None:
    template = ChatTemplate(PUBLISHED[name].read_text())
    messages = conversation()
    whole = "".join(pieces(template.render(messages, [TOOL])))
    places = [whole.index(message["content"]) for message in messages if message["content"]]
    assert places == sorted(places)
    parser = ReplyParser({"python": SCHEMA}, family=template.family)
    parser.feed(_reply(template, whole))
    parser.finish()
    assert [(c.name, json.loads(c.arguments_text)) for c in parser.calls] == [("python", ARGUMENTS)]


def _reply(template: ChatTemplate, whole: str) -> str:
    """What stands between the question and the result, without the turn's head where it shows."""
    prompt = "".join(pieces(template.render(conversation()[:2], [TOOL])))
    begin = len(prompt) if whole.startswith(prompt) else whole.index("Please do it.") + 13
    return whole[begin : whole.index("the result")].partition("<|eot_id|>")[0]
