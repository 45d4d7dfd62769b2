"""Requests as bytes: encoded once, and never such that a server rejects the history."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.models.wire import Dialect, RequestEncoder, encode_message
from wardian.types import Message, Request, Role, Sampling, ToolSpec
from wardian_tools.types import ToolCall

TOOL = ToolSpec(name="python", description="Run.", parameters={"type": "object"})


def encode(request: Request, **dialect: Any) -> Any:
    return json.loads(RequestEncoder("m", Dialect(**dialect)).encode(request))


def one_call(**fields: Any) -> Any:
    call = ToolCall(**{"id": "c", "name": "python", "arguments_text": "{}", **fields})
    message = Message(role=Role.ASSISTANT, content="", calls=(call,))
    return json.loads(encode_message(message))["tool_calls"][0]["function"]


def test_a_whole_conversation_has_the_shape_servers_expect() -> None:
    call = ToolCall(id="c1", name="python", arguments_text='{"code": "1"}', arguments={"code": "1"})
    messages = (
        Message(role=Role.SYSTEM, content="Be brief."),
        Message(role=Role.USER, content="Grüße \N{PARTY POPPER}"),
        Message(role=Role.ASSISTANT, content="", calls=(call,), reasoning="hm"),
        Message(role=Role.TOOL, content="1", call_id="c1", name="python"),
        Message(role=Role.ASSISTANT, content="One."),
    )
    sampling = Sampling(temperature=0.0, max_tokens=9, seed=1)
    body = encode(Request(messages=messages, tools=(TOOL,), sampling=sampling))
    function = {"name": "python", "arguments": '{"code": "1"}'}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße \N{PARTY POPPER}"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "assistant", "content": "One."},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "python", "description": "Run.", "parameters": {"type": "object"}},
        }
    ]
    rest = {k: v for k, v in body.items() if k not in ("messages", "tools")}
    assert rest == {
        "model": "m",
        "stream": True,
        "temperature": 0.0,
        "max_tokens": 9,
        "seed": 1,
        "stream_options": {"include_usage": True},
    }


def test_a_message_is_encoded_once_for_all_requests() -> None:
    message = Message(role=Role.USER, content="hi")
    encoder = RequestEncoder("m", Dialect())
    encoder.encode(Request(messages=(message,)))
    message.encoded["openai"] = b'{"role":"user","content":"kept"}'
    again = json.loads(encoder.encode(Request(messages=(message,))))
    assert again["messages"][0]["content"] == "kept"


@pytest.mark.parametrize(
    "text",
    ["", "not json", '{"code": ', "[1]", '"text"', "null", "NaN", '{"a": NaN}', "[" * 50_000,
     '{"a":' * 5_000, '{"a": "' + "x" * 5_000_000 + '"}'],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_malformed_call_goes_back_as_an_empty_object(text: str) -> None:
    assert one_call(arguments_text=text, problem="bad")["arguments"] == "{}"


def test_a_readable_call_goes_back_as_understood_or_as_written() -> None:
    written = '{"code":"1+1"}'
    assert one_call(arguments_text=written)["arguments"] == written
    understood = one_call(arguments_text=written, arguments={"code": "1+1", "timeout": 5})
    assert json.loads(understood["arguments"]) == {"code": "1+1", "timeout": 5}
    assert one_call(arguments_text=written, arguments={"a": object()})["arguments"] == written
    assert one_call(arguments_text=written, arguments={"a": float("nan")})["arguments"] == written


@pytest.mark.parametrize(
    ("name", "sent"), [("", "unknown"), ("rm -rf /", "rm_-rf__"), ("ü", "_"), ("x" * 99, "x" * 64)]
)
def test_a_call_s_name_is_one_servers_take(name: str, sent: str) -> None:
    assert one_call(name=name)["name"] == sent


def test_a_call_is_demanded_only_of_a_model_that_is_offered_tools() -> None:
    asked = (Message(role=Role.USER, content="Go."),)
    demanded = encode(Request(messages=asked, tools=(TOOL,), must_call=True))
    assert demanded["tool_choice"] == "required"
    assert "tool_choice" not in encode(Request(messages=asked, must_call=True))
    assert "tool_choice" not in encode(Request(messages=asked, tools=(TOOL,)))


def test_the_output_schema_is_sent_only_where_tools_can_still_be_called() -> None:
    schema = {"type": "object"}
    alone = Request(messages=(), output_schema=schema)
    beside_tools = Request(messages=(), output_schema=schema, tools=(TOOL,))
    assert encode(alone)["response_format"]["json_schema"]["schema"] == schema
    assert "response_format" not in encode(beside_tools)
    assert "response_format" in encode(beside_tools, schema_beside_tools=True)
    assert "response_format" not in encode(alone, send_schema=False)


def test_a_dialect_changes_what_is_asked_for() -> None:
    request = Request(
        messages=(Message(role=Role.ASSISTANT, content="", reasoning="hm"),),
        sampling=Sampling(max_tokens=5),
    )
    body = encode(
        request,
        max_tokens_name="max_completion_tokens",
        include_usage=False,
        send_reasoning=True,
        record_tokens=True,
        extra={"reasoning_effort": "low"},
    )
    assert body["max_completion_tokens"] == 5
    assert "stream_options" not in body
    assert body["messages"][0]["reasoning_content"] == "hm"
    assert (body["logprobs"], body["return_token_ids"]) == (True, True)
    assert body["reasoning_effort"] == "low"


@given(st.text(st.characters()), st.text())
def test_any_text_becomes_json_a_server_can_read(content: str, arguments_text: str) -> None:
    call = ToolCall(id="c", name=content, arguments_text=arguments_text)
    message = Message(role=Role.ASSISTANT, content=content, calls=(call,))
    sent = json.loads(encode_message(message).decode("utf-8"))
    assert isinstance(json.loads(sent["tool_calls"][0]["function"]["arguments"]), dict)
