"""The first look at every run: is it fit to learn from, and what is needed to compare it."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardian.data.attempts import Earned, earned, origin_of, status_of
from wardian.data.choice import Choice, Form
from wardian.data.choosing import Attempt
from wardian.data.contamination import Contaminated, EvalTasks
from wardian.data.duplicates import SAID_CHARS
from wardian.data.replies import prompt_text, said
from wardian.data.rows import Goal, Status
from wardian.data.streams import WITHOUT_IDS, Streams, streams
from wardian.errors import StorageError
from wardian.events import Forked, ModelReplied
from wardian.export.consent import REFUSED, Consent
from wardian.export.filters import Filters
from wardian.export.messages import openai, tools
from wardian.export.rows import Unfit
from wardian.runs import RunStore, Trajectory
from wardian.runs.preferences import judgements
from wardian.types import Reply

NAMED = 20
"""Of each reason, so many runs are named on the card."""


@dataclass(slots=True, kw_only=True)
class LeftOut:
    """What gave no row, by reason."""

    counts: Counter[str] = field(default_factory=Counter[str])
    named: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, reason: str) -> None:
        self.counts[reason] += 1
        if len(self.named[reason]) < NAMED:
            self.named[reason].append(name)


@dataclass(slots=True, kw_only=True)
class Survey:
    """Looks at runs one at a time; what it keeps of each is an `Attempt`."""

    store: RunStore
    choice: Choice
    suites: frozenset[str]
    """Names; empty where any will do"""
    eval_tasks: EvalTasks
    left_out: LeftOut
    consent: Consent
    read: int = 0
    admitted: int = 0

    def attempts(self, run_ids: Sequence[str], filters: Filters) -> Iterator[Attempt]:
        for run_id in run_ids:
            self.read += 1
            try:
                run = self._load(run_id)
                if run.started is None:
                    raise Unfit("its first event cannot be read")
                if not self._is_meant(run, filters):
                    continue
                self.admitted += 1
                if not self.consent.gives(run):
                    raise Unfit(REFUSED)
                yield self._look(run)
            except Contaminated as fault:
                self.left_out.add(f"{run_id}, {fault.task}", str(fault))
            except Unfit as fault:
                self.left_out.add(run_id, str(fault))

    def _load(self, run_id: str) -> Trajectory:
        try:
            run = read_run(self.store, run_id)
        except StorageError as error:
            raise Unfit("it cannot be read") from error
        if any(not damage.is_torn for damage in run.damage):
            raise Unfit("its log is damaged")
        return run

    def _is_meant(self, run: Trajectory, filters: Filters) -> bool:
        assert run.started is not None
        role = str(run.started.parent.get("name", ""))
        suite = origin_of(run).suite
        return (
            filters.admit(run)
            and role == self.choice.role
            and (not self.suites or suite in self.suites)
        )

    def _look(self, run: Trajectory) -> Attempt:
        """Raises: Unfit."""
        assert run.started is not None
        status, reward = status_of(run), self._earned(run)
        judged = self._is_judged(run)
        self._check_worth(status, reward, is_judged=judged)
        self.eval_tasks.check(run)
        read = self._streams(run)
        tokens = max((len(branch.ids) for branch in read.branches), default=0) if read else 0
        usage = [reply.usage for reply in _replies(run)]
        tokens = tokens or max((one.total_tokens for one in usage), default=0)
        if self.choice.max_tokens is not None and tokens > self.choice.max_tokens:
            raise Unfit("it is too long")
        words = said(run)
        is_scored = status is not Status.ENV_ERROR
        return Attempt(
            origin=origin_of(run, model_sha256=read.model_sha256 if read else ""),
            reward=reward.value if reward and is_scored else None,
            status=status,
            has_ids=read is not None,
            tokens=tokens,
            sampled=sum(one.completion_tokens for one in usage),
            digest=_digest(read, run),
            prompt=_prompt(read, run),
            said=words[:SAID_CHARS],
            template_sha256=read.template_sha256 if read else "",
            model_path=str(run.started.model.get("path", "")),
            file_sha256=_file_hash(run.started.model),
            is_judged=judged,
            fork_of=str(run.started.fork.get("run_id", "")),
        )

    def _is_judged(self, run: Trajectory) -> bool:
        """Did the user show what to think of a reply, or for pairs, have it done otherwise?"""
        match self.choice.goal:
            case Goal.KTO:
                return bool(judgements(run))
            case Goal.DPO:
                return bool(judgements(run)) or _has_forks(run)
            case _:
                return False

    def _earned(self, run: Trajectory) -> Earned | None:
        """A sub-agent's run earned what the run did that called it."""
        assert run.started is not None
        caller = str(run.started.parent.get("run_id", ""))
        try:
            of = read_run(self.store, caller) if caller else run
        except StorageError:
            return None
        return earned(of, self.choice.reward)

    def _check_worth(self, status: Status, reward: Earned | None, *, is_judged: bool) -> None:
        """Raises: Unfit where nothing says what it is worth, before more is looked at."""
        goal = self.choice.goal
        if is_judged:
            return
        if status is Status.ENV_ERROR:
            raise Unfit("it did not come to its own end")
        if reward is None and goal is not Goal.STEPS:
            raise Unfit("nothing says what it is worth")
        if reward and reward.suspicions and not self.choice.with_suspicious:
            raise Unfit("its reward is to be looked at by a person first")
        if goal is Goal.SFT and status is not Status.OK:
            raise Unfit("it did not come to an answer")
        if goal is Goal.SFT and reward and reward.value < self.choice.threshold:
            raise Unfit("it earned too little")

    def _streams(self, run: Trajectory) -> Streams | None:
        """None where the rows will be text. Raises: Unfit."""
        if self.choice.form is Form.TEXT or self.choice.goal is Goal.GRPO:
            return None
        try:
            return streams(run)
        except Unfit as fault:
            if self.choice.form is Form.AUTO and str(fault) == WITHOUT_IDS:
                return None
            raise


def read_run(store: RunStore, run_id: str) -> Trajectory:
    """The run of a whole id: `load` looks through the store for what a name means.

    Raises: StorageError.
    """
    return Trajectory.read(store.root / run_id)


def _has_forks(run: Trajectory) -> bool:
    assert run.started is not None
    return bool(run.started.fork) or any(isinstance(event, Forked) for event in run.events)


def _file_hash(model: Mapping[str, Any]) -> str:
    return str(model.get("sha256") or model.get("sha256_head_tail") or "")


def _replies(run: Trajectory) -> list[Reply]:
    return [event.reply for event in run.events if isinstance(event, ModelReplied)]


def _digest(read: Streams | None, run: Trajectory) -> bytes:
    """Equal for runs whose rows would be equal."""
    if read is None:
        text = json.dumps([openai(run.messages), tools(run)], sort_keys=True)
        return _sha256(text)
    branches = [(one.ids, [(r.begin, r.end) for r in one.replies]) for one in read.branches]
    return _sha256(repr(branches))


def _prompt(read: Streams | None, run: Trajectory) -> bytes:
    """Equal for runs that the model was asked in the very same way."""
    if read is None:
        return _sha256(prompt_text(run))
    branch = read.branches[0]
    return _sha256(repr(branch.prompt_ids(branch.replies[0])))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
