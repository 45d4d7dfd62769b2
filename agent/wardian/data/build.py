"""Recorded runs to training data.

Two looks at the runs: the first keeps some kilobytes of each, by which they are compared and
chosen; the second makes rows of the chosen ones, one run in memory at a time. Nothing is in place
before all of it is. The same runs and the same choice give the same rows, byte for byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardian.data.card import Built, card
from wardian.data.choice import Choice, Form
from wardian.data.choosing import ENOUGH, Attempt, levelled
from wardian.data.held_out import eval_tasks
from wardian.data.imitating import imitated
from wardian.data.judging import judged
from wardian.data.models import Sampler, form_of, of_one_tokenizer
from wardian.data.pairing import ALIKE, ALONE, TOO_EASY, TOO_HARD, prompt_rows
from wardian.data.preferring import preferred
from wardian.data.rows import Dataset, Goal, PromptRow, written
from wardian.data.source import Made, Source
from wardian.data.surveying import LeftOut, Survey, read_run
from wardian.data.tally import Tally
from wardian.errors import ConfigurationError, StorageError, WardianError
from wardian.evals.loading import load_suite
from wardian.evals.tasks import Suite
from wardian.export.card import write_card
from wardian.export.consent import Consent
from wardian.export.filters import Filters
from wardian.export.parts import Part
from wardian.export.splitting import Split
from wardian.export.writing import holds_secret
from wardian.runs import RunStore
from wardian_policies.redaction.values import KnownValues

REASONS_SHOWN = 3
OTHER_TASKS = "Collect attempts at a higher temperature, or at other tasks."
REMEDIES = {
    ALONE: "Collect several attempts at each task.",
    ALIKE: f"{OTHER_TASKS} Or lower --margin.",
    TOO_HARD: OTHER_TASKS,
    TOO_EASY: OTHER_TASKS,
    "it earned too little": "Lower what counts as good with --threshold, or collect more attempts.",
    "nothing says what it is worth": "Grade them: `agent eval`; or rate them: `agent runs rate`.",
    "it is too long": "Raise --max-tokens.",
    "it is an attempt at an eval task": "Collect attempts at tasks of a train split.",
}
"""By reason; of several that apply, the first"""


class NothingToLearn(WardianError):
    """No row came of the runs, or none that could teach anything."""


def build(
    store: RunStore,
    run_ids: Sequence[str],
    choice: Choice,
    *,
    output: Path,
    filters: Filters | None = None,
    split: Split | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Dataset:
    """Write the rows to `output` and the card beside it. `split` never parts a task's attempts.

    Raises: NothingToLearn; ConfigurationError for runs that do not belong in one set, a registered
    secret, an unknown suite; StorageError where nothing can be written.
    """
    filters, split, secrets = filters or Filters(), split or Split(), secrets or {}
    known = KnownValues(secrets)
    if holds_secret([asdict(choice), filters.given()], known):  # it will stand on the card
        raise ConfigurationError(
            "What is asked for holds a registered secret.", "Ask for it in other words."
        )
    suites = [(name, load_suite(name)) for name in choice.suites]
    if choice.goal is Goal.GRPO and not suites:
        raise ConfigurationError(
            "Rows for grpo are the tasks of a suite, and none is named.", "Add --suite NAME."
        )
    survey = Survey(
        store=store,
        choice=choice,
        suites=frozenset(suite.name for _, suite in suites),
        eval_tasks=eval_tasks([*choice.suites, *choice.against]),
        left_out=LeftOut(),
        consent=Consent(lambda run_id: read_run(store, run_id)),
    )
    found = list(survey.attempts(sorted(dict.fromkeys(run_ids)), filters))
    found, form, samplers = _of_one_kind(found, survey)
    drop, tally = survey.left_out.add, Tally()
    source = Source(store=store, choice=choice, form=form, known=known, drop=drop)
    made = _made(found, suites, source)
    files = _write(made, survey, tally, split, output)
    built = Built(
        survey=survey,
        tally=tally,
        form=form,
        samplers=samplers,
        filters=filters,
        split=split,
        secrets=len(secrets),
        files=files,
        flow=source.flow,
    )
    content = card(built)
    write_card(content, output)
    return Dataset(path=output, card=content)


def _of_one_kind(found: list[Attempt], survey: Survey) -> tuple[list[Attempt], Form, list[Sampler]]:
    """Raises: ConfigurationError."""
    choice = survey.choice
    if choice.goal is Goal.GRPO:
        return found, Form.TEXT, []
    form = form_of(found, choice.form)
    if form is not Form.TOKENS:
        return found, form, []
    alike, samplers = of_one_tokenizer(found, choice.weights, survey.left_out.add)
    return alike, form, samplers


def _made(
    found: Sequence[Attempt], suites: Sequence[tuple[str, Suite]], source: Source
) -> Iterator[Made]:
    match source.choice.goal:
        case Goal.SFT | Goal.STEPS:
            yield from imitated(found, source)
        case Goal.DPO:
            yield from preferred(found, source)
        case Goal.KTO:
            yield from judged(found, source)
        case Goal.GRPO:
            rows = list(prompt_rows(found, suites, source.choice, source.drop))
            caps = source.choice.caps
            for row, tried in levelled(rows, _family_of_task, caps, source.drop):
                run_ids = tuple(one.origin.run_id for one in tried)
                yield Made(row=row, run_ids=run_ids, group=f"{row.suite}/{row.task}")


def _family_of_task(made: tuple[PromptRow, list[Attempt]]) -> tuple[str, str]:
    return made[0].family, f"task {made[0].task}"


def _write(
    made: Iterable[Made], survey: Survey, tally: Tally, split: Split, output: Path
) -> list[dict[str, Any]]:
    """The files with their hashes. Raises: NothingToLearn, StorageError."""
    try:
        with ExitStack() as stack:
            parts: dict[str, Part] = {}
            for name, path in split.paths(output).items():
                parts[name] = Part(path)
                stack.callback(parts[name].drop)
            limit = survey.choice.caps.rows
            for one in made:
                if tally.rows == limit:
                    survey.left_out.add(one.run_ids[0], ENOUGH)
                    continue
                parts[split.part(one.group)].write(written(one.row) + b"\n")
                tally.add(one)
            _check_teaches(tally, survey)
            return [part.keep() for part in parts.values()]
    except OSError as error:
        raise StorageError(
            f"{output} cannot be written: {error.strerror or error}.", "Choose another place."
        ) from error


def _check_teaches(tally: Tally, survey: Survey) -> None:
    """Raises: NothingToLearn."""
    choice = survey.choice
    if not tally.rows:
        reasons = survey.left_out.counts.most_common(REASONS_SHOWN)
        why = "; ".join(f"{count}: {reason}" for reason, count in reasons)
        remedy = next((REMEDIES[one] for one in REMEDIES if one in survey.left_out.counts), "")
        raise NothingToLearn(
            f"None of {survey.read} runs gave a row{f' ({why})' if why else ''}.",
            remedy if survey.admitted else "Record some, or widen what they are chosen by.",
        )
    if choice.goal is Goal.KTO and len(tally.labels) == 1:
        (label,) = tally.labels
        raise NothingToLearn(
            f"All {tally.rows} replies are {label}: there is nothing to tell apart.",
            "Take more runs, or move what counts as good: --threshold, --margin.",
        )
