"""A probe tells what a model can do, and later runs go by its card."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from wardian.errors import ContextOverflow, ModelRefused, ModelUnavailable
from wardian.models.cards import card_path, keep_card, read_card, stamp_of
from wardian.models.function import FunctionModel
from wardian.models.probe import Card, probe
from wardian.models.replies import Answer
from wardian.types import Finish, Message, Reply, Request, Role, Usage


def card_of(function: Callable[[Request], Answer], recall_tokens: int = 2000) -> Card:
    return asyncio.run(probe(FunctionModel(function), trials=3, recall_tokens=recall_tokens))


def able(request: Request) -> Answer:
    """Does what it is asked to, if it is offered what that takes."""
    *_, last = request.messages
    if last.role is Role.TOOL or "<tool_response>" in last.content:
        found = re.search(r"\d+", last.content)
        return f"It is {found[0] if found else '?'}."
    if "The key is" in last.content:
        message = Message(role=Role.ASSISTANT, content="4719")
        counted = Usage(prompt_tokens=len(last.content) // 4, completion_tokens=1)
        return Reply(message=message, finish=Finish.STOP, usage=counted)
    if request.output_schema:
        return '{"city": "Rome", "inhabitants": 2800000}'
    if "look_up" in last.content:
        return [("look_up", {"name": "blue"})]
    if sums := re.search(r"add (\d+) and (\d+)", last.content):
        return [("add", {"a": int(sums[1]), "b": int(sums[2])})]
    if product := re.search(r"Compute (\d+) times (\d+)", last.content):
        return f"```python\nprint({product[1]} * {product[2]})\n```"
    return "one two three"


def test_an_able_model_gets_a_full_card() -> None:
    card = card_of(able)
    assert (card.native_calls, card.json_answers, card.result_use) == (1.0, 1.0, 1.0)
    assert (card.style, card.text_calls, card.code_calls) == ("native", None, None)
    assert 900 < card.recalled_tokens <= 2500
    assert card.failures == ()


def in_text_only(request: Request) -> Answer:
    """Knows nothing of tools but what it is told."""
    if request.tools:
        return "I do not know how."
    answer = able(request)
    if isinstance(answer, list):
        ((name, arguments),) = answer
        return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
    return answer


def test_a_model_that_calls_only_in_words_is_spoken_to_so() -> None:
    card = card_of(in_text_only)
    assert (card.native_calls, card.text_calls, card.style) == (0.0, 1.0, "text")
    assert card.result_use == 1.0


def in_code_only(request: Request) -> Answer:
    *_, last = request.messages
    if request.tools or "<tools>" in request.messages[0].content:
        return "I do not know how."
    if "`blue`" in last.content:
        return "```python\nprint(blue)\n```"
    return able(request)


def test_a_model_that_only_writes_code_is_let_to() -> None:
    card = card_of(in_code_only)
    assert (card.text_calls, card.code_calls, card.style) == (0.0, 1.0, "code")
    assert card.result_use == 1.0


def refuses_tools(request: Request) -> Answer:
    if request.tools:
        return ModelRefused("It does not support tools.", status=400)
    return in_text_only(request)


def test_a_refusal_is_a_finding() -> None:
    card = card_of(refuses_tools)
    assert card.style == "text"
    assert card.failures == ("calls, native style: It does not support tools.",)


def short(request: Request) -> Answer:
    if len(request.messages[-1].content) > 6000:
        return ContextOverflow("It is too long.")
    return able(request)


def test_a_window_that_is_smaller_than_tried_ends_the_trial_of_recall() -> None:
    card = card_of(short)
    assert card.recalled_tokens < 1500
    assert card.failures == ("a prompt of about 2000 tokens: It is too long.",)


def test_a_model_that_cannot_be_asked_at_all_is_an_error() -> None:
    with pytest.raises(ModelUnavailable):
        card_of(lambda _: ModelUnavailable("It is away."))


def test_a_card_holds_for_the_file_it_was_made_from(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    facts = asdict(card_of(able)) | {"model": "gguf:m"}
    keep_card(tmp_path, facts, stamp_of(file), "2026-01-01")
    assert read_card(tmp_path, "gguf:m", stamp_of(file))["style"] == "native"
    assert read_card(tmp_path, "gguf:other", stamp_of(file)) == {}
    file.write_bytes(b"another")
    assert read_card(tmp_path, "gguf:m", stamp_of(file)) == {}


def test_a_damaged_card_is_no_card(tmp_path: Path) -> None:
    path = card_path(tmp_path, "m")
    path.parent.mkdir()
    for text in ("", "{", "[]", '"x"', "null"):
        path.write_text(text)
        assert read_card(tmp_path, "m", "") == {}


def test_a_run_goes_by_the_card(tmp_path: Path) -> None:
    """In the code style the model is told to write Python, which its card says it can."""
    home = tmp_path / "home"
    keep_card(
        home / "models",
        {"model": "openai/m", "style": "code", "context_tokens": 8000},
        "",
        "2026-01-01",
    )
    program = (
        "import os, sys; from wardian.settings import load_settings;"
        "from wardian.cli.model_choice import with_model;"
        "s = with_model(load_settings({'model': 'openai/m'}, os.environ), lambda _: None);"
        "t = with_model(load_settings({'model': 'openai/m', 'call_style': 'native',"
        " 'context_tokens': 5000}, os.environ), lambda _: None);"
        "print(s.call_style, s.context_tokens, t.call_style, t.context_tokens)"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**kept, "WARDIAN_HOME": str(home), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.split() == ["code", "8000", "native", "5000"]
