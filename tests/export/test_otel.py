"""Spans are those of the GenAI conventions, and a collector takes them.

The collector here is the OTLP service's own definition: requests are read by the protobuf classes
that OpenTelemetry publishes, as a collector reads them.
"""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.export.conftest import rows
from tests.export.test_formats import READ
from tests.runs.conftest import House
from tests.runs.test_preferences import BETTER, WRITE, forked

from wardian import SubAgent
from wardian.errors import ConfigurationError, StorageError
from wardian.events import Labelled
from wardian.export.otel import CONTENT
from wardian.export.otlp import headers_of, send, traces_url
from wardian.export.spans import span_id, trace_id
from wardian.models.retrying import Retrying
from wardian.reruns.forking import annotate

pytest.importorskip("opentelemetry.proto", reason="the extra otel is not installed")
AT_ONCE = Retrying(attempts=3, first_wait_seconds=0.0, longest_wait_seconds=0.0)


class Collector:
    """Takes what is posted, after as many refusals as it is told."""

    def __init__(self, *refusals: int, rejected: int = 0) -> None:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        left = list(refusals)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if left:
                    self.answer(left.pop(0), b"not now")
                    return
                request = service.ExportTraceServiceRequest()
                request.ParseFromString(gzip.decompress(body))
                outer.requests.append(request)
                sent = {name.lower(): value for name, value in self.headers.items()}
                outer.headers.append(sent | {"path": self.path})
                response = service.ExportTraceServiceResponse()
                if rejected:
                    response.partial_success.rejected_spans = rejected
                    response.partial_success.error_message = "too old"
                self.answer(200, response.SerializeToString())

            def answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def written(house: House) -> Path:
    assert rows(house, "otel")[0]
    return house.workspace.parent / "rows.jsonl"


def spans_of(house: House, format_name: str = "otel") -> list[dict[str, Any]]:
    made, _ = rows(house, format_name)
    return [span for row in made for span in row["resourceSpans"][0]["scopeSpans"][0]["spans"]]


def facts(span: dict[str, Any]) -> dict[str, Any]:
    """Attributes by name, numbers as numbers."""
    found: dict[str, Any] = {}
    for attribute in span["attributes"]:
        [(kind, value)] = attribute["value"].items()
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


def test_a_run_is_a_span_with_its_replies_and_calls_below_it(house: House) -> None:
    run = house.run(READ, tags=("mine",)).run_id
    annotate(house.store, run, Labelled(name="reward", value="0.5"))
    root, *below = spans_of(house)
    assert [span["name"] for span in (root, *below)] == [
        "invoke_agent wardian",
        "chat model",
        "execute_tool read_file",
        "chat model",
    ]
    assert {span["traceId"] for span in (root, *below)} == {trace_id(run)}
    assert {span["parentSpanId"] for span in below} == {root["spanId"]} == {span_id(run)}
    assert "parentSpanId" not in root
    assert len({span["spanId"] for span in (root, *below)}) == 4
    for span in (root, *below):
        assert 0 < int(root["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert int(span["endTimeUnixNano"]) <= int(root["endTimeUnixNano"])
        assert "status" not in span
    call = facts(below[1])
    assert json.loads(call["gen_ai.tool.call.arguments"]) == {"path": "a.txt"}
    assert "one" in call["gen_ai.tool.call.result"]
    assert facts(root)["gen_ai.conversation.id"] == run
    [event] = root["events"]
    assert facts(event)["gen_ai.evaluation.score.value"] == 0.5


def test_every_attribute_is_one_of_the_conventions_or_ours(house: House) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
    from opentelemetry.semconv.attributes import error_attributes

    known = {
        value
        for module in (gen_ai_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    house.run(READ)
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    names = {name for span in spans_of(house) for name in facts(span)}
    assert {name for name in names if not name.startswith("wardian.")} <= known
    operations = {one.value for one in gen_ai_attributes.GenAiOperationNameValues}
    assert {facts(span)["gen_ai.operation.name"] for span in spans_of(house)} <= operations


def test_what_went_wrong_is_an_error_with_its_kind(house: House) -> None:
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    [call] = [span for span in spans_of(house) if span["name"] == "execute_tool read_file"]
    assert facts(call)["error.type"] == "malformed"
    assert call["status"]["code"] == 2


def test_a_run_that_was_killed_has_its_last_span_interrupted(house: House) -> None:
    run = house.run(READ).run_id
    house.cut_after(run, "call_started")
    spans = spans_of(house)
    assert facts(spans[0])["error.type"] == "unfinished"
    assert facts(spans[-1])["error.type"] == "interrupted"


def test_without_contents_nothing_that_was_said_is_left(house: House) -> None:
    house.run(READ)
    told = json.dumps(spans_of(house, "otel-metadata"))
    for said in ("Two lines", "Do it.", "a.txt", "You are an agent"):
        assert said not in told
        assert said in json.dumps(spans_of(house))
    assert not any(name in told for name in CONTENT)
    assert "gen_ai.usage.input_tokens" in told


def test_a_sub_agent_s_run_is_below_the_call_that_began_it(house: House) -> None:
    reader = SubAgent(name="reader", description="Reads.", tools=())
    house.run([[("reader", {"task": "Read."})], "Done."], subagents=[reader])
    spans = spans_of(house)
    assert len({span["traceId"] for span in spans}) == 1
    call = next(span for span in spans if span["name"] == "execute_tool reader")
    [child] = [span for span in spans if span["name"] == "invoke_agent reader"]
    assert child["parentSpanId"] == call["spanId"]


def test_a_fork_is_linked_to_the_run_it_restarts(house: House) -> None:
    run = house.run(WRITE).run_id
    forked(house, BETTER, run)
    [link] = [span["links"][0] for span in spans_of(house) if "links" in span]
    assert link == {"traceId": trace_id(run), "spanId": span_id(run)}


def test_a_collector_takes_the_very_spans_of_the_file(house: House, collector: Collector) -> None:
    house.run(READ)
    house.run(["Nothing to do."])
    taken = send(written(house), collector.url, {"x-key": "value"}, AT_ONCE)
    arrived = collector.spans()
    assert taken == len(arrived) == 6
    for span, told in zip(spans_of(house), arrived, strict=True):
        assert told.trace_id.hex() == span["traceId"]
        assert told.span_id.hex() == span["spanId"]
        assert told.parent_span_id.hex() == span.get("parentSpanId", "")
        assert (told.name, told.kind) == (span["name"], span["kind"])
        assert str(told.start_time_unix_nano) == span["startTimeUnixNano"]
        assert len(told.attributes) == len(span["attributes"])
    [resource] = {
        one.resource.SerializeToString() for r in collector.requests for one in r.resource_spans
    }
    assert b"wardian" in resource
    assert {one["path"] for one in collector.headers} == {"/v1/traces"}
    assert {one["x-key"] for one in collector.headers} == {"value"}


def test_a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not(house: House) -> None:
    house.run(READ)
    for refusals, is_taken in (((503, 429), True), ((503,) * 3, False), ((400,), False)):
        one = Collector(*refusals)
        try:
            if is_taken:
                assert send(written(house), one.url, {}, AT_ONCE) == 4
            else:
                with pytest.raises(StorageError, match=str(refusals[0])):
                    send(written(house), one.url, {}, AT_ONCE)
        finally:
            one.close()


def test_spans_that_a_collector_rejects_are_not_called_taken(house: House) -> None:
    house.run(READ)
    one = Collector(rejected=3)
    try:
        with pytest.raises(StorageError, match="3 spans: too old"):
            send(written(house), one.url, {}, AT_ONCE)
    finally:
        one.close()


def test_nobody_there_is_said(house: House) -> None:
    house.run(READ)
    one = Collector()
    one.close()
    with pytest.raises(StorageError, match="cannot be reached"):
        send(written(house), one.url, {}, AT_ONCE)


def test_addresses_and_headers_are_read_as_the_specification_says() -> None:
    assert traces_url("http://localhost:4318") == "http://localhost:4318/v1/traces"
    assert traces_url("https://a/b/v1/traces?x=1") == "https://a/b/v1/traces?x=1"
    for none in ("localhost:4318", "ftp://a", "http://", ""):
        with pytest.raises(ConfigurationError):
            traces_url(none)
    assert headers_of("a=1,b = x%20y,none") == {"a": "1", "b": "x y"}


def test_the_command_sends_only_what_holds_no_secret(
    house: House, tmp_path: Path, collector: Collector
) -> None:
    secret = "hunter2-Kf9vQ2xLp7Zr4"
    house.run(["Nothing to do."])
    house.run([f"It is {secret}."])
    home = tmp_path / "home"
    home.mkdir()
    house.store.root.rename(home / "runs")
    words = ("export", "--format", "otel", "--all", "--endpoint", collector.url)

    def agent(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "wardian", *words],
            env=os.environ | {"WARDIAN_HOME": str(home)} | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    refused = agent(SERVICE_API_KEY=secret)
    assert refused.returncode == 3
    assert collector.requests == []
    done = agent(OTEL_EXPORTER_OTLP_HEADERS="x-key=abc")
    assert done.returncode == 0, done.stderr
    assert len(collector.spans()) == 4
    assert {one["x-key"] for one in collector.headers} == {"abc"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "workspace"]
