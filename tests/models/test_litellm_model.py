"""LitellmModel, through the real litellm, against a server on loopback."""

import asyncio
import gc
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from wardian.errors import ContextOverflow, ModelRefused, ModelUnavailable
from wardian.models.keys import ApiKey
from wardian.models.litellm_model import (
    LitellmModel,
    ignore_what_is_left_behind,
    load_litellm,
)
from wardian.models.retrying import Retrying
from wardian.models.scripted_server import (
    Answer,
    Framing,
    ScriptedServer,
    refuse,
    stream_calls,
    stream_text,
    web_page,
)
from wardian.types import Delta, Finish, Reply, TextDelta

Ask = Callable[..., tuple[list[Delta], Reply]]
KEY = "sk-live-0123456789abcdef"

needs_litellm = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="litellm is not installed: wardian[api]"
)
# Two warnings of litellm's own, about its own use of pydantic and of asyncio.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def model(waits: list[float]) -> Callable[[ScriptedServer], LitellmModel]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def make(server: ScriptedServer) -> LitellmModel:
        return LitellmModel(
            "openai/gpt-4o-mini",
            base_url=server.base_url,
            api_key=ApiKey("OPENAI_API_KEY", lambda: KEY),
            retrying=Retrying(sleep=sleep, random=lambda: 1.0),
        )

    return make


MakeModel = Callable[[ScriptedServer], LitellmModel]


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str | None) -> None:
    """Let the import system find litellm in this version only, or not at all."""
    load_litellm.cache_clear()
    if version is not None:
        metadata = folder / f"litellm-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(folder)])


def test_a_missing_litellm_is_answered_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Ask
) -> None:
    installed(monkeypatch, tmp_path, None)
    with pytest.raises(ModelUnavailable) as caught:
        ask(LitellmModel("anthropic/claude"))
    assert "pip install 'wardian[api]'" in caught.value.remedy


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_the_compromised_releases_are_not_imported(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Ask
) -> None:
    installed(monkeypatch, tmp_path, version)
    assert Distribution.from_name("litellm").version == version
    (tmp_path / "litellm.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelUnavailable, match="compromised"):
        ask(LitellmModel("anthropic/claude"))


@needs_litellm
def test_text_and_calls_come_through_litellm_as_from_any_server(ask: Ask, model: MakeModel) -> None:
    calls = [("python", {"code": "1+1"}), ("python", {"code": "2"})]
    with ScriptedServer([stream_text("Hello there."), stream_calls(calls)]) as server:
        deltas, reply = ask(model(server))
        assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "Hello there."
        assert (reply.message.content, reply.finish) == ("Hello there.", Finish.STOP)
        assert reply.usage.total_tokens == 15
        assert reply.usage.cost_usd is not None
        _, reply = ask(model(server))
        assert reply.finish is Finish.CALLS
        sent = [(c.name, json.loads(c.arguments_text)) for c in reply.message.calls]
        assert sent == calls
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
        assert server.received[0].json["tools"][0]["function"]["name"] == "python"


@needs_litellm
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_cut_behind_litellm_is_a_cut(framing: Framing, ask: Ask, model: MakeModel) -> None:
    parts = stream_calls([("python", {"code": "print(1)"})]).parts[:-3]  # no finish reason comes
    answer = Answer(parts=parts, framing=framing)
    lost_bytes = 5 if framing == "chunked" else 0
    broken = replace(answer, cut_after_bytes=len(answer.encode()) - lost_bytes)
    with ScriptedServer([broken, stream_text("glued")]) as server:
        _, reply = ask(model(server))
        assert len(server.received) == 1
    assert reply.finish is Finish.CUT


@needs_litellm
def test_failures_before_the_first_token_are_tried_again(
    ask: Ask, model: MakeModel, waits: list[float]
) -> None:
    answers = [refuse(429, "slow", retry_after="3"), web_page(502), stream_text("ok")]
    with ScriptedServer(answers) as server:
        assert ask(model(server))[1].message.content == "ok"
        assert len(server.received) == 3
    assert waits == [3.25, 1.0]


@needs_litellm
@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (refuse(401, f"bad key {KEY}"), ModelRefused, "refused the key from OPENAI_API_KEY (401)"),
        (refuse(400, "maximum context length is 4096 tokens", code="context_length_exceeded"),
         ContextOverflow, "does not fit"),
        (refuse(404, "no such model"), ModelUnavailable, "(404): no such model"),
        (refuse(500, "boom"), ModelUnavailable, "(500 Internal Server Error): boom"),
        (Answer(framing="length"), ModelUnavailable, "before saying anything"),
    ],
    ids=["401", "context", "404", "500", "empty"],
)  # fmt: skip
def test_refusals_read_as_chat_model_s_do(
    answer: Answer, kind: type[Exception], cause: str, ask: Ask, model: MakeModel
) -> None:
    with ScriptedServer(lambda _: answer) as server, pytest.raises(kind) as caught:
        ask(model(server))
    assert cause in str(caught.value)
    assert KEY not in str(caught.value)


@needs_litellm
def test_litellm_neither_prints_nor_reads_the_folder_s_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STOLEN=yes\n")
    program = (
        "import os; from wardian.models.litellm_model import load_litellm; load_litellm();"
        "assert 'STOLEN' not in os.environ"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@needs_litellm
def test_a_silent_server_behind_litellm_is_an_error(ask: Ask, waits: list[float]) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    with ScriptedServer(lambda _: Answer(stall_after_bytes=0)) as server:
        model = LitellmModel(
            "openai/m",
            base_url=server.base_url,
            api_key=ApiKey("OPENAI_API_KEY", lambda: KEY),
            idle_timeout_seconds=0.2,
            retrying=Retrying(attempts=2, sleep=sleep),
        )
        with pytest.raises(ModelUnavailable, match="said nothing for too long"):
            ask(model)
    assert len(waits) == 1


class BaseLLMHTTPHandler:
    """Of the name that litellm's own has."""

    async def acompletion_stream_function(self) -> None:
        """Is awaited by whoever asked, if anyone still waits."""


async def of_our_own() -> None:
    """Not litellm's."""


def test_only_what_litellm_leaves_behind_is_not_warned_of() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ignore_what_is_left_behind()
        BaseLLMHTTPHandler().acompletion_stream_function()  # type: ignore[unused-coroutine]  # the case
        of_our_own()  # type: ignore[unused-coroutine]  # the twin that is warned of
        gc.collect()
    assert [str(warning.message) for warning in said] == [
        "coroutine 'of_our_own' was never awaited"
    ]
