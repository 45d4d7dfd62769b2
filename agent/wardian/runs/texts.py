"""The texts of a run that are searched: task, replies, calls, results, notes, answer."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from wardian.runs.lines import Line
from wardian.runs.words import Words

KINDS = frozenset({"run_started", "model_replied", "call_finished", "noted", "run_finished"})


class Text(NamedTuple):
    step: int
    """0 for the task and the answer"""
    where: str
    """task, context, reply, reasoning, a tool's name with `call` or `result`, note, answer"""
    text: str


def holds(lines: Iterable[Line], text: str) -> bool:
    """Has one of the texts all these words? Where words do not help, `text` as it stands."""
    words = Words.of(text)
    exact = re.compile(re.escape(text), re.IGNORECASE)
    found = (one.text for line in lines for one in texts_of(line))
    return any(words.place(one) if words else exact.search(one) for one in found)


def texts_of(line: Line) -> Iterator[Text]:
    """Those of one record that are not empty, whatever stands in it."""
    for step, where, text in _texts(line.kind, _dict(line.data)):
        if isinstance(text, str) and text:
            yield Text(step, where, text)


def _texts(kind: str, data: dict[str, Any]) -> Iterator[tuple[int, str, object]]:
    step = found if isinstance(found := data.get("step"), int) else 0
    match kind:
        case "run_started":
            task = _dict(data.get("task"))
            yield 0, "task", task.get("prompt")
            yield 0, "context", task.get("context")
        case "model_replied":
            message = _dict(_dict(data.get("reply")).get("message"))
            yield step, "reply", message.get("content")
            yield step, "reasoning", message.get("reasoning")
            calls: object = message.get("calls")
            for call in cast("list[object]", calls) if isinstance(calls, list) else []:
                name, arguments = _dict(call).get("name", ""), _dict(call).get("arguments")
                written = str(_dict(call).get("arguments_text", ""))
                known = None if arguments is None else _dict(arguments)
                yield step, f"{name} call", plain_arguments(known, written)
        case "call_finished":
            result = _dict(data.get("result"))
            yield step, f"{result.get('name', '')} result", result.get("content")
        case "noted":
            yield step, "note", data.get("text")
        case "run_finished":
            yield 0, "answer", data.get("answer")
        case _:
            pass


def plain_arguments(arguments: Mapping[str, Any] | None, written: str) -> str:
    """Arguments as a person reads them; as the model wrote them where they could not be read."""
    if arguments is None:
        return written
    try:
        return "\n".join(f"{name}: {value}" for name, value in arguments.items())
    except RecursionError:
        return written


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
