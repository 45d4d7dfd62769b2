"""Which runs are meant: one set of filters for listing, exporting, sweeping."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from wardian.runs.facts import BAD, GOOD, RunFacts, facts_of
from wardian.runs.lines import Line
from wardian.runs.texts import holds
from wardian.runs.trajectory import Trajectory


class Rating(StrEnum):
    GOOD = GOOD
    BAD = BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All of them must hold; what is not given always does."""

    status: tuple[str, ...] = ()
    """One of these `Stop` values, or `unfinished`"""
    model: str = ""
    """A name, or a pattern such as `openai/*`"""
    tools: tuple[str, ...] = ()
    """Each was called"""
    tags: tuple[str, ...] = ()
    """It has each"""
    labels: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """It has each, with that value; None is any"""
    since: datetime | None = None
    """It began then or later; UTC where no zone is given"""
    until: datetime | None = None
    """It began before then"""
    rated: Rating | None = None
    min_reward: float | None = None
    """What a verifier or the label `reward` said last of it is that much or more"""
    max_reward: float | None = None
    min_steps: int = 0
    max_steps: int | None = None
    workspace: str = ""
    """The folder it worked in, whole"""
    parent: str = ""
    """The run whose sub-agent or fork it is"""
    text: str = ""
    """Words (`wardian.runs.words`) that one of its texts has"""

    @property
    def are_any(self) -> bool:
        return self != Filters()

    def given(self) -> dict[str, Any]:
        """Those that are set, as JSON."""
        plain = Filters()
        names = (one.name for one in fields(self))
        values = {name: getattr(self, name) for name in names}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in values.items()
            if value != getattr(plain, name)
        }

    def admit(self, run: Trajectory) -> bool:
        """Does the run pass? One whose first event cannot be read passes no filter on it."""
        if self == Filters():
            return True
        lines = [Line(one.kind, one.wall, one.data) for one in run.records]
        return self.take(facts_of(run.run_id, lines)) and (not self.text or holds(lines, self.text))

    def take(self, facts: RunFacts) -> bool:
        """The same, but for `text`."""
        return (
            (not self.status or facts.stop in self.status)
            and (not self.model or fnmatchcase(facts.model, self.model))
            and all(tag in facts.tags for tag in self.tags)
            and all(tool in facts.tools for tool in self.tools)
            and all(_has(facts, name, value) for name, value in self.labels.items())
            and (self.rated is None or facts.rated == self.rated)
            and (not self.workspace or facts.workspace == self.workspace)
            and (not self.parent or facts.parent == self.parent)
            and facts.steps >= self.min_steps
            and (self.max_steps is None or facts.steps <= self.max_steps)
            and self._is_in_time(facts.started)
            and self._is_rewarded(facts)
        )

    def _is_in_time(self, started: str) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            began = aware(datetime.fromisoformat(started))
        except ValueError:
            return False
        return (self.since is None or began >= aware(self.since)) and (
            self.until is None or began < aware(self.until)
        )

    def _is_rewarded(self, facts: RunFacts) -> bool:
        if self.min_reward is None and self.max_reward is None:
            return True
        reward = facts.reward
        return (
            reward is not None
            and (self.min_reward is None or reward >= self.min_reward)
            and (self.max_reward is None or reward <= self.max_reward)
        )


def facts_of_run(run: Trajectory) -> RunFacts:
    return facts_of(run.run_id, (Line(one.kind, one.wall, one.data) for one in run.records))


def aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _has(facts: RunFacts, name: str, value: str | None) -> bool:
    return name in facts.labels and value in (None, facts.labels[name])
