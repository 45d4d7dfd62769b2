"""What a person's folder, and a trusted project's, add to an agent: text, skills, sub-agents.

A project's are read only once the person trusts its folder. They are text and names: they bring no
code, choose no model, and what they lead to is decided by the policy as any other call.
"""

from collections.abc import Iterable
from typing import TypeVar

from wardian.agent_files import find_agents
from wardian.documents import BadDocument, OwnShelf, Shelf, read_text
from wardian.extras import Extras
from wardian.settings import Paths
from wardian.settings.trust import Workspace
from wardian.skills import Skill, find_skills
from wardian.subagents import SubAgent

T = TypeVar("T", Skill, SubAgent)
PROJECT_SKILLS = [".wardian/skills", ".agents/skills"]
PROJECT_AGENTS = ".wardian/agents"
INSTRUCTIONS = "AGENTS.md"
"""Source: https://agents.md"""
MAX_INSTRUCTIONS_BYTES = 32 << 10


def load_extras(places: Paths, workspace: Workspace) -> Extras:
    """The person's own, then what of the project's the person has trusted."""
    notices: list[str] = []
    texts: list[str] = []
    skills: list[list[Skill]] = []
    agents: list[list[SubAgent]] = []
    own = OwnShelf(places.skills.parent)
    for shelf, whose, skill_folders, agent_folder in (
        (own, "your own", [places.skills.name], places.agents.name),
        (workspace, "the workspace's", PROJECT_SKILLS, PROJECT_AGENTS),
    ):
        for folder in skill_folders:
            found, more = find_skills(shelf, folder)
            skills.append(found)
            notices += more
        theirs, more = find_agents(shelf, agent_folder, may_choose_model=shelf is own)
        agents.append(theirs)
        notices += more
        texts.append(marked(shelf, whose, notices))
    return Extras(
        instructions="\n\n".join(filter(None, texts)),
        skills=tuple(first_of_name(skills, "skill", notices)),
        subagents=tuple(first_of_name(agents, "agent", notices)),
        notices=tuple(notices),
    )


def marked(shelf: Shelf, whose: str, notices: list[str]) -> str:
    """An instruction file's text between lines that say where it comes from; empty without one."""
    if shelf.read_bytes(INSTRUCTIONS) is None:
        return ""
    try:
        text = read_text(shelf, INSTRUCTIONS, MAX_INSTRUCTIONS_BYTES).strip()
    except BadDocument as problem:
        notices.append(f"{shelf.root / INSTRUCTIONS} is not read: {problem}.")
        return ""
    return f"<instructions from={INSTRUCTIONS!r} which={whose!r}>\n{text}\n</instructions>"


def first_of_name(several: Iterable[Iterable[T]], what: str, notices: list[str]) -> list[T]:
    """Each once: a project's does not take the place of the person's own."""
    found: dict[str, T] = {}
    for ones in several:
        for one in ones:
            if one.name in found:
                notices.append(
                    f"The {what} {one.name!r} of the project is skipped: another one has that name."
                )
            else:
                found[one.name] = one
    return list(found.values())
