"""Values are hidden wherever they stand in what a run records: keys, lists, call arguments."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.events import CallFinished, ModelReplied, Noted
from wardian.types import Finish, Message, Reply, Role, TokenRecord
from wardian_policies.redaction.redactor import Detectors, Redactor, mark
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

SECRET = 'kön"ig\\secret-7'
texts = st.text(max_size=10) | st.just(SECRET) | st.just(f"<{SECRET}>")
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def said(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=150)
@given(value=values)
def test_no_json_value_keeps_a_secret_and_one_without_is_itself(value: Any) -> None:
    redactor = Redactor({"S": SECRET})
    hidden = redactor.value(value)
    assert json.dumps(SECRET, ensure_ascii=False)[1:-1] not in said(hidden)
    if SECRET not in str(value) and json.dumps(SECRET, ensure_ascii=False)[1:-1] not in said(value):
        assert hidden is value
    assert redactor.value(hidden) is hidden


@settings(max_examples=60)
@given(arguments=st.dictionaries(texts, values, max_size=3))
def test_arguments_stay_json_and_say_what_they_said(arguments: dict[str, Any]) -> None:
    redactor = Redactor({"S": SECRET}, Detectors(structure=True, rules=True))
    call = ToolCall(id="1", name="t", arguments_text=json.dumps(arguments))
    hidden = redactor.value(call)
    assert SECRET not in hidden.arguments_text
    assert json.loads(hidden.arguments_text) == redactor.value(arguments)


def test_events_are_hidden_field_by_field_and_the_others_kept() -> None:
    redactor = Redactor({"S": SECRET})
    tokens = TokenRecord(
        prompt_suffix_ids=(1, 2),
        kept_ids=0,
        sampled_ids=(3,),
        logprobs=(-0.5,),
        constrained=(True,),
    )
    message = Message(role=Role.ASSISTANT, content=SECRET, reasoning=f"a {SECRET}")
    reply = Reply(message=message, finish=Finish.STOP, tokens=tokens)
    event = ModelReplied(step=1, reply=reply, seconds=0.5)
    hidden = redactor.value(event)
    assert hidden.reply.message == replace(message, content=mark("S"), reasoning=f"a {mark('S')}")
    assert hidden.reply.tokens is tokens
    assert hidden.reply.finish is Finish.STOP
    clean = Noted(step=1, text="nothing in it")
    assert redactor.value(clean) is clean
    result = ToolResult(
        call_id="1", name="t", status=ResultStatus.OK, content="x", data={"a": (SECRET,)}
    )
    finished = redactor.value(CallFinished(step=1, result=result))
    assert finished.result.data == {"a": (mark("S"),)}
    assert finished.result.status is ResultStatus.OK
