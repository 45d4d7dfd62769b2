"""Two runs beside each other: which steps of one answer to which of the other, and what differs.

Steps are alike by what they call: the same calls first, then the same tools with other arguments. A
step without calls is like another one. What is between has no partner. Compared are replies,
calls, decisions, results and notes; not times, tokens, identifiers. Of a run and a fork of it the
steps before the fork are one and the same, and are left out.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from wardian.events import CallDecided, CallFinished, ModelReplied, Noted, Recorded
from wardian.reruns.comparing import first_difference
from wardian.runs.trajectory import Trajectory

Essence = dict[str, Any]
PLACES = ("place", "workspace_mode")
"""Settings that say where it worked, not how"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    what: str
    """The field, as `calls[0].arguments.path`"""
    first: Any
    second: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A step of each run, by its number; None where the other one has none like it."""

    first: int | None
    second: int | None
    difference: Difference | None = None
    """Where they first part; None where they are the same, or one is alone"""

    @property
    def is_same(self) -> bool:
        return self.difference is None and None not in (self.first, self.second)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    conditions: tuple[Difference, ...]
    """What was different before the first step: task, model, tools, policy, settings"""
    pairs: tuple[Pair, ...]
    shared: int
    """Steps at the beginning that both have from the same run, where one restarts from the other"""
    end: Difference | None

    @property
    def is_same(self) -> bool:
        return not self.conditions and not self.end and all(pair.is_same for pair in self.pairs)

    @property
    def first(self) -> Pair | None:
        """The first step at which they part."""
        return next((pair for pair in self.pairs if not pair.is_same), None)


def align(first: Trajectory, second: Trajectory) -> Alignment:
    shared = shared_steps(first, second)
    one, other = _steps(first, after=shared), _steps(second, after=shared)
    pairs = [
        Pair(
            first=a,
            second=b,
            difference=None if a is None or b is None else _difference(one[a], other[b]),
        )
        for a, b in _matched(one, other)
    ]
    return Alignment(
        conditions=tuple(_conditions(first, second)),
        pairs=tuple(pairs),
        shared=shared,
        end=_difference(_end(first), _end(second)),
    )


def shared_steps(first: Trajectory, second: Trajectory) -> int:
    """How many steps one of them goes on from that are the other's."""
    (mine, at), (theirs, other_at) = _forked_at(first), _forked_at(second)
    if theirs == first.run_id:
        return other_at - 1
    if mine == second.run_id:
        return at - 1
    return 0


def _forked_at(run: Trajectory) -> tuple[str, int]:
    fork = run.started.fork if run.started else {}
    step = fork.get("step")
    return str(fork.get("run_id", "")), step if isinstance(step, int) else 1


def _matched(
    one: dict[int, Essence], other: dict[int, Essence]
) -> Iterator[tuple[int | None, int | None]]:
    """Numbers of steps, in the order of both runs."""
    first, second = list(one), list(other)
    calls = [_key(one[n]) for n in first], [_key(other[n]) for n in second]
    names = [_names(one[n]) for n in first], [_names(other[n]) for n in second]
    for a, b, c, d, same in _blocks(*calls):
        if same:
            yield from zip(first[a:b], second[c:d], strict=True)
            continue
        for e, f, g, h, alike in _blocks(names[0][a:b], names[1][c:d]):
            left, right = first[a + e : a + f], second[c + g : c + h]
            if alike:
                yield from zip(left, right, strict=True)
            else:
                yield from ((number, None) for number in left)
                yield from ((None, number) for number in right)


def _blocks(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int, int, int, bool]]:
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        yield a, b, c, d, tag == "equal"


def _steps(run: Trajectory, after: int) -> dict[int, Essence]:
    """Of each later step what must be the same, by its number."""
    steps: dict[int, Essence] = {}
    for event in run.events:
        match event:
            case ModelReplied(reply=reply):
                message = reply.message
                steps[event.step] = {
                    "calls": [
                        {
                            "name": call.name,
                            "arguments": call.arguments_text
                            if call.arguments is None
                            else dict(call.arguments),
                        }
                        for call in message.calls
                    ],
                    "reply": message.content,
                    "reasoning": message.reasoning,
                    "finish": reply.finish.value,
                }
            case CallDecided() | CallFinished() | Noted():
                _add(steps.setdefault(event.step, {}), event)
            case _:
                pass
    return {number: steps[number] for number in sorted(steps) if number > after}


def _add(step: Essence, event: Recorded) -> None:
    match event:
        case CallDecided(decision=decision, answer=answer):
            said = {"decision": type(decision).__name__.lower(), "answer": answer}
            step.setdefault("decisions", []).append(said)
        case CallFinished(result=result):
            gave = {"name": result.name, "status": result.status.value, "content": result.content}
            step.setdefault("results", []).append(gave)
        case Noted(text=text):
            step.setdefault("notes", []).append(text)
        case _:
            pass


def _conditions(first: Trajectory, second: Trajectory) -> Iterator[Difference]:
    one, other = _began(first), _began(second)
    for name in one:
        if found := _difference({name: one[name]}, {name: other[name]}):
            yield found


def _began(run: Trajectory) -> Essence:
    started = run.started
    if started is None:
        names = ("task", "context", "model", "system_prompt", "tools", "policy", "settings")
        return dict.fromkeys(names)
    return {
        "task": started.task.prompt,
        "context": started.task.context,
        "model": started.model.get("name"),
        "system_prompt": started.system_prompt,
        "tools": [tool.get("name") for tool in started.tools],
        # In this order: a hash alone tells nobody what is different.
        "policy": {key: started.policy.get(key) for key in ("name", "budgets", "sha256")},
        "settings": {k: v for k, v in started.settings.items() if k not in PLACES},
    }


def _end(run: Trajectory) -> Essence:
    ended = run.finished
    return {
        "stop": ended.stop.value if ended else "unfinished",
        "answer": ended.answer if ended else "",
    }


def _difference(one: Essence, other: Essence) -> Difference | None:
    try:
        found = first_difference(one, other)
    except RecursionError:
        found = "(nested too deeply to compare)", None, None
    return Difference(what=found[0], first=found[1], second=found[2]) if found else None


def _key(step: Essence) -> str:
    try:
        return json.dumps(step.get("calls"), sort_keys=True, default=str)
    except (RecursionError, ValueError):
        return _names(step)


def _names(step: Essence) -> str:
    return " ".join(call["name"] for call in step.get("calls", ()))
