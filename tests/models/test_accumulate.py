"""Chunks of a chat-completions stream become one reply; two calls never become one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.models.accumulate import Accumulator, parse_chunks, read_usage
from wardian.types import CallDelta, Finish, ReasoningDelta, Reply, TextDelta, Usage


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def piece(name: str = "", arguments: Any = None, **rest: Any) -> dict[str, Any]:
    function = ({"name": name} if name else {}) | (
        {} if arguments is None else {"arguments": arguments}
    )
    return {**rest, "function": function}


def add(*chunks: dict[str, Any], taken: tuple[str, ...] = ()) -> Reply:
    heard = Accumulator(taken)
    for one in chunks:
        heard.add(one)
    return heard.reply(model="m")


def calls(*pieces: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each piece in a chunk of its own; id, name and arguments of the calls they make."""
    reply = add(*(chunk(tool_calls=[p]) for p in pieces), chunk("tool_calls"))
    assert reply.finish is Finish.CALLS
    return [(c.id, c.name, c.arguments_text) for c in reply.message.calls]


def test_text_reasoning_and_calls_are_kept_apart() -> None:
    heard = Accumulator()
    assert heard.add(chunk(reasoning_content="hm ")) == [ReasoningDelta(text="hm ")]
    assert heard.add(chunk(reasoning="so")) == [ReasoningDelta(text="so")]
    assert heard.add(chunk(content="Yes.")) == [TextDelta(text="Yes.")]
    whole = piece("python", '{"code":"1"}', index=0, id="a")
    assert heard.add(chunk(tool_calls=[whole])) == [
        CallDelta(index=0, id="a", name="python", arguments_text='{"code":"1"}')
    ]
    heard.add(chunk("tool_calls"))
    message = heard.reply(model="m").message
    assert (message.reasoning, message.content, len(message.calls)) == ("hm so", "Yes.", 1)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [piece("f", "", index=0, id="a"), piece("", "{}", index=0), piece("g", "{}", index=1)],
            [("a", "f", "{}"), ("call_1", "g", "{}")],
            id="as OpenAI sends them",
        ),
        pytest.param(
            [piece("f", '{"a":', id="a"), piece("", "1}"), piece("g", "{}", id="b")],
            [("a", "f", '{"a":1}'), ("b", "g", "{}")],
            id="no index",
        ),
        pytest.param(
            [piece("f", '{"a":1}'), piece("f", '{"a":2}')],
            [("call_0", "f", '{"a":1}'), ("call_1", "f", '{"a":2}')],
            id="neither index nor id",
        ),
        pytest.param(
            [piece("f", '{"a":1}', index=0, id="a"), piece("g", '{"b":2}', index=0, id="b")],
            [("a", "f", '{"a":1}'), ("b", "g", '{"b":2}')],
            id="shared index",
        ),
        pytest.param(
            [piece("f", '{"a":1}', index=0, id="a"), piece("f", '{"a":2}', index=0, id="a")],
            [("a", "f", '{"a":1}'), ("call_1", "f", '{"a":2}')],
            id="shared index and id",
        ),
        pytest.param(
            [
                piece("f", '{"a":', index=0, id="a"),
                piece("g", '{"b":', index=0, id="b"),
                piece("", "1}", index=0, id="a"),
                piece("", "2}", index=0, id="b"),
            ],
            [("a", "f", '{"a":1}'), ("b", "g", '{"b":2}')],
            id="shared index, interleaved",
        ),
        pytest.param(
            [piece("f", "{}", index=0, id="a"), piece("f", "{}", index=1, id="a")],
            [("a", "f", "{}"), ("call_1", "f", "{}")],
            id="repeated id",
        ),
        pytest.param(
            [piece("f", '{"a"', index=0, id="a"), piece("f", ":1}", index=0, id="a")],
            [("a", "f", '{"a":1}')],
            id="id and name sent again with every piece",
        ),
        pytest.param(
            [piece("f", '{"a"', index=0, id="a"), piece("", ":1}", index=1, id="a")],
            [("a", "f", '{"a":1}')],
            id="index counted up with every piece",
        ),
        pytest.param(
            [piece("f", {"a": 1}), piece("f", {"a": 2})],
            [("call_0", "f", '{"a": 1}'), ("call_1", "f", '{"a": 2}')],
            id="arguments as objects",
        ),
        pytest.param(
            [piece("f", "", index=0, id="a"), piece("g", None, index=1, id="b")],
            [("a", "f", "{}"), ("b", "g", "{}")],
            id="no arguments at all",
        ),
        pytest.param(
            [piece("", '{"a":1}', index=0)], [("call_0", "", '{"a":1}')], id="no name ever"
        ),
    ],
)
def test_calls_are_told_apart_however_they_are_numbered(
    pieces: list[dict[str, Any]], expected: list[tuple[str, str, str]]
) -> None:
    assert calls(*pieces) == expected


def test_several_calls_in_one_chunk_stay_several() -> None:
    both = [piece("f", "{}", index=0, id="a"), piece("g", "{}", index=1, id="b")]
    assert len(add(chunk("tool_calls", tool_calls=both)).message.calls) == 2


def test_the_old_function_call_is_understood() -> None:
    reply = add(
        chunk(function_call={"name": "f", "arguments": '{"a"'}),
        chunk(function_call={"arguments": ":1}"}),
        chunk("function_call"),
    )
    assert [(c.name, c.arguments_text) for c in reply.message.calls] == [("f", '{"a":1}')]
    assert reply.finish is Finish.CALLS


def test_an_id_the_conversation_already_used_is_replaced() -> None:
    whole = piece("f", "{}", index=0, id="call_0")
    reply = add(chunk("tool_calls", tool_calls=[whole]), taken=("call_0", "call_1"))
    assert reply.message.calls[0].id not in ("call_0", "call_1")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("eos", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTER),
        ("tool_calls", Finish.STOP),
        ("something new", Finish.CUT),
        (None, Finish.CUT),
    ],
)
def test_only_a_reason_that_is_understood_ends_a_reply(reason: str | None, finish: Finish) -> None:
    assert add(chunk(content="x"), chunk(reason)).finish is finish


def test_calls_with_reason_stop_may_run_and_calls_cut_by_length_may_not() -> None:
    whole = chunk(tool_calls=[piece("f", "{}", index=0)])
    assert add(whole, chunk("stop")).finish is Finish.CALLS
    assert add(whole, chunk("length")).finish is Finish.LENGTH
    assert add(whole, chunk("weird")).finish is Finish.CUT


def test_calls_that_were_announced_and_never_sent_are_a_cut() -> None:
    assert add(chunk("tool_calls")).finish is Finish.CUT


def test_a_message_sent_whole_is_a_reply_too() -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}
    reply = add({"model": "x", "choices": [{"message": message, "finish_reason": "stop"}]})
    assert (reply.message.content, reply.model) == ("hi", "x")


def test_usage_is_read_in_every_provider_s_spelling() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 3}}
    assert read_usage({"prompt_tokens": 9, "completion_tokens": 2, **details}) == Usage(
        prompt_tokens=9, completion_tokens=2, cached_tokens=3
    )
    assert read_usage({"prompt_cache_hit_tokens": 4, "cost": 0.5}).cost_usd == 0.5
    broken = {"prompt_tokens": "9", "completion_tokens": -1, "cost": "free"}
    assert read_usage(broken | {"prompt_tokens_details": []}) == Usage()


def test_token_ids_and_logprobs_become_a_record_only_when_they_agree() -> None:
    def tokens(ids: list[int], logprobs: list[float]) -> dict[str, Any]:
        one = chunk(content="x")
        entries = [{"token": "x", "logprob": value} for value in logprobs]
        one["choices"][0] |= {"token_ids": ids, "logprobs": {"content": entries}}
        return one | {"prompt_token_ids": [7, 8]}

    record = add(tokens([1], [-0.5]), tokens([2, 3], [-1.0, -2.0]), chunk("stop")).tokens
    assert record is not None
    assert record.prompt_suffix_ids == (7, 8)
    assert (record.sampled_ids, record.logprobs) == ((1, 2, 3), (-0.5, -1.0, -2.0))
    assert add(tokens([1, 2], [-0.5]), chunk("stop")).tokens is None


def test_events_without_blank_lines_between_them_are_read_line_by_line() -> None:
    assert parse_chunks(b'{"a":1}\n{"b":2}\n[DONE]') == [{"a": 1}, {"b": 2}]
    assert parse_chunks(b"[1]") == []
    for garbage in (b"nonsense", b'{"a":', b"[" * 100_000):
        with pytest.raises(ValueError, match="not JSON"):
            parse_chunks(garbage)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ODD_PIECES = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "id": JSON,
        "function": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON}),
    },
)
ODD_CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "delta": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "content": JSON,
                "reasoning": JSON,
                "tool_calls": JSON | st.lists(ODD_PIECES, max_size=3),
                "function_call": JSON,
            },
        ),
        "finish_reason": JSON,
        "index": JSON,
        "logprobs": JSON,
        "token_ids": JSON,
    },
)
ODD_CHUNKS = st.fixed_dictionaries(
    {}, optional={"choices": JSON | st.lists(ODD_CHOICES, max_size=2), "usage": JSON, "model": JSON}
)


@settings(max_examples=40)
@given(st.lists(ODD_CHUNKS, max_size=4))
def test_no_json_at_all_breaks_the_sum(chunks: list[dict[str, Any]]) -> None:
    reply = add(*chunks)
    ids = [call.id for call in reply.message.calls]
    assert len(set(ids)) == len(ids)


@settings(max_examples=50)
@given(
    arguments=st.lists(st.dictionaries(st.text(max_size=5), st.integers()), min_size=1, max_size=4),
    ids=st.sampled_from(["unique", "same", "missing"]),
    indexes=st.sampled_from(["right", "same", "missing"]),
    size=st.integers(1, 9),
)
def test_calls_in_pieces_add_up_to_the_calls_sent(
    arguments: list[dict[str, int]], ids: str, indexes: str, size: int
) -> None:
    pieces: list[dict[str, Any]] = []
    for place, value in enumerate(arguments):
        text = json.dumps(value)
        numbers = {"right": {"index": place}, "same": {"index": 0}, "missing": {}}[indexes]
        given_id = {"unique": {"id": f"c{place}"}, "same": {"id": "c"}, "missing": {}}[ids]
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        pieces.append(piece("f", parts[0], **numbers, **given_id))
        pieces += [piece("", part, **numbers) for part in parts[1:]]
    assert [json.loads(text) for _, _, text in calls(*pieces)] == arguments
