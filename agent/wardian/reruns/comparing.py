"""What of two runs' events must be the same, and where they first part.

Compared are system prompt, tools and rules at the start, then replies as understood, decisions,
results and notes in their order, and the end. Not compared: times, tokens, identifiers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from wardian.events import (
    CallDecided,
    CallFinished,
    Event,
    ModelReplied,
    Noted,
    Recorded,
    RunFinished,
    RunStarted,
)
from wardian.types import Delta, Message, Stop

UNBOUNDED_STOPS = (Stop.CANCELLED, Stop.FAILED, Stop.TIME)
"""Ends that come from outside: a replay does not reach them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where the replay first parts from the recording."""

    seq: int | None
    """Of the recorded event; None where the recording has no more"""
    step: int
    kind: str
    what: str
    """The field, as `result.content`"""
    recorded: Any
    replayed: Any


@dataclass(slots=True)
class Comparison:
    """Events of the replay against those of the recording, as they come."""

    recorded: list[tuple[int, Recorded]]
    compared: int = 0
    difference: Difference | None = None

    def on(self, event: Event) -> None:
        facts = essential(event)
        if facts is None or self.difference or isinstance(event, Delta):
            return
        if self.compared >= len(self.recorded):
            self.difference = _beyond(event)
            return
        seq, expected = self.recorded[self.compared]
        wanted = essential(expected)
        assert wanted is not None
        if found := first_difference(
            {"kind": expected.kind, **wanted}, {"kind": event.kind, **facts}
        ):
            what, old, new = found
            self.difference = Difference(
                seq=seq,
                step=getattr(expected, "step", 0),
                kind=expected.kind,
                what=what,
                recorded=old,
                replayed=new,
            )
        else:
            self.compared += 1

    def end(self) -> None:
        """Nothing more comes of the replay."""
        if self.difference or self.compared >= len(self.recorded):
            return
        seq, expected = self.recorded[self.compared]
        self.difference = Difference(
            seq=seq,
            step=getattr(expected, "step", 0),
            kind=expected.kind,
            what="",
            recorded=essential(expected),
            replayed=None,
        )


def essential(event: Event) -> dict[str, Any] | None:
    """What of an event must be the same; None for one that need not come again."""
    match event:
        case RunStarted():
            tools = [
                {k: tool.get(k) for k in ("name", "parameters", "effects")} for tool in event.tools
            ]
            rules = {"sha256": event.policy.get("sha256")}
            return {"system_prompt": event.system_prompt, "tools": tools, "policy": rules}
        case ModelReplied(reply=reply):
            return {"message": _message(reply.message), "finish": reply.finish.value}
        case CallDecided():
            return {
                "call": asdict(event.call),
                "decision": type(event.decision).__name__.lower(),
                "rule": event.decision.rule.text,
                "answer": event.answer,
            }
        case CallFinished(result=result):
            return {
                "result": {
                    "call_id": result.call_id,
                    "name": result.name,
                    "status": result.status.value,
                    "content": result.content,
                }
            }
        case Noted():
            return {"text": event.text}
        case RunFinished() if event.stop not in UNBOUNDED_STOPS:
            return {"stop": event.stop.value, "answer": event.answer}
        case _:
            return None


def first_difference(old: object, new: object, path: str = "") -> tuple[str, object, object] | None:
    """The first field in which two JSON values differ: its path and both values."""
    both = (path, old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        mine, theirs = cast("dict[str, object]", old), cast("dict[str, object]", new)
        for key in dict.fromkeys((*mine, *theirs)):
            inner = f"{path}.{key}" if path else key
            if found := first_difference(mine.get(key), theirs.get(key), inner):
                return found
        return None
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        some = cast("Sequence[object]", old)
        others = cast("Sequence[object]", new)
        for index in range(max(len(some), len(others))):
            one = some[index] if index < len(some) else None
            other = others[index] if index < len(others) else None
            if found := first_difference(one, other, f"{path}[{index}]"):
                return found
        return None
    return None if old == new else both


def _message(message: Message) -> dict[str, Any]:
    return {
        "content": message.content,
        "calls": [asdict(call) for call in message.calls],
    }


def _beyond(event: Recorded | Event) -> Difference:
    kind: str = getattr(event, "kind", "")
    step: int = getattr(event, "step", 0)
    return Difference(
        seq=None, step=step, kind=kind, what="", recorded=None, replayed=essential(event)
    )
