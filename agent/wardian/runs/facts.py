"""What a run is looked for by: its end, model, tools, tags, labels, ratings, ….

Computed from records as they stand in the log, so that thousands of runs can be told apart without
making typed events of them, and whatever a damaged or strange record holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from wardian.runs.lines import Line

UNFINISHED = "unfinished"
"""Stands for the `Stop` of a run that goes on, or was killed."""
MAX_STEPS = 10**9
"""A record that says of more says nothing"""
GOOD, BAD = "good", "bad"
REWARD = "reward"
"""The label whose value is a number: how well the run did its task."""
KINDS = frozenset(
    {
        "run_started",
        "model_replied",
        "run_finished",
        "run_resumed",
        "tagged",
        "labelled",
        "rated",
        "rewarded",
    }
)
"""Those that say something of it"""


class RunFacts(NamedTuple):
    """One run; empty and 0 where the log does not say. A tuple, of which thousands are made."""

    run_id: str
    started: str
    """UTC, ISO 8601"""
    prompt: str
    model: str
    stop: str
    """A `Stop` value, or `unfinished`"""
    steps: int
    """Replies of the model; of a fork with those that it goes on from"""
    workspace: str
    parent: str
    """Of a sub-agent's run: that which called it; of a fork: that which it restarts from"""
    is_fork: bool
    tools: Sequence[str]
    """Those that the model called, whatever became of the calls; sorted"""
    tags: Sequence[str]
    """Sorted"""
    labels: Mapping[str, str]
    rated: str
    """What the user said last of the whole run, `good` or `bad`; of a step where nothing was said
    of the whole"""

    @property
    def reward(self) -> float | None:
        """What a verifier or the user said last of the whole run; None where nobody did."""
        try:
            value = float(self.labels.get(REWARD, ""))
        except ValueError:
            return None
        return value if value == value else None  # NaN is no reward


def facts_of(run_id: str, lines: Iterable[Line]) -> RunFacts:
    """The facts of a run's records, in their order."""
    facts = _begun({}, "")
    tags: set[str] = set()
    labels: dict[str, str] = {}
    tools: set[str] = set()
    ratings: list[tuple[bool, str]] = []
    steps = 0
    for kind, wall, loaded in lines:
        data = _dict(loaded)
        match kind:
            case "run_started":
                facts = _begun(data, wall)
                tags = set(_texts(data.get("tags")))
            case "model_replied":
                number = data.get("step")  # a fork's begin after those of its run
                if isinstance(number, int) and number < MAX_STEPS:
                    steps = max(steps, number)
                else:
                    steps += 1
                message = _dict(_dict(data.get("reply")).get("message"))
                calls = _list(message.get("calls"))
                tools |= {str(_dict(call).get("name", "")) for call in calls}
            case "run_finished":
                facts["stop"] = str(data.get("stop", UNFINISHED))
            case "run_resumed":
                facts["stop"] = UNFINISHED
            case "tagged":
                tags = (tags | set(_texts(data.get("added")))) - set(_texts(data.get("removed")))
            case "labelled":
                _label(labels, data)
            case "rewarded" if data.get("step") == 0:  # by a verifier; the last word counts
                _label(labels, {"name": REWARD, "value": str(data.get("value"))})
            case "rated":
                ratings.append((data.get("step") == 0, GOOD if data.get("good") else BAD))
            case _:
                pass
    whole = [rating for of_run, rating in ratings if of_run] or [rating for _, rating in ratings]
    return RunFacts(
        run_id=run_id,
        steps=steps,
        tools=sorted(tools),
        tags=sorted(tags),
        labels=labels,
        rated=whole[-1] if whole else "",
        **facts,
    )


def _begun(data: dict[str, Any], wall: str) -> dict[str, Any]:
    prompt = _dict(data.get("task")).get("prompt", "")
    fork = str(_dict(data.get("fork")).get("run_id", ""))
    return {
        "started": wall,
        "prompt": prompt if isinstance(prompt, str) else "(long prompt)",
        "model": str(_dict(data.get("model")).get("name", "")),
        "stop": UNFINISHED,
        "workspace": str(data.get("workspace", "")),
        "parent": str(_dict(data.get("parent")).get("run_id", "")) or fork,
        "is_fork": bool(fork),
    }


def _label(labels: dict[str, str], data: dict[str, Any]) -> None:
    name, value = data.get("name"), data.get("value")
    if isinstance(name, str):
        labels.pop(name, None)
        if isinstance(value, str):
            labels[name] = value


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
