"""All other providers, through litellm.

litellm is imported when the first request is made: its import alone takes over 4 CPU-seconds.
Before that it is told not to load `.env` from the working folder, not to fetch a price list,
and not to print.
"""

import asyncio
import importlib
import json
import os
import re
import time
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import cache
from typing import Any

from wardian.errors import ContextOverflow, ModelError, ModelUnavailable
from wardian.models.accumulate import Accumulator, ReplyTooLarge
from wardian.models.block import check_real_model_allowed
from wardian.models.http_endpoint import is_loopback, without_userinfo
from wardian.models.keys import ApiKey, key_variable
from wardian.models.refusals import Asked, refusal, sanitize
from wardian.models.retrying import Retryable, Retrying
from wardian.models.wire import message_as_json, sampling_as_json, schema_as_json, tool_as_json
from wardian.types import Delta, Reply, Request, Usage

COMPROMISED_VERSIONS = frozenset({"1.82.7", "1.82.8"})
"""Published with a stolen token on 2026-03-24; they steal credentials."""

_PREFIXES = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)(?:: | - ))+")
"""`litellm.BadRequestError: OpenAIException - ` before what the provider said"""

_QUIET = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


class LitellmModel:
    """A model of any provider litellm knows: `anthropic/…`, `gemini/…`, `groq/…`.

    The same behaviour as `ChatModel`: retries before the first token only, an idle timeout, a
    broken stream is a cut reply. Sampling parameters a provider does not know are left out.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: ApiKey | None = None,
        idle_timeout_seconds: float = 300.0,
        retrying: Retrying = Retrying(),  # noqa: B008 - frozen
    ) -> None:
        """Without `api_key` litellm looks for the provider's own variables."""
        self._name = name
        self._base_url = base_url
        self._api_key = api_key
        self._idle_timeout_seconds = idle_timeout_seconds
        self._retrying = retrying

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_local(self) -> bool:
        return self._base_url is not None and is_loopback(self._base_url)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "kind": "litellm",
            "model": self._name,
            "endpoint": without_userinfo(self._base_url) if self._base_url else None,
            "litellm": _installed_version(),
            "key_from": self._api_key.source if self._api_key else None,
        }

    def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Yield deltas, then the reply. Raises: ModelError."""
        check_real_model_allowed(self._name)
        return self._retrying.stream(lambda: self._attempt(request))

    def secrets(self) -> Mapping[str, str]:
        """The key it sends; those litellm finds by itself are in the environment."""
        return {self._api_key.source: self._api_key.reveal()} if self._api_key else {}

    async def close(self) -> None:
        """Nothing to close: litellm keeps its connections for all its users."""

    async def _attempt(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """One exchange. Raises: Retryable before the first delta; ModelError."""
        litellm = await asyncio.to_thread(load_litellm)  # seconds, when it is the first time
        taken = (call.id for message in request.messages for call in message.calls)
        heard = Accumulator(taken)
        asked_at = time.monotonic()
        first_at: float | None = None
        try:
            async with asyncio.timeout(self._idle_timeout_seconds):
                chunks = await litellm.acompletion(**self._arguments(request))
            async with aclosing(self._read(chunks, heard)) as deltas:
                async for delta in deltas:
                    first_at = first_at or time.monotonic()
                    yield delta
        except ReplyTooLarge:
            heard.finish_reason = None
        except Exception as e:  # litellm's errors share no base class with its providers'
            if heard.is_empty and not heard.has_finished:
                raise self._failure(e) from e
        if heard.is_empty and not heard.has_finished:
            cause = f"{self._name} ended its answer before saying anything."
            raise Retryable(ModelUnavailable(cause, "Try again later."))
        if heard.usage.cost_usd is None and heard.usage.total_tokens:
            cost_usd = _cost_usd(litellm, self._name, heard.usage)
            heard.usage = replace(heard.usage, cost_usd=cost_usd)
        seconds = None if first_at is None else first_at - asked_at
        yield heard.reply(model=self._name, seconds_to_first_token=seconds)

    async def _read(self, chunks: Any, heard: Accumulator) -> AsyncGenerator[Delta]:
        iterator = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout(self._idle_timeout_seconds):
                    chunk = await anext(iterator)
            except StopAsyncIteration:
                break
            for delta in heard.add(chunk.model_dump()):
                yield delta
        # litellm ends every stream with a finish reason, one it made up where none came.
        came = getattr(chunks, "received_finish_reason", heard.finish_reason)
        if came is None and getattr(chunks, "intermittent_finish_reason", None) is None:
            heard.finish_reason = None

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self._name,
            "messages": [message_as_json(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
            "_skip_mcp_handler": True,  # its own MCP gateway, which needs a package it leaves out
            "timeout": self._idle_timeout_seconds,
            **sampling_as_json(request.sampling),
        }
        if request.tools:
            arguments["tools"] = [tool_as_json(tool) for tool in request.tools]
            if request.must_call:
                arguments["tool_choice"] = "required"
        if request.output_schema is not None and not request.tools:
            arguments["response_format"] = schema_as_json(request.output_schema)
        if self._base_url:
            arguments["api_base"] = self._base_url
        if self._api_key:
            arguments["api_key"] = self._api_key.reveal()
        return arguments

    def _failure(self, error: Exception) -> Exception:
        """What an exception of litellm's becomes: a `ModelError`, or a `Retryable` around one."""
        if isinstance(error, ModelError):
            return error
        key = self._api_key.reveal() if self._api_key else ""
        words = _PREFIXES.sub("", str(getattr(error, "message", "") or error))
        said = sanitize(words, key)
        kind = type(error).__name__
        if kind == "ContextWindowExceededError":
            cause = f"The conversation does not fit the context of {self._name}: {said}"
            return ContextOverflow(
                cause, "Use a model with a larger context, or give it less to read."
            )
        if isinstance(error, TimeoutError) or kind == "Timeout":
            cause = f"{self._name} said nothing for too long."
            return Retryable(ModelUnavailable(cause, "Try again later."))
        status = getattr(error, "status_code", None)
        if kind == "APIConnectionError" or not isinstance(status, int):
            cause = f"{self._name} could not be asked: {said or kind}."
            remedy = "Check the connection, the model's name and the provider's settings."
            unavailable = ModelUnavailable(cause, remedy)
            return Retryable(unavailable) if kind == "APIConnectionError" else unavailable
        # `error.response` is made up and has no headers.
        sent: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
        headers = {name.lower(): value for name, value in sent.items()}
        body = json.dumps({"error": {"message": said}}).encode()
        return refusal(status, headers, body, self._asked(key))

    def _asked(self, key: str) -> Asked:
        provider = self._name.partition("/")[0]
        return Asked(
            name=self._name,
            url=without_userinfo(self._base_url) if self._base_url else provider,
            key_source=self._api_key.source if self._api_key else None,
            key_variable=key_variable(provider),
            key=key,
        )


@cache
def load_litellm() -> Any:
    """The module, told to be quiet. Raises: ModelUnavailable."""
    version = _installed_version()
    if version is None:
        raise ModelUnavailable(
            "This provider is reached through litellm, which is not installed.",
            "Install it: pip install 'wardian[api]'",
        )
    if version in COMPROMISED_VERSIONS:
        raise ModelUnavailable(
            f"litellm {version} is a compromised release that steals credentials.",
            "Replace it (pip install --upgrade 'wardian[api]') and change the keys this machine"
            " holds.",
        )
    os.environ.update(_QUIET)
    ignore_what_is_left_behind()
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


def ignore_what_is_left_behind() -> None:
    """litellm makes a request's coroutine in a thread: given up just then, nobody awaits it."""
    left = r"coroutine '\w*(LLM|Completion)\w*\.\w+' was never awaited"
    warnings.filterwarnings("ignore", left, RuntimeWarning)


def _installed_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("litellm")
    except PackageNotFoundError:
        return None


def _cost_usd(litellm: Any, name: str, usage: Usage) -> float | None:
    """What litellm's price list makes of it; None for a model it does not list."""
    with suppress(Exception):  # it raises whatever it likes for a model it does not know
        prompt_usd, completion_usd = litellm.cost_per_token(
            model=name,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cache_read_input_tokens=usage.cached_tokens,
        )
        return float(prompt_usd + completion_usd)
    return None
