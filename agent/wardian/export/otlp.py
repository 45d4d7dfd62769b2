"""Sends a written file of spans to a collector: OTLP over HTTP, in its binary form.

A request is one run's. One that is refused for now is sent again, as the specification says; what a
collector takes twice has the same ids. Redirects are not followed.
Source: OpenTelemetry protocol 1.7, "OTLP/HTTP", "Retryable response codes", "Partial success".
"""

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from wardian.errors import ConfigurationError, StorageError
from wardian.export.rows import Row
from wardian.models.retrying import Retrying, retry_after_seconds

TRACES_PATH = "/v1/traces"
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
RETRIED = frozenset({429, 502, 503, 504})
TIMEOUT_SECONDS = 10.0
SHOWN_CHARS = 200
SENT_AS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


def send(
    path: Path, endpoint: str, headers: Mapping[str, str], retrying: Retrying | None = None
) -> int:
    """Send every request of the file, and give the number of spans that were taken.

    Raises: ConfigurationError without opentelemetry-proto, or for an address that is none;
    StorageError for what the collector did not take.
    """
    url = traces_url(endpoint)
    try:
        service: Any = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        parse_dict: Any = import_module("google.protobuf.json_format").ParseDict
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Sending spans needs opentelemetry-proto, which is not installed.",
            "Install the extra: pip install 'wardian[otel]'.",
        ) from error
    import httpx2

    taken = 0
    with httpx2.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        for row in rows_of(path):
            request = parse_dict(with_binary_ids(row), service.ExportTraceServiceRequest())
            content = gzip.compress(request.SerializeToString())
            post = partial(client.post, url, headers={**headers, **SENT_AS}, content=content)
            answer = _posted(post, url, retrying or Retrying(), httpx2.RequestError)
            response = service.ExportTraceServiceResponse()
            _read(response, answer)
            if rejected := response.partial_success.rejected_spans:
                why = response.partial_success.error_message[:SHOWN_CHARS]
                raise StorageError(
                    f"{endpoint} took all but {rejected} spans: {why}", "See the collector's log."
                )
            taken += len(row["resourceSpans"][0]["scopeSpans"][0]["spans"])
    return taken


def traces_url(endpoint: str) -> str:
    """An address without a path is a collector's own, whose place for spans is known.

    Raises: ConfigurationError.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{endpoint!r} is no collector's address.", "Write one like http://localhost:4318."
        )
    return urlunsplit(parts._replace(path=TRACES_PATH)) if parts.path in ("", "/") else endpoint


def headers_of(text: str) -> dict[str, str]:
    """`name=value,…` with values as URLs write them. Source: OpenTelemetry, "Baggage" headers."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def rows_of(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error


def with_binary_ids(row: Row) -> Row:
    """OTLP's JSON writes ids in hexadecimal; protobuf's own reader takes bytes as base64."""
    for span in row["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for holder in (span, *span.get("links", ())):
            for name in {"traceId", "spanId", "parentSpanId"} & holder.keys():
                holder[name] = base64.b64encode(bytes.fromhex(holder[name])).decode()
    return row


def _posted(
    post: Callable[[], Any], url: str, retrying: Retrying, unreachable: type[Exception]
) -> bytes:
    """What the collector answered. Raises: StorageError."""
    attempt = 1
    while True:
        after: float | None = None
        try:
            response = post()
            if response.is_success:
                return bytes(response.content)
            problem = f"answered {response.status_code}: {response.text[:SHOWN_CHARS]}"
            is_final = response.status_code not in RETRIED
            after = retry_after_seconds(response.headers)
        except unreachable as error:
            problem, is_final = f"cannot be reached ({error})", False
        wait = None if is_final else retrying.wait_seconds(attempt, after)
        if wait is None:
            raise StorageError(
                f"The collector at {url} {problem}.",
                "Check its address and that it is there; what it took, it keeps.",
            )
        time.sleep(wait)
        attempt += 1


def _read(response: Any, answer: bytes) -> None:
    """Some collectors answer with JSON or nothing, which says that all is well."""
    try:
        response.ParseFromString(answer)
    except Exception:  # noqa: BLE001 - protobuf's DecodeError, whose module loads with it
        response.Clear()
