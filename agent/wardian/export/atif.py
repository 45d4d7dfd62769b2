"""ATIF v1.8: a run as Harbor and others read it, one document a line.

Everything of the log that ATIF has no field for stands under `extra.wardian`. A malformed call has
no arguments that an object could hold, so it stands there too, and its result names no call.
Source: ATIF v1.8, as the package `atif` 1.8.0 validates it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from wardian.events import (
    CallFinished,
    ChildStarted,
    Compacted,
    ModelReplied,
    Noted,
    Rated,
    Recorded,
    RunStarted,
)
from wardian.export.messages import arguments, tools
from wardian.export.rows import Row, Unfit
from wardian.prompt import task_text
from wardian.runs.filters import facts_of_run
from wardian.runs.trajectory import Record, Trajectory
from wardian.types import Finish, Message, Reply, Role, Task, TokenRecord
from wardian_tools.types import ToolCall

VERSION = "ATIF-v1.8"
IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}


def atif_rows(run: Trajectory) -> Iterator[Row]:
    """One document. Raises: Unfit where the beginning is lost, or for an image ATIF lacks."""
    started = run.started
    if started is None:
        raise Unfit("its first event cannot be read")
    steps = Steps()
    for record in run.records:
        if record.event is not None:
            steps.take(record.event, record)
    yield {
        "schema_version": VERSION,
        "session_id": str(started.group.get("id") or run.run_id),
        "trajectory_id": run.run_id,
        "agent": {
            "name": "wardian",
            "version": started.wardian_version,
            "model_name": str(started.model.get("name", "")),
            "tool_definitions": tools(run),
        },
        "steps": steps.rows,
        "final_metrics": _totals(run, len(steps.rows)),
        "extra": {"wardian": _extra(run, started)},
    }


@dataclass(slots=True)
class Steps:
    """The steps so far."""

    rows: list[Row] = field(default_factory=list[Row])
    ids: list[int] = field(default_factory=list[int])
    """Of the last prompt and completion"""

    def take(self, event: Recorded, record: Record) -> None:
        match event:
            case RunStarted():
                self._begin(event, record)
            case ModelReplied():
                row = self._add("agent", event.reply.message.content, record)
                self._reply(row, event)
            case CallFinished(result=result):
                self._result(result.call_id, result.content, status=result.status.value)
            case Noted(text=text):
                self._add("user", text, record)["extra"] = {"wardian": {"by": "runtime"}}
            case _:
                pass

    def _begin(self, event: RunStarted, record: Record) -> None:
        if event.system_prompt:
            self._add("system", event.system_prompt, record)
        for message in event.earlier:
            self._copy(message, record)
        self._add("user", _task(event.task), record)
        for message in event.prefix:
            self._copy(message, record)

    def _add(self, source: str, message: str | list[Row], record: Record) -> Row:
        row: Row = {"step_id": len(self.rows) + 1, "source": source, "message": message}
        if record.wall:
            row["timestamp"] = record.wall
        self.rows.append(row)
        return row

    def _copy(self, message: Message, record: Record) -> None:
        """A message of the conversation that the run goes on from."""
        if message.role is Role.TOOL:
            self._result(message.call_id, message.content)
            return
        source = "agent" if message.role is Role.ASSISTANT else message.role.value
        row = self._add(source, message.content, record)
        row["is_copied_context"] = True
        if message.role is Role.ASSISTANT:
            _put_calls(row, message.calls)

    def _reply(self, row: Row, event: ModelReplied) -> None:
        reply = event.reply
        if reply.message.reasoning:
            row["reasoning_content"] = reply.message.reasoning
        if reply.finish in (Finish.LENGTH, Finish.CUT):  # its calls never ran
            calls = [
                {"name": c.name, "arguments_text": c.arguments_text} for c in reply.message.calls
            ]
            _extra_of(row)["cut"] = {"finish": reply.finish.value, "calls": calls}
        else:
            _put_calls(row, reply.message.calls)
        row["metrics"] = self._metrics(reply)
        row["llm_call_count"] = 1
        _extra_of(row).update(step=event.step, seconds=event.seconds)

    def _metrics(self, reply: Reply) -> Row:
        prompt: list[int] = []
        sampled: list[int] = []
        if tokens := reply.tokens:
            prompt = [*self.ids[: tokens.kept_ids], *tokens.prompt_suffix_ids]
            sampled = list(tokens.sampled_ids)
            self.ids = prompt + sampled
        usage = reply.usage
        metrics: Row = {
            "prompt_token_ids": prompt,
            "completion_token_ids": sampled,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
        if usage.cached_tokens:
            metrics["cached_tokens"] = usage.cached_tokens
        if usage.cost_usd is not None:
            metrics["cost_usd"] = usage.cost_usd
        if tokens:
            metrics["logprobs"] = list(tokens.logprobs)
            metrics["extra"] = {"wardian": _provenance(tokens)}
        return metrics

    def _result(self, call_id: str, content: str, status: str = "") -> None:
        agents = (row for row in reversed(self.rows) if row["source"] == "agent")
        row = next(agents, None)
        if row is None:
            return
        known = {call["tool_call_id"] for call in row.get("tool_calls", ())}
        result: Row = {"source_call_id": call_id} if call_id in known else {}
        result["content"] = content
        extra = {"status": status} if status else {}
        if call_id not in known:
            extra["call_id"] = call_id
        if extra:
            result["extra"] = {"wardian": extra}
        row.setdefault("observation", {"results": []})["results"].append(result)


def _put_calls(row: Row, calls: tuple[ToolCall, ...]) -> None:
    for call in calls:
        given = arguments(call)
        if given is None:
            malformed = {
                "id": call.id,
                "name": call.name,
                "arguments_text": call.arguments_text,
                "problem": call.problem or "",
            }
            _extra_of(row).setdefault("malformed_calls", []).append(malformed)
            continue
        made = {"tool_call_id": call.id, "function_name": call.name, "arguments": given}
        row.setdefault("tool_calls", []).append(made)


def _extra_of(row: Row) -> Row:
    extra: Row = row.setdefault("extra", {}).setdefault("wardian", {})
    return extra


def _task(task: Task) -> str | list[Row]:
    text = task_text(task)
    if not task.images:
        return text
    if any(image.mime not in IMAGES for image in task.images):
        raise Unfit("it has an image of a kind that ATIF lacks")
    sources = (
        {"media_type": image.mime, "path": f"data:{image.mime};base64,{image.data}"}
        for image in task.images
    )
    images: list[Row] = [{"type": "image", "source": source} for source in sources]
    return [{"type": "text", "text": text}, *images]


def _provenance(tokens: TokenRecord) -> Row:
    return {
        "constrained": list(tokens.constrained),
        "constraint_sha256": tokens.constraint_sha256,
        "model_sha256": tokens.model_sha256,
        "template_sha256": tokens.template_sha256,
    }


def _totals(run: Trajectory, steps: int) -> Row:
    usage = run.usage
    totals: Row = {
        "total_steps": steps,
        "total_prompt_tokens": usage.prompt_tokens,
        "total_completion_tokens": usage.completion_tokens,
    }
    if usage.cost_usd is not None:
        totals["total_cost_usd"] = usage.cost_usd
    return totals


def _extra(run: Trajectory, started: RunStarted) -> Row:
    events, facts = run.events, facts_of_run(run)
    rated = [e for e in events if isinstance(e, Rated)]
    return {
        "stop": run.finished.stop.value if run.finished else "unfinished",
        "answer": run.finished.answer if run.finished else "",
        "model": started.model,
        "policy": started.policy,
        "sandbox": started.sandbox,
        "settings": started.settings,
        "tags": sorted(facts.tags),
        "labels": dict(facts.labels),
        "parent": started.parent,
        "fork": started.fork,
        "children": [e.run_id for e in events if isinstance(e, ChildStarted)],
        "compacted_at": [e.step for e in events if isinstance(e, Compacted)],
        "ratings": [{"step": e.step, "good": e.good, "note": e.note} for e in rated],
    }
