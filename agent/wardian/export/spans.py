"""Requests of OTLP in their JSON form: ids in hexadecimal, 64-bit numbers as texts.

Source: OpenTelemetry protocol 1.7, "JSON Protobuf Encoding".
"""

import hashlib
from datetime import UTC, datetime
from typing import cast

from wardian.export.rows import Row

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
INTERNAL, CLIENT = 1, 3
ERROR = 2
"""Source: opentelemetry/proto/trace/v1/trace.proto, `SpanKind`, `StatusCode`"""


def trace_id(run_id: str) -> str:
    """Of the run that a person asked for; those below it share it."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:32]


def span_id(run_id: str, *names: object) -> str:
    """Of the run itself, or of what is named in it."""
    text = "/".join([run_id, *map(str, names)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def request(spans: list[Row], version: str) -> Row:
    """An `ExportTraceServiceRequest`."""
    service = {"service.name": "wardian", "service.version": version}
    scope = {"scope": {"name": "wardian.export", "version": version}, "spans": spans}
    resource = {"attributes": [attribute(key, value) for key, value in service.items()]}
    scopes = [scope | {"schemaUrl": SCHEMA_URL}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}


def attribute(key: str, value: object) -> Row:
    return {"key": key, "value": _value(value)}


def _value(value: object) -> Row:
    """64-bit numbers are texts in JSON."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            items = cast("list[object]", value)
            return {"arrayValue": {"values": [_value(item) for item in items]}}
        case _:
            return {"stringValue": str(value)}


def nanoseconds(wall: str) -> str:
    """Since 1970; 0 where the log does not say."""
    try:
        moment = datetime.fromisoformat(wall)
    except ValueError:
        return "0"
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return str((whole.days * 86_400 + whole.seconds) * 10**9 + whole.microseconds * 1_000)
