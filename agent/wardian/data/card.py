"""The card of a dataset: what is in it, where it comes from, and what was left out and why."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from platform import python_version
from typing import Any

from wardian._version import __version__
from wardian.data.choice import Form
from wardian.data.models import Sampler, model_card
from wardian.data.rows import SCHEMA, Goal
from wardian.data.surveying import Survey
from wardian.data.tally import Tally
from wardian.export.consent import REFUSED
from wardian.export.filters import Filters
from wardian.export.splitting import Split
from wardian_policies.labels import FlowState

FEW_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """All that a card tells of."""

    survey: Survey
    tally: Tally
    form: Form
    samplers: list[Sampler]
    filters: Filters
    split: Split
    secrets: int
    """How many registered values were looked for"""
    files: list[dict[str, Any]]
    flow: Mapping[str, FlowState]
    """By run: what it had read"""


def card(built: Built) -> dict[str, Any]:
    """Deterministic but for `created`."""
    survey, tally, choice = built.survey, built.tally, built.survey.choice
    return {
        "schema": SCHEMA,
        "goal": str(choice.goal),
        "kind": tally.kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"wardian": __version__, "python": python_version()},
        "files": built.files,
        "counts": _counts(built),
        "families": _sorted(tally.families),
        "rewards": _sorted(tally.rewards),
        "step_rewards": _sorted(tally.step_rewards),
        "labels": _sorted(tally.labels),
        "signs": _sorted(tally.signs),
        "model": model_card(built.samplers) if built.form is Form.TOKENS else {},
        "choice": choice.as_json(),
        "filters": json.loads(json.dumps(built.filters.given())),
        "split": dict(built.split.shares),
        "kept_out": list(survey.eval_tasks.suites),
        "registered_secrets_searched": built.secrets,
        "flow": _flow(built),
        "consent": {
            "statement": choice.consent,
            "runs_refused": survey.left_out.counts[REFUSED],
        },
        "remarks": remarks(built),
        "left_out": {
            reason: {"count": count, "some": sorted(survey.left_out.named[reason])}
            for reason, count in sorted(survey.left_out.counts.items())
        },
        "run_ids": sorted(tally.run_ids),
    }


def remarks(built: Built) -> list[str]:
    """What whoever trains on it should know."""
    choice, tally = built.survey.choice, built.tally
    found: list[str] = []
    if built.form is Form.TEXT and choice.goal is not Goal.GRPO:
        found.append(
            "Rows are text: a trainer tokenises them anew, by the template of the model it trains."
        )
    if choice.goal is Goal.STEPS and len(tally.step_rewards) == 1:
        found.append("Every step was worth about the same: there is nothing to tell apart.")
    if choice.goal is Goal.SFT and len(tally.rewards) == 1 and not built.survey.left_out.counts:
        found.append("No attempt was left out: imitating them all teaches what is done already.")
    if tally.rows < FEW_ROWS and choice.goal is not Goal.GRPO:
        found.append(f"So few rows ({tally.rows}) make a model narrow in more than two epochs.")
    flow = _flow(built)
    if flow["local"]:
        found.append(
            f"{flow['local']} runs read what the policy keeps on this machine: keep here what is "
            "trained on them."
        )
    if flow["outside"]:
        found.append(
            f"{flow['outside']} runs read pages or tool servers: see that no words of others "
            "are learnt as orders."
        )
    found += [
        f"{one['name']} has no row: its share of the tasks is too small."
        for one in built.files
        if not one["rows"]
    ]
    if len(tally.families) > 1:
        family, count = tally.families.most_common(1)[0]
        if count > tally.rows / 2:
            named = family or "no family"
            found.append(f"{count} of {tally.rows} rows are of {named}: --balance levels them.")
    return found


def _counts(built: Built) -> dict[str, int]:
    survey, tally = built.survey, built.tally
    return {
        "rows": tally.rows,
        "tasks": len(tally.tasks),
        "tokens": tally.tokens,
        "trained_tokens": tally.trained_tokens,
        "longest_tokens": tally.longest,
        "runs_read": survey.read,
        "runs_meant": survey.admitted,
        "runs_used": len(tally.run_ids),
    }


def _flow(built: Built) -> dict[str, int]:
    """How many of the runs had read what is labelled so."""
    used = [state for run_id, state in built.flow.items() if run_id in built.tally.run_ids]
    names = ("untrusted", "outside", "private", "local")
    return {name: sum(getattr(state, name) is not None for state in used) for name in names}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
