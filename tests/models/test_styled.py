"""A model without tools gets them in words, or acts by writing Python."""

import json
from collections.abc import AsyncGenerator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import ConfigurationError, ModelRefused
from wardian.models.call_style import CallStyle
from wardian.models.fenced import FencedParser
from wardian.models.retold import in_code, in_text
from wardian.models.scripted import ScriptedModel
from wardian.models.styled import StyledModel
from wardian.types import CallDelta, Delta, Finish, Message, Model, Reply, Request, Role, ToolSpec
from wardian_tools.types import ToolCall

Ask = Callable[..., tuple[list[Delta], Reply]]
PYTHON = ToolSpec(
    name="python",
    description="Run Python.",
    parameters={"type": "object", "properties": {"code": {"type": "string"}}},
)
READ = ToolSpec(name="read_file", description="Read.", parameters={"type": "object"})
CALL = ToolCall(id="c1", name="python", arguments_text='{"code": "1+1"}')


def history(*tools: ToolSpec) -> Request:
    return Request(
        tools=tools,
        messages=(
            Message(role=Role.SYSTEM, content="Be brief."),
            Message(role=Role.USER, content="Add."),
            Message(role=Role.ASSISTANT, content="I add.", calls=(CALL,)),
            Message(role=Role.TOOL, content="2", call_id="c1", name="python"),
            Message(role=Role.TOOL, content="3", call_id="c2", name="python"),
        ),
    )


def test_in_text_tools_calls_and_results_are_words() -> None:
    told = in_text(history(PYTHON))
    system, user, assistant, results = told.messages
    assert told.tools == ()
    assert system.content.startswith("Be brief.\n\n# Tools")
    assert '"name": "python"' in system.content
    assert user.content == "Add."
    assert assistant.content == (
        'I add.\n<tool_call>\n{"name": "python", "arguments": {"code": "1+1"}}\n</tool_call>'
    )
    assert (results.role, results.content.count("<tool_response>")) == (Role.USER, 2)


def test_in_code_calls_are_blocks_and_other_tools_are_out_of_reach() -> None:
    told = in_code(history(PYTHON, READ))
    assert "```python" in told.messages[0].content
    assert "no functions called read_file" in told.messages[0].content
    assert told.messages[2].content == "I add.\n```python\n1+1\n```"


def test_the_code_style_needs_a_tool_that_runs_python() -> None:
    with pytest.raises(ConfigurationError, match="'python', which is not offered"):
        in_code(history(READ))


def test_a_call_in_text_becomes_a_call(ask: Ask) -> None:
    written = '<tool_call>{"name": "python", "arguments": {"code": "6*7"}}</tool_call>'
    model = StyledModel(ScriptedModel([f"I compute. {written}"]), CallStyle.TEXT)
    deltas, reply = ask(model, history(PYTHON))
    assert reply.finish is Finish.CALLS
    assert reply.message.content == "I compute."
    assert [json.loads(c.arguments_text) for c in reply.message.calls] == [{"code": "6*7"}]
    assert any(isinstance(d, CallDelta) for d in deltas)


def test_a_block_of_python_becomes_a_call_and_what_follows_is_left_out(ask: Ask) -> None:
    written = "I compute.\n```python\nx = 6\nprint(x * 7)\n```\nIt printed 43."
    model = StyledModel(ScriptedModel([written]), CallStyle.CODE)
    _, reply = ask(model, history(PYTHON))
    assert reply.message.content == "I compute."
    assert [json.loads(c.arguments_text)["code"] for c in reply.message.calls] == [
        "x = 6\nprint(x * 7)"
    ]


def test_an_answer_without_a_block_is_an_answer(ask: Ask) -> None:
    _, reply = ask(StyledModel(ScriptedModel(["42"]), CallStyle.CODE), history(PYTHON))
    assert (reply.message.content, reply.message.calls, reply.finish) == ("42", (), Finish.STOP)


class NoTools(ScriptedModel):
    """Refuses tools as Ollama does for some models."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        if request.tools:
            self.requests.append(request)
            raise ModelRefused("gemma2 does not support tools.", status=400)
        async for part in super().stream(request):
            yield part


def test_a_model_that_refuses_tools_is_asked_again_in_text_and_stays_so(ask: Ask) -> None:
    inner = NoTools(["-", '<tool_call>{"name": "python", "arguments": {}}</tool_call>', "42"])
    model: Model = StyledModel(inner, CallStyle.AUTO)
    _, reply = ask(model, history(PYTHON))
    assert [c.name for c in reply.message.calls] == ["python"]
    assert model.identity["call_style"] == "text"
    ask(model, history(PYTHON))
    assert [bool(r.tools) for r in inner.requests] == [True, False, False]


def test_a_model_that_refuses_for_another_reason_is_not_asked_again(ask: Ask) -> None:
    inner = ScriptedModel([ModelRefused("No credit left.", status=402)])
    with pytest.raises(ModelRefused, match="credit"):
        ask(StyledModel(inner, CallStyle.AUTO), history(PYTHON))


@given(
    code=st.text(st.sampled_from("ab`'\"\n {}#\\é"), max_size=30).filter(
        lambda c: "```" not in c and c == c.strip("\n")
    ),
    size=st.integers(1, 7),
)
def test_a_block_is_read_alike_in_any_pieces(code: str, size: int) -> None:
    text = f"Look:\n```python\n{code}\n```\nmore"
    parser = FencedParser("python")
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
    parser.finish()
    assert [json.loads(c.arguments_text)["code"] for c in parser.calls] == [code]
    assert parser.text == "Look:"
