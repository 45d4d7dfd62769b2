"""A streaming client for every endpoint that speaks OpenAI's chat completions.

Ollama, vLLM, llama-server, LM Studio, OpenAI itself, and most others.
"""

import difflib
import hashlib
import json
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from wardian._version import __version__
from wardian.errors import ModelUnavailable
from wardian.models.accumulate import Accumulator
from wardian.models.block import check_real_model_allowed
from wardian.models.chat_stream import ErrorInStream, NotAStream, read_deltas
from wardian.models.http_endpoint import (
    FailureKind,
    HttpEndpoint,
    HttpFailure,
    HttpResponse,
    is_loopback,
    without_userinfo,
)
from wardian.models.json_shapes import is_object
from wardian.models.keys import ApiKey
from wardian.models.refusals import (
    BODY_LIMIT_BYTES,
    Asked,
    is_html,
    refusal,
    sanitize,
    server_message,
    web_page,
)
from wardian.models.retrying import AskAgain, Retryable, Retrying
from wardian.models.wire import Dialect, RequestEncoder
from wardian.types import Delta, Exchange, Reply, Request

ERROR_BODY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an OpenAI-compatible server is and how it wants to be spoken to."""

    base_url: str
    """including `/v1`; may hold `user:password@`, which is sent and never shown"""
    key_variable: str = ""
    """Named to the user when the server wants a key"""
    start_hint: str = "Start the server, or check --base-url."
    """Remedy when nobody answers"""
    pull_hint: str = ""
    """Remedy when the server lacks the model; `{model}` stands for its id"""
    dialect: Dialect = field(default_factory=Dialect)


class ChatModel:
    """A model behind an OpenAI-compatible endpoint.

    Retries before the first token only. A stream that breaks later is a reply with
    `Finish.CUT`. There is no limit on requests in flight.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: Endpoint | str,
        model_id: str,
        api_key: ApiKey | None = None,
        connect_timeout_seconds: float = 10.0,
        idle_timeout_seconds: float = 300.0,
        retrying: Retrying = Retrying(),  # noqa: B008 - frozen
    ) -> None:
        """`idle_timeout_seconds` bounds the wait for each piece, the first one included: a local
        server may read a long prompt for minutes before it says anything."""
        if isinstance(endpoint, str):
            endpoint = Endpoint(base_url=endpoint)
        self._name = name
        self._endpoint = endpoint
        self._model_id = model_id
        self._api_key = api_key
        self._retrying = retrying
        self._shown_url = without_userinfo(endpoint.base_url).rstrip("/")
        self._http = HttpEndpoint(
            self._shown_url,
            connect_timeout_seconds=connect_timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
        )
        self._encoder = RequestEncoder(model_id, endpoint.dialect)

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_local(self) -> bool:
        return is_loopback(self._shown_url)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "kind": "chat",
            "endpoint": self._shown_url,
            "model": self._model_id,
            "key_from": self._api_key.source if self._api_key else None,
        }

    def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Yield deltas, then the reply. Raises: ModelError."""
        check_real_model_allowed(self._name)
        return self._retrying.stream(lambda: self._attempt(request))

    def secrets(self) -> Mapping[str, str]:
        """The key and the password it sends."""
        held = {self._api_key.source: self._api_key.reveal()} if self._api_key else {}
        password = urlsplit(self._endpoint.base_url).password
        return {**held, **({"base URL": unquote(password)} if password else {})}

    async def close(self) -> None:
        """Close the running loop's connections; the model can still be used."""
        await self._http.close()

    async def _attempt(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """One exchange. Raises: Retryable or AskAgain before the first delta; ModelError."""
        encoder = self._encoder
        key = self._api_key.reveal() if self._api_key else ""
        taken = (call.id for message in request.messages for call in message.calls)
        heard = Accumulator(taken, calls_in_text=request.calls_in_text)
        asked_at = time.monotonic()
        first_at: float | None = None
        options = encoder.options(request)
        body = encoder.body(options, request)
        try:
            async with self._http.request(
                "POST", "/chat/completions", self._headers(key), body
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response, encoder.dialect, key)
                async with aclosing(read_deltas(response, heard)) as deltas:
                    async for delta in deltas:
                        first_at = first_at or time.monotonic()
                        yield delta
        except NotAStream as e:
            raise self._no_stream(e.body, key) from e
        except ErrorInStream as e:
            raise refusal(_status_in(e.body), {}, e.body, self._asked(key)) from e
        except HttpFailure as e:
            if heard.is_empty and not heard.has_finished:
                raise self._failure(e, key) from e
        if heard.is_empty and not heard.has_finished:
            raise Retryable(
                ModelUnavailable(
                    f"The server at {self._shown_url} ended its answer before saying anything.",
                    "Look at the server's log: it may have run out of memory or context.",
                )
            )
        seconds = None if first_at is None else first_at - asked_at
        exchange = Exchange(
            request_sha256=hashlib.sha256(body).hexdigest(),
            options=options,
            sends_reasoning=encoder.dialect.send_reasoning,
            answered=heard.answered,
        )
        reply = heard.reply(model=self._model_id, seconds_to_first_token=seconds)
        yield replace(reply, exchange=exchange)

    async def _refusal(self, response: HttpResponse, dialect: Dialect, key: str) -> Exception:
        """What a status other than 200 becomes."""
        body = await response.read(BODY_LIMIT_BYTES, ERROR_BODY_SECONDS)
        if response.status in (400, 422) and self._has_adapted(server_message(body), dialect):
            return AskAgain()
        if response.status == 404 and not is_html(response.headers, body):
            return await self._not_found(body, key)
        return refusal(response.status, response.headers, body, self._asked(key))

    def _has_adapted(self, said: str, dialect: Dialect) -> bool:
        """Leave out, once each, what this server says it does not take."""
        if dialect is not self._encoder.dialect:
            return True  # a request in flight beside this one has learnt it already
        if dialect.include_usage and "stream_options" in said:
            dialect = replace(dialect, include_usage=False)
        elif dialect.max_tokens_name == "max_tokens" and "max_completion_tokens" in said:
            dialect = replace(dialect, max_tokens_name="max_completion_tokens")
        elif dialect.send_schema and ("response_format" in said or "json_schema" in said):
            dialect = replace(dialect, send_schema=False)
        elif dialect.record_tokens and ("logprobs" in said or "return_token_ids" in said):
            dialect = replace(dialect, record_tokens=False)
        else:
            return False
        self._encoder = RequestEncoder(self._model_id, dialect)
        return True

    async def _not_found(self, body: bytes, key: str) -> Exception:
        """A 404 told apart: the model is missing, or this is not where the API is."""
        known = await self._list_models(key)
        if not known:
            return refusal(404, {}, body, self._asked(key))
        near = difflib.get_close_matches(self._model_id, known, n=8, cutoff=0.0)
        listed = ", ".join(sanitize(name) for name in near)
        pull = self._endpoint.pull_hint.format(model=self._model_id)
        return ModelUnavailable(
            f"The server at {self._shown_url} has no model {self._model_id!r}.",
            f"{pull} It has: {listed}.".strip(),
        )

    async def _list_models(self, key: str) -> list[str]:
        """The ids the server offers; none where it does not say."""
        try:
            async with self._http.request("GET", "/models", self._headers(key)) as response:
                body = await response.read(1024 * 1024, ERROR_BODY_SECONDS)
                listed = json.loads(body)["data"]
                return [str(entry["id"]) for entry in listed]
        except (HttpFailure, ValueError, RecursionError, KeyError, TypeError):
            return []

    def _failure(self, failure: HttpFailure, key: str) -> Exception:
        """What an exchange that failed below HTTP becomes."""
        said = sanitize(failure.detail, key)
        url = self._shown_url
        match failure.kind:
            case FailureKind.REQUEST:
                return ModelUnavailable(
                    f"No request can be sent to {url}: {said}.", "Check the base URL."
                )
            case FailureKind.CONNECT:
                cause = f"No server answers at {url}: {said or 'no connection'}."
                return Retryable(ModelUnavailable(cause, self._endpoint.start_hint))
            case FailureKind.TIMEOUT:
                cause = f"The server at {url} said nothing for too long."
                remedy = "Look whether it is still working, or allow it a longer idle timeout."
                error = ModelUnavailable(cause, remedy)
                # A local server would read the same prompt again, on a machine already too slow.
                return error if self.is_local else Retryable(error)
            case FailureKind.BROKEN:
                cause = f"The server at {url} broke off: {said or 'connection lost'}."
                return Retryable(ModelUnavailable(cause, "Look at the server's log."))

    def _no_stream(self, body: bytes, key: str) -> ModelUnavailable:
        if is_html({}, body):
            return web_page(200, self._asked(key))
        said = sanitize(body[:200].decode("utf-8", "replace"), key)
        return ModelUnavailable(
            f"What {self._shown_url} answers is no chat-completions stream: {said}",
            "Is the URL right? A base URL usually ends in /v1.",
        )

    def _headers(self, key: str) -> list[tuple[str, str]]:
        headers = [
            ("accept", "text/event-stream"),
            ("content-type", "application/json"),
            ("user-agent", f"wardian/{__version__}"),
        ]
        if key:
            headers.append(("authorization", f"Bearer {key}"))
        elif userinfo := urlsplit(self._endpoint.base_url).netloc.rpartition("@")[0]:
            basic = b64encode(unquote(userinfo).encode()).decode("ascii")
            headers.append(("authorization", f"Basic {basic}"))
        return headers

    def _asked(self, key: str) -> Asked:
        return Asked(
            name=self._name,
            url=self._shown_url,
            key_source=self._api_key.source if self._api_key else None,
            key_variable=self._endpoint.key_variable,
            key=key,
        )


def _status_in(body: bytes) -> int:
    """The HTTP status an error inside a stream names; 500 where it names none."""
    error = json.loads(body)["error"]
    code = error.get("code") if is_object(error) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
