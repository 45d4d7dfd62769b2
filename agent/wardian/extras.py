"""What files of a person, and of a trusted project, add to an agent; see `find_extras`."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from wardian.skills import SKILL, Skill
from wardian.subagents import SubAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What was found, and sentences on what could not be used."""

    instructions: str = ""
    skills: tuple[Skill, ...] = ()
    subagents: tuple[SubAgent, ...] = ()
    notices: tuple[str, ...] = ()

    def without(self, taken: Collection[str]) -> "Extras":
        """But for sub-agents whose names are those of tools."""
        clashes = [one for one in self.subagents if one.name in taken]
        if not clashes:
            return self
        said = (f"The agent in {one.source} is skipped: {one.name} is a tool." for one in clashes)
        return replace(
            self,
            subagents=tuple(one for one in self.subagents if one not in clashes),
            notices=(*self.notices, *said),
        )

    def limited_to(self, tools: Collection[str] | None) -> "Extras":
        """Only what is among the tools the person named; None is all of it."""
        if tools is None:
            return self
        return Extras(
            instructions=self.instructions,
            skills=self.skills if SKILL in tools else (),
            subagents=tuple(one for one in self.subagents if one.name in tools),
            notices=self.notices,
        )
