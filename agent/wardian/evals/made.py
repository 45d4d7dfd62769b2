"""What an attempt came to, before it is graded: from one run, from several, from a broken one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wardian.errors import RunNotFound, StorageError
from wardian.events import Recorded, RunFinished
from wardian.runs import RunStore
from wardian.scale.attempts import Candidate, Group
from wardian.types import Stop


@dataclass(slots=True, kw_only=True)
class Made:
    """What an attempt came to, before it is graded."""

    run_id: str = ""
    answer: str = ""
    stop: Stop | None = None
    error: str = ""
    events: Sequence[Recorded] = ()
    began_with: dict[str, str] = field(default_factory=dict[str, str])
    steps: int = 0
    tool_calls: int = 0
    tokens: int = 0
    cost_usd: float | None = None
    seconds: float = 0.0


def of_run(finished: RunFinished, run_id: str, events: Sequence[Recorded]) -> Made:
    """From the last event of a run."""
    spent = finished.spent
    return Made(
        run_id=run_id,
        answer=finished.answer,
        stop=finished.stop,
        error=finished.error,
        events=events,
        steps=int(spent.get("steps", finished.steps)),
        tool_calls=int(spent.get("tool_calls", finished.tool_calls)),
        tokens=int(spent.get("tokens", finished.usage.total_tokens)),
        cost_usd=finished.usage.cost_usd,
        seconds=finished.seconds,
    )


def of_group(
    store: RunStore | None, group: Group, winner: Candidate | None, seconds: float
) -> Made:
    """From the chosen run of several, with what all of them took."""
    candidates = [winner] if winner else group.candidates
    one = next(candidate for candidate in candidates if candidate.result is not None)
    assert one.result is not None
    assert store is not None
    used = group.ledger.used
    results = [each.result for each in group.candidates if each.result is not None]
    costs = [each.usage.cost_usd for each in results if each.usage.cost_usd is not None]
    return Made(
        run_id=one.result.run_id,
        answer=one.result.answer,
        stop=one.result.stop,
        error=one.result.error,
        events=store.load(one.result.run_id).events,
        steps=used.steps,
        tool_calls=used.tool_calls,
        tokens=used.tokens,
        cost_usd=sum(costs) if costs else None,
        seconds=seconds,
    )


def of_log(store: RunStore | None, run_id: str, problem: Exception, seconds: float) -> Made:
    """Of a run that broke, as far as its log tells."""
    made = Made(error=str(problem), seconds=seconds)
    try:
        run = store.load(run_id) if store else None
    except (RunNotFound, StorageError):
        return made
    if run:
        spent = run.consumed
        made.run_id, made.steps, made.tokens = run.run_id, spent.steps, spent.tokens
        made.tool_calls, made.cost_usd = spent.tool_calls, run.usage.cost_usd
    return made
