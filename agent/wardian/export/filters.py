"""Which runs are exported."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from wardian.events import ModelReplied, Rated
from wardian.runs.trajectory import Trajectory

UNFINISHED = "unfinished"


class Rating(StrEnum):
    GOOD = "good"
    BAD = "bad"


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
    since: datetime | None = None
    """It began then or later; UTC where no zone is given"""
    rated: Rating | None = None
    min_steps: int = 0

    def admit(self, run: Trajectory) -> bool:
        """Does the run pass? One whose first event cannot be read passes no filter on it."""
        started = run.started
        model = str(started.model.get("name", "")) if started else ""
        tags = started.tags if started else ()
        return (
            (not self.status or status(run) in self.status)
            and (not self.model or fnmatchcase(model, self.model))
            and set(self.tags) <= set(tags)
            and (not self.tools or set(self.tools) <= called(run))
            and (self.since is None or is_since(run, self.since))
            and (self.rated is None or rating(run) is self.rated)
            and len([e for e in run.events if isinstance(e, ModelReplied)]) >= self.min_steps
        )


def status(run: Trajectory) -> str:
    return run.finished.stop.value if run.finished else UNFINISHED


def called(run: Trajectory) -> set[str]:
    """The tools that the model called, whatever became of the calls."""
    replies = (e.reply for e in run.events if isinstance(e, ModelReplied))
    return {call.name for reply in replies for call in reply.message.calls}


def rating(run: Trajectory) -> Rating | None:
    """What the user said last of the whole run; of a step where nothing was said of the whole."""
    rated = [e for e in run.events if isinstance(e, Rated)]
    whole = [e for e in rated if e.step == 0] or rated
    return None if not whole else Rating.GOOD if whole[-1].good else Rating.BAD


def is_since(run: Trajectory, moment: datetime) -> bool:
    wall = next((record.wall for record in run.records if record.wall), "")
    return bool(wall) and aware(datetime.fromisoformat(wall)) >= aware(moment)


def aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
