"""The formats by name, and those that are a few lines each.

A run of which a format cannot say everything is left out, with the reason: half of a conversation
would teach something that never happened.
"""

import json
import re
from collections.abc import Iterator

from wardian.events import ModelReplied, Rated
from wardian.export.atif import atif_rows
from wardian.export.judged import kto_samples, preference_samples
from wardian.export.messages import (
    openai,
    tools,
    trl,
    until_last_reply,
    well_formed,
    without_nulls,
)
from wardian.export.otel import otel_metadata_samples, otel_samples
from wardian.export.parquet import parquet_rows
from wardian.export.rows import Format, Row, Unfit, each
from wardian.export.sharegpt import sharegpt_rows
from wardian.export.workspace import first_files
from wardian.runs.trajectory import Trajectory
from wardian.types import Finish, Message, Role

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_TOOLS = 128
"""Source: OpenAI, API reference, `tools` and `function.name`"""


def openai_rows(run: Trajectory) -> Iterator[Row]:
    """The conversation whole, malformed calls as they were written."""
    yield _openai(run, run.messages)


def openai_ft_rows(run: Trajectory) -> Iterator[Row]:
    """By the rules for fine-tuning: a reply is last, calls are JSON, earlier ones answered."""
    refuse_cut(run)
    messages = until_last_reply(run.messages)
    for message in messages:
        for call in message.calls:
            well_formed(call)
            if not NAME.fullmatch(call.name):
                raise Unfit("a tool's name is not one that OpenAI takes")
    row = _openai(run, messages)
    if len(row.get("tools", ())) > MAX_TOOLS:
        raise Unfit(f"it was offered more than {MAX_TOOLS} tools")
    yield row


def trl_sft_rows(run: Trajectory) -> Iterator[Row]:
    refuse_cut(run)
    messages = trl(until_last_reply(run.messages))
    yield {"messages": messages, "tools": without_nulls(tools(run))}


def trl_prompts_rows(run: Trajectory) -> Iterator[Row]:
    """The task, its files as the text of a JSON object, and the answer if it was rated good."""
    if run.started is None:
        raise Unfit("its first event cannot be read")
    if run.started.fork:
        raise Unfit("it is a fork: the task is that of the run it restarts, with other files")
    before: list[Message] = []
    for message in run.messages:
        if message.role is Role.ASSISTANT:
            break
        before.append(message)
    rated = [event for event in run.events if isinstance(event, Rated) and event.step == 0]
    is_good = bool(rated) and rated[-1].good
    yield {
        "prompt": trl(before),
        "files": json.dumps(first_files(run), ensure_ascii=False, sort_keys=True),
        "answer": run.finished.answer if is_good and run.finished else "",
    }


def refuse_cut(run: Trajectory) -> None:
    """Raises: Unfit for a run with a reply that nobody should learn from."""
    cut = (Finish.LENGTH, Finish.CUT, Finish.FILTER)
    if any(isinstance(e, ModelReplied) and e.reply.finish in cut for e in run.events):
        raise Unfit("a reply of it was cut off")


def _openai(run: Trajectory, messages: tuple[Message, ...]) -> Row:
    row: Row = {"messages": openai(messages)}
    if offered := tools(run):
        row["tools"] = offered
        row["parallel_tool_calls"] = any(len(message.calls) > 1 for message in messages)
    return row


FORMATS: dict[str, Format] = {
    "openai": each(openai_rows),
    "openai-ft": each(openai_ft_rows),
    "trl-sft": each(trl_sft_rows),
    "trl-preference": preference_samples,
    "trl-kto": kto_samples,
    "trl-prompts": each(trl_prompts_rows),
    "sharegpt": each(sharegpt_rows),
    "atif": each(atif_rows),
    "parquet": each(parquet_rows),
    "otel": otel_samples,
    "otel-metadata": otel_metadata_samples,
}
"""name → what makes its rows"""
