"""A run as an attempt at a task: which task, how it ended, what it earned."""

import hashlib
import json
from dataclasses import dataclass

from wardian.data.rows import Origin, Status
from wardian.events import Rated, Rewarded, Tagged
from wardian.runs.filters import facts_of_run
from wardian.runs.trajectory import Trajectory
from wardian.types import Stop

STATUS = {
    Stop.DONE: Status.OK,
    Stop.STEPS: Status.TRUNCATED,
    Stop.TOOL_CALLS: Status.TRUNCATED,
    Stop.TOKENS: Status.TRUNCATED,
    Stop.COST: Status.TRUNCATED,
    Stop.TIME: Status.TIMEOUT,
    Stop.CONTEXT: Status.TRUNCATED,
    Stop.MALFORMED: Status.MODEL_ERROR,
    Stop.APPROVAL: Status.ENV_ERROR,
    Stop.CANCELLED: Status.ENV_ERROR,
    Stop.FAILED: Status.ENV_ERROR,
}
USER = "user"
"""Source of a reward that is the user's"""
TASK_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """The reward of a whole run."""

    value: float
    source: str
    version: str
    suspicions: tuple[str, ...] = ()


def status_of(run: Trajectory) -> Status:
    """A run that never ended is the machine's fault, not the model's."""
    return STATUS[run.finished.stop] if run.finished else Status.ENV_ERROR


def earned(run: Trajectory, source: str = "") -> Earned | None:
    """What a verifier said last of the whole run, or the one named; else what the user did: the
    run's label `reward`, or its rating."""
    for event in reversed(run.events):
        if isinstance(event, Rewarded) and event.step == 0 and source in ("", event.source):
            return Earned(
                value=event.value,
                source=event.source,
                version=event.version,
                suspicions=event.suspicions,
            )
    if source in ("", USER):
        if (label := facts_of_run(run).reward) is not None:
            return Earned(value=label, source=USER, version="1")
        rated = [e for e in run.events if isinstance(e, Rated) and e.step == 0]
        if rated:
            return Earned(value=float(rated[-1].good), source=USER, version="1")
    return None


def origin_of(run: Trajectory, *, branch: int = 0, model_sha256: str = "") -> Origin:
    """Where rows of the run come from. Its first event must be readable."""
    started = run.started
    assert started is not None
    suite, task = tagged(run, "suite"), tagged(run, "task")
    key = task or _digest(run)
    return Origin(
        run_id=run.run_id,
        branch=branch,
        task=key,
        suite=suite,
        family=tagged(run, "family") or (task.partition("/")[0] if "/" in task else ""),
        group=f"{suite}/{key}" if task else str(started.group.get("id") or key),
        model=str(started.model.get("name", "")),
        model_sha256=model_sha256,
    )


def tagged(run: Trajectory, name: str) -> str:
    """The value of a tag `name:value`."""
    tags = dict.fromkeys(run.started.tags if run.started else ())
    for event in run.events:
        if isinstance(event, Tagged):
            tags |= dict.fromkeys(event.added)
            tags = {tag: None for tag in tags if tag not in event.removed}
    found = (tag.partition(":")[2] for tag in tags if tag.startswith(f"{name}:"))
    return next(found, "")


def _digest(run: Trajectory) -> str:
    """Of what was asked, where: the same words in another folder are another task."""
    assert run.started is not None
    task = run.started.task
    images = [image.data for image in task.images]
    asked = [task.prompt, task.context, task.output_schema, images, run.started.workspace]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:TASK_CHARS]
