"""OpenTelemetry: a run as spans of the GenAI conventions, a request of OTLP a row.

A run is an `invoke_agent` span; its replies are `chat` spans and its calls `execute_tool` spans
below it. A sub-agent's run stands below the call that began it, in the same trace; a fork is linked
to the run that it restarts from. Ids are made of the run's, so that exporting twice sends the same
spans. What was said stands once: the task and the answer on the run, each reply on its `chat`, each
result on its `execute_tool`; a `chat` does not repeat the conversation before it.
Source: OpenTelemetry, semantic conventions for generative AI, v1.41; OTLP 1.7, JSON encoding.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wardian.errors import StorageError
from wardian.events import (
    CallDecided,
    CallFinished,
    CallStarted,
    ModelAsked,
    ModelReplied,
    Recorded,
    RunFinished,
    RunStarted,
)
from wardian.export.messages import arguments, tools
from wardian.export.rows import LeftOut, Load, Row, Sample, family
from wardian.export.spans import (
    CLIENT,
    ERROR,
    INTERNAL,
    attribute,
    nanoseconds,
    request,
    span_id,
    trace_id,
)
from wardian.prompt import task_text
from wardian.runs.filters import facts_of_run
from wardian.runs.trajectory import Trajectory
from wardian.types import Finish, Message, Stop
from wardian_policies.types import Ask
from wardian_tools.types import ResultStatus, ToolCall

FINISHES = {
    Finish.STOP: "stop",
    Finish.CALLS: "tool_call",
    Finish.LENGTH: "length",
    Finish.FILTER: "content_filter",
    Finish.CUT: "error",
}
PROVIDERS = {
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Ours → OpenTelemetry's, where they differ"""
MAX_CALLERS = 16
CONTENT = {
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
    "gen_ai.tool.description",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.evaluation.explanation",
}
"""Attributes that say what was said"""


def otel_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """A request for each run."""
    for run in runs:
        if run.started is None:
            yield LeftOut(run_id=run.run_id, reason="its first event cannot be read")
            continue
        spans = Spans(run_id=run.run_id, trace_id=trace_id(_root(run, load)), started=run.started)
        row = request([*spans.of(run)], run.started.wardian_version)
        yield Sample(row=row, run_ids=(run.run_id,), family=family(run, load))


def otel_metadata_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """The same without anything that was said."""
    for one in otel_samples(runs, load):
        if isinstance(one, Sample):
            for span in one.row["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                span.get("status", {}).pop("message", None)
                for holder in (span, *span["events"]):
                    kept = [a for a in holder["attributes"] if a["key"] not in CONTENT]
                    holder["attributes"] = kept
        yield one


@dataclass(slots=True)
class Spans:
    """The spans of one run."""

    run_id: str
    trace_id: str
    started: RunStarted
    asked: dict[int, tuple[str, ModelAsked]] = field(
        default_factory=dict[int, tuple[str, ModelAsked]]
    )
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    began: dict[str, str] = field(default_factory=dict[str, str])
    decided: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, run: Trajectory) -> Iterator[Row]:
        """The run's own first, then those below it as they ended; what was cut off comes last."""
        last = max((record.wall for record in run.records), default="")
        yield self._run(run, last)
        for record in run.records:
            if record.event is not None:
                yield from self._take(record.event, record.wall)
        for step, (wall, asked) in self.asked.items():
            yield self._chat(step, wall, last, asked, None)
        for call_id, wall in self.began.items():
            yield self._call(0, call_id, wall, last, None)

    def _take(self, event: Recorded, wall: str) -> Iterator[Row]:
        match event:
            case ModelAsked(step=step):
                self.asked[step] = (wall, event)
            case ModelReplied(step=step, reply=reply):
                self.calls |= {call.id: call for call in reply.message.calls}
                start, asked = self.asked.pop(step, (wall, None))
                yield self._chat(step, start, wall, asked, event)
            case CallDecided(call=call, decision=decision):
                said = event.answer if isinstance(decision, Ask) and event.answer else ""
                name = type(decision).__name__.lower()
                self.decided[call.id] = f"{name}: {said}" if said else name
                self.calls[call.id] = call
            case CallStarted(call_id=call_id):
                self.began[call_id] = wall
            case CallFinished(step=step, result=result):
                start = self.began.pop(result.call_id, wall)
                yield self._call(step, result.call_id, start, wall, event)
            case _:
                pass

    def _run(self, run: Trajectory, last: str) -> Row:
        started, facts = self.started, facts_of_run(run)
        ended, usage = run.finished, run.usage
        first = next((record.wall for record in run.records if record.wall), "")
        end = next((r.wall for r in reversed(run.records) if isinstance(r.event, RunFinished)), "")
        imported = started.settings.get("imported", {})
        name = str(started.parent.get("name") or imported.get("agent") or "wardian")
        attributes = {
            **self._common("invoke_agent"),
            "gen_ai.agent.name": name,
            "gen_ai.agent.version": started.wardian_version,
            "gen_ai.request.model": facts.model,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.system_instructions": _json([_text(started.system_prompt)]),
            "gen_ai.tool.definitions": _json(tools(run)),
            "gen_ai.input.messages": _json([_said("user", [_text(task_text(started.task))])]),
            "wardian.run.id": self.run_id,
            "wardian.run.end": facts.stop,
            "wardian.run.steps": facts.steps,
            "wardian.run.tags": sorted(facts.tags),
            "wardian.run.cost_usd": usage.cost_usd,
            "wardian.policy.name": str(started.policy.get("name", "")),
            "wardian.sandbox.backend": str(started.sandbox.get("backend", "")),
        }
        problem = "" if facts.stop == Stop.DONE else facts.stop
        if ended and ended.answer:
            answer = _said("assistant", [_text(ended.answer)])
            reason = "error" if problem else "stop"
            attributes["gen_ai.output.messages"] = _json([answer | {"finish_reason": reason}])
        span = self._span(f"invoke_agent {name}", INTERNAL, first, end or last, attributes)
        span["spanId"] = span_id(self.run_id)
        if parent := started.parent:
            caller = str(parent.get("run_id", ""))
            call = parent.get("step"), parent.get("call_id")
            span["parentSpanId"] = span_id(caller, "call", *call)
        else:
            del span["parentSpanId"]
        if fork := str(started.fork.get("run_id", "")):
            span["links"] = [{"traceId": trace_id(fork), "spanId": span_id(fork)}]
        if facts.reward is not None:
            span["events"] = [_evaluation(facts.reward, end or last)]
        return _failed(span, problem, ended.error if ended else "")

    def _chat(
        self, step: int, start: str, end: str, asked: ModelAsked | None, event: ModelReplied | None
    ) -> Row:
        model = str(self.started.model.get("name", ""))
        sampling = asked.sampling if asked else {}
        attributes = {
            **self._common("chat"),
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": _float(sampling.get("temperature")),
            "gen_ai.request.top_p": _float(sampling.get("top_p")),
            "gen_ai.request.max_tokens": sampling.get("max_tokens"),
            "gen_ai.request.seed": sampling.get("seed"),
            "gen_ai.request.stop_sequences": list(sampling.get("stop") or ()),
            "wardian.run.step": step,
        }
        if event:
            reply, usage = event.reply, event.reply.usage
            finish = FINISHES[reply.finish]
            message = _assistant(reply.message) | {"finish_reason": finish}
            attributes |= {
                "gen_ai.response.model": reply.model,
                "gen_ai.response.finish_reasons": [finish],
                "gen_ai.response.time_to_first_chunk": reply.seconds_to_first_token,
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
                "gen_ai.output.messages": _json([message]),
            }
        kind = INTERNAL if _provider(model) == "llama.cpp" else CLIENT
        span = self._span(f"chat {model}".rstrip(), kind, start, end, attributes)
        span["spanId"] = span_id(self.run_id, "chat", step)
        return _failed(span, "" if event else "interrupted", "")

    def _call(
        self, step: int, call_id: str, start: str, end: str, event: CallFinished | None
    ) -> Row:
        call = self.calls.get(call_id)
        name = event.result.name if event else call.name if call else "unknown"
        described = {str(tool.get("name")): tool.get("description") for tool in self.started.tools}
        given = arguments(call) if call else None
        written = call.arguments_text if call else ""
        attributes = {
            **self._common("execute_tool"),
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.description": described.get(name),
            "gen_ai.tool.call.arguments": written if given is None else _json(given),
            "gen_ai.tool.call.result": event.result.content if event else None,
            "wardian.policy.decision": self.decided.pop(call_id, ""),
            "wardian.run.step": step or None,
        }
        span = self._span(f"execute_tool {name}", INTERNAL, start, end, attributes)
        span["spanId"] = span_id(self.run_id, "call", step, call_id)
        status = event.result.status if event else None
        problem = "" if status is ResultStatus.OK else status.value if status else "interrupted"
        return _failed(span, problem, "")

    def _common(self, operation: str) -> dict[str, Any]:
        model = str(self.started.model.get("name", ""))
        return {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _provider(model),
            "gen_ai.conversation.id": str(self.started.group.get("id") or self.run_id),
        }

    def _span(
        self, name: str, kind: int, start: str, end: str, attributes: Mapping[str, Any]
    ) -> Row:
        given = {key: value for key, value in attributes.items() if value not in (None, "", [])}
        return {
            "traceId": self.trace_id,
            "parentSpanId": span_id(self.run_id),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": nanoseconds(start),
            "endTimeUnixNano": nanoseconds(max(start, end)),
            "attributes": [attribute(key, value) for key, value in given.items()],
            "events": [],
        }


def _root(run: Trajectory, load: Load) -> str:
    """The run that a person asked for, below which this one was done."""
    parent = str(run.started.parent.get("run_id", "")) if run.started else ""
    name = run.run_id
    for _ in range(MAX_CALLERS):
        if not parent:
            break
        name = parent
        try:
            caller = load(name).started
        except StorageError:
            break
        parent = str(caller.parent.get("run_id", "")) if caller else ""
    return name


def _evaluation(reward: float, wall: str) -> Row:
    said = {"gen_ai.evaluation.name": "reward", "gen_ai.evaluation.score.value": reward}
    attributes = [attribute(key, value) for key, value in said.items()]
    name = "gen_ai.evaluation.result"
    return {"name": name, "timeUnixNano": nanoseconds(wall), "attributes": attributes}


def _failed(span: Row, problem: str, message: str) -> Row:
    """With what went wrong, if anything did."""
    if problem:
        span["attributes"].append(attribute("error.type", problem))
        span["status"] = {"code": ERROR} | ({"message": message} if message else {})
    return span


def _assistant(message: Message) -> Row:
    parts: list[Row] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    if message.content:
        parts.append(_text(message.content))
    for call in message.calls:
        given = arguments(call)
        written: object = call.arguments_text if given is None else given
        part: Row = {"type": "tool_call", "id": call.id, "name": call.name, "arguments": written}
        parts.append(part)
    return _said("assistant", parts)


def _said(role: str, parts: list[Row]) -> Row:
    return {"role": role, "parts": parts}


def _text(content: str) -> Row:
    return {"type": "text", "content": content}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _provider(model: str) -> str:
    """Whose interface was spoken to."""
    name, slash, _ = model.partition("/")
    if not model:
        return "unknown"
    if not slash or ":" in name:
        return "llama.cpp"
    return PROVIDERS.get(name, name)
