"""What a provider's refusal means, told in one sentence of cause and one of remedy.

Covers: bounded length, control characters, the key that was sent, and anything that looks like
a key. Does not cover: other secrets a server may repeat from the prompt.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from wardian.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable
from wardian.models.json_shapes import is_list, is_object
from wardian.models.retrying import Retryable, is_retried, retry_after_seconds

BODY_LIMIT_BYTES = 65536
MESSAGE_LIMIT_CHARS = 400

# Patterns are strings: `re` compiles and keeps each when first used, which most runs never do.
_KEY_LIKE = (
    r"(?i)\b(?:sk|pk|rk|gsk|hf|xai|key|api)[-_][A-Za-z0-9*_\-.]{6,}|(?<=bearer )\S+|\bAIza[\w-]{8,}"
)
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+"
_CONTEXT = (
    r"(?i)context[ _]?(?:length|window|size)|maximum (?:context|model) length|max_model_len"
    r"|prompt (?:is|was)? ?too long|input (?:is|was)? ?too long|too many (?:input )?tokens"
    r"|exceeds? .{0,40}(?:context|token limit)|reduce the length of the (?:messages|prompt)"
)
_QUOTA = r"(?i)insufficient_quota|billing|exceeded your current quota|credit balance"
_HTML = rb"(?is)\s*(?:<!--.*?-->\s*)?<(?:!doctype|html|head|body)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom we asked, for the sentence."""

    name: str
    url: str
    """without user or password"""
    key_source: str | None
    """None when no key was sent"""
    key_variable: str
    """Where a key would be looked for; "" when the endpoint has no such variable"""
    key: str = ""
    """only to be removed from what the server says"""


def refusal(status: int, headers: Mapping[str, str], body: bytes, asked: Asked) -> Exception:
    """The error an unwelcome answer becomes: a `ModelError`, or a `Retryable` around one."""
    said = server_message(body, asked.key)
    error = _error(status, headers, body, said, asked)
    if isinstance(error, ContextOverflow) or not is_retried(status):
        return error
    if status == HTTPStatus.TOO_MANY_REQUESTS and re.search(_QUOTA, said):
        return error
    return Retryable(error, retry_after_seconds=retry_after_seconds(headers))


def _error(
    status: int, headers: Mapping[str, str], body: bytes, said: str, asked: Asked
) -> ModelError:
    tail = f": {said.rstrip('.')}." if said else "."
    if status in (401, 403):
        return _key_refused(status, tail, asked)
    if status == 429:
        return _limited(headers, tail, said, asked)
    if (status in (400, 413, 422) or status >= 500) and re.search(_CONTEXT, said):
        return ContextOverflow(
            f"The conversation does not fit the context of {asked.name}{tail}",
            "Use a model with a larger context, or give it less to read.",
        )
    if 300 <= status < 400:
        target = sanitize(headers.get("location", "elsewhere"), asked.key)
        return ModelUnavailable(
            f"{asked.url} redirects to {target}.", "Use that address as the base URL."
        )
    if is_html(headers, body) and status < 500:
        return web_page(status, asked)
    if status == 404:
        return ModelUnavailable(
            f"{asked.url} has no model {asked.name}, or is not the API's address (404){tail}",
            "Check the model's name and the base URL, which usually ends in /v1.",
        )
    if is_retried(status):
        return ModelUnavailable(
            f"The server at {asked.url} failed ({_named(status)}){tail}",
            "Look at the server's log, or try again later.",
        )
    return ModelRefused(
        f"The server at {asked.url} refused the request ({_named(status)}){tail}",
        "Check the model's name and the settings sent with it.",
        status=status,
    )


def _key_refused(status: int, tail: str, asked: Asked) -> ModelRefused:
    variable = asked.key_variable
    if asked.key_source is None:
        remedy = f"Set {variable}." if variable else "Set the key that server expects."
        return ModelRefused(
            f"The server at {asked.url} wants an API key and none is set ({status}){tail}",
            remedy,
            status=status,
        )
    return ModelRefused(
        f"The server at {asked.url} refused the key from {asked.key_source} ({status}){tail}",
        f"Set {variable or asked.key_source} to a key that may use {asked.name}.",
        status=status,
    )


def _limited(headers: Mapping[str, str], tail: str, said: str, asked: Asked) -> ModelRefused:
    if re.search(_QUOTA, said):
        remedy = "Look at the plan and billing of that account."
    else:
        wait = retry_after_seconds(headers)
        when = f"in {wait:.0f} s" if wait else "later"
        remedy = f"Try again {when}, or run fewer agents at once."
    return ModelRefused(
        f"The server at {asked.url} takes no more requests for now (429){tail}", remedy, status=429
    )


def web_page(status: int, asked: Asked) -> ModelUnavailable:
    return ModelUnavailable(
        f"{asked.url} answered with a web page, not JSON ({status}).",
        "Is the URL right? A base URL usually ends in /v1.",
    )


def is_html(headers: Mapping[str, str], body: bytes) -> bool:
    is_declared = headers.get("content-type", "").lower().startswith("text/html")
    return is_declared or re.match(_HTML, body) is not None


def server_message(body: bytes, key: str = "") -> str:
    """The sentence in an error body, fit to be shown; "" when it holds none."""
    if re.match(_HTML, body):
        title = re.search(rb"(?is)<title[^>]*>(.*?)</title>", body)
        return sanitize(title[1].decode("utf-8", "replace"), key) if title else ""
    text = body.decode("utf-8", "replace")
    try:
        said = _message_in(json.loads(text))
    except (ValueError, RecursionError):
        said = text
    return sanitize(said, key)


def _message_in(value: Any) -> str:
    """OpenAI: error.message and error.code; others: error, message, or detail."""
    if is_list(value) and value:
        value = value[0]
    if not is_object(value):
        return value if isinstance(value, str) else ""
    inner = next((value[n] for n in ("error", "message", "detail") if value.get(n)), "")
    if is_object(inner):
        said = inner.get("message") or inner.get("detail") or ""
        code = inner.get("code") or inner.get("type") or ""
        is_new = isinstance(code, str) and code and code not in str(said)
        return f"{said} [{code}]" if is_new else str(said)
    return inner if isinstance(inner, str) else json.dumps(inner)


def sanitize(text: str, key: str = "") -> str:
    """One bounded line without control characters and without keys."""
    if len(key) >= 4:
        text = text.replace(key, "[key]")
    text = re.sub(_CONTROL, " ", text[: MESSAGE_LIMIT_CHARS * 8])
    text = " ".join(re.sub(_KEY_LIKE, "[key]", text).split())
    return text if len(text) <= MESSAGE_LIMIT_CHARS else f"{text[:MESSAGE_LIMIT_CHARS]}…"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
