"""What a server refuses is told in a sentence of cause and one of remedy, without keys."""

import gzip
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from wardian.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.refusals import sanitize, server_message
from wardian.models.retrying import Retrying
from wardian.models.scripted_server import (
    Answer,
    Received,
    ScriptedServer,
    refuse,
    stream,
    stream_calls,
    stream_text,
    web_page,
    whole,
)
from wardian.models.scripted_server import delta as chunk
from wardian.types import Delta, Finish, Reply

Ask = Callable[..., tuple[list[Delta], Reply]]
MakeModel = Callable[..., ChatModel]
KEY = "sk-live-0123456789abcdef"


@pytest.mark.parametrize(
    ("answer", "kind", "cause", "remedy"),
    [
        pytest.param(
            refuse(401, f"Incorrect API key provided: {KEY}."),
            ModelRefused,
            "refused the key from OPENAI_API_KEY (401): Incorrect API key provided: [key]",
            "Set OPENAI_API_KEY",
            id="401",
        ),
        pytest.param(refuse(403), ModelRefused, "(403)", "Set OPENAI_API_KEY", id="403"),
        pytest.param(
            refuse(404, "no such model"), ModelUnavailable, "(404): no such model", "/v1", id="404"
        ),
        pytest.param(
            web_page(404), ModelUnavailable, "answered with a web page, not JSON (404)", "/v1",
            id="404 as a web page",
        ),
        pytest.param(
            web_page(), ModelUnavailable, "answered with a web page, not JSON (200)", "/v1",
            id="200 as a web page",
        ),
        pytest.param(
            replace(web_page(), headers={"content-type": "text/plain"}),
            ModelUnavailable, "a web page", "/v1", id="a web page that says it is text",
        ),
        pytest.param(
            whole(b"hello", "text/plain"), ModelUnavailable, "no chat-completions stream: hello",
            "/v1", id="plain text",
        ),
        pytest.param(
            whole(b"{broken"), ModelUnavailable, "no chat-completions stream: {broken", "/v1",
            id="broken JSON",
        ),
        pytest.param(
            Answer(parts=(b"data: {broken\n\n",)), ModelUnavailable, "{broken", "/v1",
            id="broken JSON in the stream",
        ),
        pytest.param(
            whole(b""), ModelUnavailable, "ended its answer before saying anything", "log",
            id="empty body",
        ),
        pytest.param(
            Answer(), ModelUnavailable, "ended its answer before saying anything", "log",
            id="empty stream",
        ),
        pytest.param(
            refuse(429, "Rate limit reached", retry_after="7"), ModelRefused,
            "takes no more requests for now (429): Rate limit reached", "Try again in 7 s",
            id="429",
        ),
        pytest.param(
            refuse(500, "out of memory"), ModelUnavailable,
            "failed (500 Internal Server Error): out of memory", "log", id="500",
        ),
        pytest.param(
            web_page(502, "Bad gateway"), ModelUnavailable,
            "failed (502 Bad Gateway): Bad gateway", "log", id="502 as a web page",
        ),
        pytest.param(
            refuse(400, "This model's maximum context length is 4096 tokens."), ContextOverflow,
            "does not fit the context of openai/m", "larger context", id="context, OpenAI",
        ),
        pytest.param(
            refuse(400, "the request exceeds the available context size, try increasing it"),
            ContextOverflow, "available context size", "larger context",
            id="context, llama-server",
        ),
        pytest.param(
            refuse(413, "prompt is too long: 9 tokens > 8 maximum"), ContextOverflow,
            "prompt is too long", "larger context", id="context, 413",
        ),
        pytest.param(
            refuse(422, "bad temperature"), ModelRefused,
            "refused the request (422 Unprocessable Entity): bad temperature", "settings", id="422",
        ),
        pytest.param(
            Answer(status=307, headers={"location": "https://other.example/v1"}, framing="length"),
            ModelUnavailable, "redirects to https://other.example/v1", "base URL", id="redirect",
        ),
        pytest.param(
            stream({"error": {"message": "no slot", "code": 503}}), ModelUnavailable,
            "failed (503 Service Unavailable): no slot.", "log", id="an error in the stream",
        ),
    ],
)  # fmt: skip
def test_each_bad_answer_has_a_cause_and_a_remedy(
    answer: Answer,
    kind: type[ModelError],
    cause: str,
    remedy: str,
    ask: Ask,
    chat_model: MakeModel,
) -> None:
    with ScriptedServer(lambda _: answer) as server, pytest.raises(kind) as caught:
        ask(chat_model(server, key=KEY))
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy
    assert KEY not in str(caught.value)


def test_an_unreachable_server_is_named_with_its_url(ask: Ask) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        endpoint = Endpoint(base_url=url, start_hint="Start it with `ollama serve`.")
        once = Retrying(attempts=1)
        with pytest.raises(ModelUnavailable) as caught:
            ask(ChatModel("ollama/m", endpoint=endpoint, model_id="m", retrying=once))
    assert f"No server answers at {url}" in caught.value.cause
    assert caught.value.remedy == "Start it with `ollama serve`."


def test_a_url_that_cannot_be_asked_is_no_crash(ask: Ask, chat_model: MakeModel) -> None:
    for url in ("ftp://127.0.0.1/v1", "http://127.0.0.1:99999/v1", "http:///v1"):
        with pytest.raises(ModelUnavailable):
            ask(chat_model(url, attempts=1))


def test_a_wanted_key_that_is_not_set_is_named_by_its_variable(
    ask: Ask, chat_model: MakeModel
) -> None:
    with (
        ScriptedServer([refuse(401, "no key")]) as server,
        pytest.raises(ModelRefused, match="wants an API key and none is set") as caught,
    ):
        ask(chat_model(server))
    assert caught.value.remedy == "Set OPENAI_API_KEY."
    assert caught.value.status == 401


def test_a_missing_model_is_answered_with_those_the_server_has(ask: Ask) -> None:
    with ScriptedServer(lambda _: refuse(404, "no"), models=["qwen3:8b", "llama3"]) as server:
        endpoint = Endpoint(base_url=server.base_url, pull_hint="Fetch it: `ollama pull {model}`.")
        with pytest.raises(ModelUnavailable) as caught:
            ask(ChatModel("ollama/qwen3", endpoint=endpoint, model_id="qwen3"))
    assert "has no model 'qwen3'" in caught.value.cause
    assert caught.value.remedy == "Fetch it: `ollama pull qwen3`. It has: qwen3:8b, llama3."


@pytest.mark.parametrize("listed", [{"data": 5}, {"data": [{"name": "no id"}]}, {}, []])
def test_a_server_that_lists_nonsense_is_still_a_plain_404(
    listed: object, ask: Ask, chat_model: MakeModel
) -> None:
    def answer(received: Received) -> Answer:
        return whole(json.dumps(listed).encode()) if received.method == "GET" else refuse(404, "no")

    with (
        ScriptedServer(answer) as server,
        pytest.raises(ModelUnavailable, match="no model openai/m, or is not the API"),
    ):
        ask(chat_model(server))


def test_an_exhausted_quota_is_not_waited_for(
    ask: Ask, chat_model: MakeModel, waits: list[float]
) -> None:
    said = refuse(429, "You exceeded your current quota", code="insufficient_quota")
    with ScriptedServer([said]) as server, pytest.raises(ModelRefused, match="billing"):
        ask(chat_model(server))
    assert waits == []


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"retry_after": "3"}, [3.25]),
        ({"retry_after_ms": "1500"}, [1.75]),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, [0.25]),
        ({"retry_after": "soon"}, [0.5]),
        ({"retry_after": "-5"}, [0.5]),
        ({"retry_after": "99999999999999999999999999"}, None),
        ({"retry_after": "3600"}, None),
    ],
)
def test_a_server_s_wish_to_wait_is_heard_within_bounds(
    headers: Mapping[str, str],
    waited: list[float] | None,
    ask: Ask,
    chat_model: MakeModel,
    waits: list[float],
) -> None:
    with ScriptedServer([refuse(429, "slow down", **headers), stream_text("ok")]) as server:
        model = chat_model(server)
        if waited is None:
            with pytest.raises(ModelRefused, match="429"):
                ask(model)
        else:
            assert ask(model)[1].message.content == "ok"
    assert waits == (waited or [])


def test_an_error_after_the_first_token_is_a_cut(ask: Ask, chat_model: MakeModel) -> None:
    for broken in (b'data: {"error": {"message": "boom"}}\n\n', b"data: {nonsense\n\n"):
        parts = (*stream(chunk(content="half"), usage={}, done=False).parts, broken)
        with ScriptedServer([Answer(parts=parts)]) as server:
            _, reply = ask(chat_model(server))
        assert (reply.message.content, reply.finish) == ("half", Finish.CUT)


def test_a_text_may_end_with_the_stream_but_a_call_needs_its_reason(
    ask: Ask, chat_model: MakeModel
) -> None:
    for script, finish in (
        (stream(chunk(content="42")), Finish.STOP),
        (stream(chunk(content="42"), done=False), Finish.CUT),
        (stream_calls([("python", {"code": "1"})], finish_reason=None), Finish.CUT),
    ):
        with ScriptedServer([script]) as server:
            assert ask(chat_model(server))[1].finish is finish


def test_a_body_compressed_unasked_is_read(ask: Ask, chat_model: MakeModel) -> None:
    data = gzip.compress(b"".join(stream_text("small").parts))
    squeezed = Answer(headers={"content-encoding": "gzip"}, parts=(data[:20], data[20:]))
    broken = replace(squeezed, parts=(b"not gzip at all",))
    with ScriptedServer([squeezed, broken, squeezed]) as server:
        model = chat_model(server)
        assert ask(model)[1].message.content == "small"
        assert ask(model)[1].message.content == "small"


def test_a_huge_error_body_is_bounded(ask: Ask, chat_model: MakeModel) -> None:
    with (
        ScriptedServer([refuse(400, "x" * 5_000_000)]) as server,
        pytest.raises(ModelRefused) as caught,
    ):
        ask(chat_model(server))
    assert len(str(caught.value)) < 1000


def test_what_a_server_says_is_one_line_without_keys_or_escapes() -> None:
    said = sanitize("a\x1b[31mred\x00\r\n\u202eb sk-proj-abcdef123456 Bearer abc.def", "hunter22")
    assert said == "a [31mred b [key] Bearer [key]"
    assert sanitize("key hunter22 shown", "hunter22") == "key [key] shown"
    assert len(sanitize("word " * 10_000)) <= 401


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "m", "code": "c"}}, "m [c]"),
        ({"error": "plain"}, "plain"),
        ({"message": "m"}, "m"),
        ({"detail": [{"loc": ["a"], "msg": "missing"}]}, '[{"loc": ["a"], "msg": "missing"}]'),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"error": {"message": None}}, ""),
        (5, ""),
    ],
)
def test_the_sentence_is_found_in_every_shape_of_error(body: object, message: str) -> None:
    assert server_message(json.dumps(body).encode()) == message
