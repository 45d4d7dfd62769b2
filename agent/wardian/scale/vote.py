"""Self-consistency: the answer that most attempts agree on.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
arXiv:2203.11171.
"""

import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.rewards.maths import MathsMatch
from wardian.rewards.types import Attempt, GradingFailed
from wardian.scale.attempts import TEMPERATURES, Candidate, Group, attempts
from wardian.scale.comparing import tell
from wardian.types import Task

Same = Callable[[str, str], Awaitable[bool]]
"""Do two answers say the same?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a group came to."""

    group: Group
    winner: Candidate | None
    """None when no attempt came to an answer"""
    support: dict[str, int]
    """Votes by answer, each spelled as the first that gave it; the winner's first"""

    @property
    def agreement(self) -> float:
        """The winner's share of the attempts that came to an answer."""
        votes = list(self.support.values())
        return votes[0] / sum(votes) if votes else 0.0


async def same_text(left: str, right: str) -> bool:
    """But for case, space and a final full stop."""
    return plain(left) == plain(right)


async def same_maths(left: str, right: str) -> bool:
    """The same text, or equal as mathematics; what cannot be compared differs."""
    if await same_text(left, right):
        return True
    try:
        attempt = Attempt(task=Task(prompt=""), answer=right)
        return (await MathsMatch(expected=left).grade(attempt)).passed
    except GradingFailed:
        return False


def plain(text: str) -> str:
    """What of an answer is compared: two that differ only in case, space or a full stop agree."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".")


async def camps(candidates: Sequence[Candidate], same: Same) -> list[list[Candidate]]:
    """Those of one opinion together, the largest first; of equal ones the one that began first."""
    found: list[list[Candidate]] = []
    for one in candidates:
        assert one.answer is not None
        for camp in found:
            if await same(str(camp[0].answer), one.answer):
                camp.append(one)
                break
        else:
            found.append([one])
    return sorted(found, key=lambda camp: (-len(camp), camp[0].index))


def is_decided(sizes: Sequence[int], left: int) -> bool:
    """Can the attempts that are `left` not change who wins?"""
    first, second = (*sizes, 0, 0)[:2]
    return first > second + left


async def vote(
    agent: Agent[Any],
    task: str | Task,
    samples: int,
    *,
    same: Same = same_text,
    parallel: int = 4,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int | None = None,
    within: Ledger | None = None,
) -> Chosen:
    """The answer of the largest camp; its first attempt's changes are made to the workspace.

    Attempts that could not change the outcome any more are not made, or ended.
    Raises: as `attempts`, and `Group.adopt`.
    """

    def enough(ended: Sequence[Candidate]) -> bool:
        # Only what is plainly the same counts here: a camp can but grow by being looked at closer.
        counted: dict[str, int] = {}
        for one in ended:
            text = plain(str(one.answer))
            counted[text] = counted.get(text, 0) + 1
        return is_decided(sorted(counted.values(), reverse=True), samples - len(ended))

    async with attempts(
        agent,
        task,
        samples,
        parallel=parallel,
        temperatures=temperatures,
        seed=seed,
        select="vote",
        within=within,
        enough=enough if same is same_text else lambda _: False,
    ) as group:
        found = await camps(group.finished(), same)
        winner = found[0][0] if found else None
        if winner:
            group.adopt(winner)
            votes = sum(map(len, found))
            shares = {one.index: len(camp) / votes for camp in found for one in camp}
            await tell(agent, group, winner, "vote", shares)
        support = {str(camp[0].answer): len(camp) for camp in found}
        return Chosen(group=group, winner=winner, support=support)
