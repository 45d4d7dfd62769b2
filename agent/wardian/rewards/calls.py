"""What a run called, whatever came of it: how often, and what it must not even have tried."""

from dataclasses import dataclass, field
from typing import Any

from wardian.events import ModelReplied
from wardian.rewards.patterns import compiled
from wardian.rewards.texts import MAX_SHOWN_CHARS
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsMade:
    """The run called tools no more than so often, and never with what a pattern finds.

    A pattern (RE2) is looked for in `name arguments`, the arguments as the model wrote them, so
    that an escape it used in JSON is still one. What a policy denied was called too.
    """

    name: str = field(default="calls", init=False)
    at_most: int | None = None
    without: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed where only an answer is known."""
        if not attempt.events:
            raise GradingFailed("What the run called is not known.", "Grade a recorded run.")
        made = [
            f"{call.name} {call.arguments_text}"
            for event in attempt.events
            if isinstance(event, ModelReplied)
            for call in event.reply.message.calls
        ]
        detail: dict[str, Any] = {"calls": len(made)}
        for pattern in map(compiled, self.without):
            if found := next((call for call in made if pattern.search(call)), None):
                detail["unwanted"] = found[:MAX_SHOWN_CHARS]
        is_few = self.at_most is None or len(made) <= self.at_most
        return Reward(
            value=float(is_few and "unwanted" not in detail),
            source=self.name,
            version=self.version,
            detail=detail,
        )
