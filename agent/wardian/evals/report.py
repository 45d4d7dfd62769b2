"""What an evaluation says, as JSON values: the tables, pages and comparisons are made of it."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from statistics import fmean, median
from typing import Any

from wardian.evals.curves import curve
from wardian.evals.outcomes import Ending, Evaluation, Outcome
from wardian.evals.statistics import (
    Comparison,
    Interval,
    Tally,
    adjusted,
    compared,
    mean_over,
    passing,
    sizes_to_show,
    tallies,
)

SCHEMA = "wardian-evaluation-report/1"
MAX_LISTED = 100
"""Errors and suspicions listed one by one"""


def report(found: Evaluation) -> dict[str, Any]:
    """Everything that can be said of it."""
    plan = found.plan
    counted = {name: tallies(found.of(name)) for name in found.models}
    return {
        "schema": SCHEMA,
        "id": plan.id,
        "started": plan.started,
        "wardian_version": plan.wardian_version,
        "suite": {
            "name": plan.suite,
            "version": plan.version,
            "digest": plan.digest,
            "source": plan.source,
            "tasks": len(plan.tasks),
        },
        "attempts": plan.attempts,
        "seed": plan.seed,
        "scaling": dict(plan.scaling),
        "planned": plan.size,
        "done": sum(one.counts for one in found.outcomes),
        "complete": found.is_complete,
        "models": [_model(found, name, counted[name]) for name in found.models],
        "comparisons": comparisons(counted),
        "tasks": _tasks(found),
    }


def scaling_words(scaling: dict[str, Any]) -> str:
    """How an attempt of more than one run was made, from the report's `scaling`."""
    said: list[str] = []
    if "samples" in scaling:
        said.append(f"{scaling['samples']} samples chosen by {scaling['select']}")
    if rounds := scaling.get("rounds"):
        said.append("one round of criticism" if rounds == 1 else f"{rounds} rounds of criticism")
    return ", then ".join(said)


def comparisons(counted: dict[str, list[Tally]]) -> list[dict[str, Any]]:
    """Every pair of models, the later one against the earlier."""
    pairs = [
        comparison
        for first, second in combinations(counted, 2)
        if (comparison := compared(first, counted[first], second, counted[second]))
    ]
    together = adjusted([one.p_value for one in pairs])
    return [
        {**comparison_json(one), "p_adjusted": p} for one, p in zip(pairs, together, strict=True)
    ]


def comparison_json(one: Comparison) -> dict[str, Any]:
    lists = {"better": list(one.better), "worse": list(one.worse)}
    return {**asdict(one), **lists, "is_gain": one.is_gain}


def _model(found: Evaluation, name: str, counted: Sequence[Tally]) -> dict[str, Any]:
    outcomes = found.of(name)
    return {
        "name": name,
        "model": dict(found.plan.models[name]),
        **_figures(outcomes, counted),
        "endings": endings(outcomes),
        "families": [
            {"family": family, **_figures(mine, tallies(mine)), "endings": endings(mine)}
            for family in sorted({one.family for one in outcomes})
            if (mine := [one for one in outcomes if one.family == family])
        ],
        "curve": [point.as_json() for point in curve(outcomes)],
        "suspicious": [_listed(one) for one in outcomes if one.passed and one.suspicions],
        "errors": [_listed(one) for one in outcomes if not one.counts][:MAX_LISTED],
    }


def _figures(outcomes: Sequence[Outcome], counted: Sequence[Tally]) -> dict[str, Any]:
    """Of one model, or of one family of it."""
    whole = [one for one in outcomes if one.counts]
    most = max((one.attempts for one in counted), default=0)
    costs = [one.cost_usd for one in whole if one.cost_usd is not None]
    return {
        "tasks": len(counted),
        "attempts": len(whole),
        "passed": sum(one.passed for one in whole),
        "pass_at": {str(k): _json(passing(counted, k)) for k in sizes_to_show(most)},
        "pass_hat": {str(k): _json(passing(counted, k, every=True)) for k in sizes_to_show(most)},
        "reward": _json(_mean_reward(whole)),
        "steps": _spread([one.steps for one in whole]),
        "tool_calls": _spread([one.tool_calls for one in whole]),
        "tokens": _spread([one.tokens for one in whole]),
        "seconds": _spread([one.seconds for one in whole]),
        "cost_usd": _spread(costs) if costs else None,
    }


def _mean_reward(outcomes: Sequence[Outcome]) -> Interval | None:
    """Over tasks; penalties below 0 count as 0, so that it is a share."""
    by_task: dict[str, list[float]] = {}
    for one in outcomes:
        by_task.setdefault(one.task, []).append(min(1.0, max(0.0, one.value or 0.0)))
    return mean_over([fmean(values) for values in by_task.values()])


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        "mean": fmean(values),
        "median": median(values),
        "most": max(values),
        "total": sum(values),
    }


def endings(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How often each way to end came about; those that did."""
    counted = {str(ending): sum(one.ending is ending for one in outcomes) for ending in Ending}
    return {ending: count for ending, count in counted.items() if count}


def _tasks(found: Evaluation) -> list[dict[str, Any]]:
    """By task, what each model made of it."""
    rows: dict[str, dict[str, Any]] = {}
    for one in sorted(found.outcomes, key=lambda one: (one.task, one.attempt)):
        row = rows.setdefault(
            one.task, {"task": one.task, "family": one.family, "split": one.split, "models": {}}
        )
        mine = row["models"].setdefault(one.model, {"attempts": 0, "passed": 0, "endings": []})
        mine["attempts"] += one.counts
        mine["passed"] += one.passed
        mine["endings"].append(str(one.ending))
    return list(rows.values())


def _listed(one: Outcome) -> dict[str, Any]:
    return {
        "task": one.task,
        "attempt": one.attempt,
        "run_id": one.run_id,
        "why": list(one.suspicions) or [one.detail],
    }


def _json(interval: Interval | None) -> dict[str, float] | None:
    return interval.as_json() if interval else None
