"""Parquet: a run a row, its conversation and its replies as lists in it.

What has no fixed shape (arguments, tools, labels) is JSON text: Arrow gives all structs of a column
the same keys, so that one call's arguments would come back with the nulls of every other's.
Rows are written in groups as they come, so that no more than one group is in memory.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.events import ModelReplied, RunStarted
from wardian.export.messages import arguments, tools
from wardian.export.parts import Draft
from wardian.export.rows import Row, Unfit
from wardian.runs.filters import facts_of_run
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Reply
from wardian_tools.types import ToolCall

GROUP_BYTES = 8 << 20
"""Of rows as JSON, before a group is written"""
GROUP_ROWS = 2_000

CALL = {"id": "string", "name": "string", "arguments": "string", "problem": "string"}
MESSAGE = {
    "role": "string",
    "content": "string",
    "reasoning": "string",
    "name": "string",
    "call_id": "string",
    "calls": [CALL],
    "images": ["string"],
}
REPLY = {
    "step": "int32",
    "model": "string",
    "finish": "string",
    "seconds": "float64",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "cached_tokens": "int64",
    "cost_usd": "float64",
    "kept_ids": "int64",
    "prompt_suffix_ids": ["int32"],
    "sampled_ids": ["int32"],
    "logprobs": ["float64"],
}
COLUMNS: dict[str, Any] = {
    "run_id": "string",
    "started": "timestamp",
    "model": "string",
    "is_local": "bool",
    "status": "string",
    "error": "string",
    "steps": "int32",
    "tool_calls": "int32",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "cached_tokens": "int64",
    "cost_usd": "float64",
    "seconds": "float64",
    "reward": "float64",
    "rated": "string",
    "tags": ["string"],
    "labels": "string",
    "parent_run_id": "string",
    "fork_run_id": "string",
    "fork_step": "int32",
    "group_id": "string",
    "group_index": "int32",
    "imported_from": "string",
    "wardian_version": "string",
    "policy": "string",
    "sandbox": "string",
    "prompt": "string",
    "answer": "string",
    "tools": "string",
    "messages": [MESSAGE],
    "replies": [REPLY],
}
"""Of the file: a type's name, a list of one such, or a struct; see docs/export.md"""


def parquet_rows(run: Trajectory) -> Iterator[Row]:
    """One row, with the keys of `COLUMNS`. Raises: Unfit where the beginning is lost."""
    started = run.started
    if started is None:
        raise Unfit("its first event cannot be read")
    facts, ended, usage = facts_of_run(run), run.finished, run.usage
    replies = [event for event in run.events if isinstance(event, ModelReplied)]
    yield {
        "run_id": run.run_id,
        "started": facts.started,
        "model": facts.model,
        "is_local": bool(started.model.get("is_local", False)),
        "status": facts.stop,
        "error": ended.error if ended else "",
        "steps": len(replies),
        "tool_calls": sum(len(event.reply.message.calls) for event in replies),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
        "seconds": ended.seconds if ended else None,
        "reward": facts.reward,
        "rated": facts.rated,
        "tags": sorted(facts.tags),
        "labels": json.dumps(dict(facts.labels), ensure_ascii=False, sort_keys=True),
        **_relations(started),
        "wardian_version": started.wardian_version,
        "policy": str(started.policy.get("name", "")),
        "sandbox": str(started.sandbox.get("backend", "")),
        "prompt": started.task.prompt,
        "answer": ended.answer if ended else "",
        "tools": json.dumps(tools(run), ensure_ascii=False),
        "messages": [_message(message) for message in run.messages],
        "replies": [_reply(event.step, event.reply, event.seconds) for event in replies],
    }


def _relations(started: RunStarted) -> Row:
    fork, group = started.fork, started.group
    return {
        "parent_run_id": str(started.parent.get("run_id", "")),
        "fork_run_id": str(fork.get("run_id", "")),
        "fork_step": fork.get("step"),
        "group_id": str(group.get("id", "") or fork.get("group", "")),
        "group_index": group.get("index", fork.get("index")),
        "imported_from": str(started.settings.get("imported", {}).get("format", "")),
    }


def _message(message: Message) -> Row:
    return {
        "role": message.role.value,
        "content": message.content,
        "reasoning": message.reasoning,
        "name": message.name,
        "call_id": message.call_id,
        "calls": [_call(call) for call in message.calls],
        "images": [f"data:{image.mime};base64,{image.data}" for image in message.images],
    }


def _call(call: ToolCall) -> Row:
    given = arguments(call)
    text = call.arguments_text if given is None else json.dumps(given, ensure_ascii=False)
    return {"id": call.id, "name": call.name, "arguments": text, "problem": call.problem or ""}


def _reply(step: int, reply: Reply, seconds: float) -> Row:
    tokens, usage = reply.tokens, reply.usage
    return {
        "step": step,
        "model": reply.model,
        "finish": reply.finish.value,
        "seconds": seconds,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
        "kept_ids": tokens.kept_ids if tokens else None,
        "prompt_suffix_ids": list(tokens.prompt_suffix_ids) if tokens else [],
        "sampled_ids": list(tokens.sampled_ids) if tokens else [],
        "logprobs": list(tokens.logprobs) if tokens else [],
    }


class ParquetFile:
    """Rows in groups."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError; ConfigurationError where pyarrow is not installed."""
        try:
            self.arrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "Writing Parquet needs pyarrow, which is not installed.",
                "Install the extra: pip install 'wardian[data]'.",
            ) from error
        self.schema = self.arrow.schema(
            [(name, _type(self.arrow, kind)) for name, kind in COLUMNS.items()]
        )
        self.draft = Draft(path)
        self.writer: Any = parquet.ParquetWriter(self.draft, self.schema, compression="zstd")
        self.waiting: list[Row] = []
        self.waiting_bytes = self.rows = 0

    def write(self, line: bytes) -> None:
        row: Row = json.loads(line)
        row["started"] = _moment(row["started"])
        self.waiting.append(row)
        self.waiting_bytes += len(line)
        self.rows += 1
        if self.waiting_bytes >= GROUP_BYTES or len(self.waiting) >= GROUP_ROWS:
            self._write_group()

    def keep(self) -> Row:
        self._write_group()
        self.writer.close()
        return self.draft.keep() | {"rows": self.rows}

    def drop(self) -> None:
        if not self.draft.closed:
            self.writer.close()
        self.draft.drop()

    def _write_group(self) -> None:
        if self.waiting:
            table = self.arrow.Table.from_pylist(self.waiting, schema=self.schema)
            self.writer.write_table(table, row_group_size=len(self.waiting))
            self.waiting, self.waiting_bytes = [], 0


def _type(arrow: Any, kind: object) -> Any:
    if isinstance(kind, str):
        return (
            arrow.timestamp("us", tz="UTC") if kind == "timestamp" else arrow.type_for_alias(kind)
        )
    if isinstance(kind, list):
        [one] = cast("list[object]", kind)
        return arrow.list_(_type(arrow, one))
    fields = cast("dict[str, object]", kind)
    return arrow.struct([(name, _type(arrow, one)) for name, one in fields.items()])


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
