"""Skills: folders with a SKILL.md, named to the model briefly and read when one is needed.

The format is that of Agent Skills: YAML front matter with `name` (the folder's) and `description`,
then instructions; other files lie beside it. The `skill` tool gives the instructions and puts the
files into the box's private home, so that what runs there changes a copy.
Source: https://agentskills.io/specification
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import wardian_sandbox
from wardian.documents import BadDocument, Shelf, read_document, text_field
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import FileFailure
from wardian_tools import Effect, Integrity, Output, ResultStatus, Tool, ToolContext, tool

MAIN = "SKILL.md"
NAME = re.compile(r"(?!-)(?!.*--)[a-z0-9-]{1,64}(?<!-)")
MAX_DESCRIPTION_CHARS = 1024
MAX_SKILLS = 100
MAX_FILES = 200
LISTED_CHARS = 240
"""Of a description in the prompt"""
SHOWN_BYTES = 20_000
"""Of a file the tool shows"""
SKILL = "skill"
"""The tool's name"""
FOLDER = "skills"
"""Below the box's home"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """What a skill says, and where its files are."""

    name: str
    description: str
    instructions: str
    shelf: Shelf
    folder: str
    """Below the shelf's root"""
    files: tuple[str, ...] = ()
    """Relative to the folder, without SKILL.md"""

    def read(self, file: str) -> bytes:
        """Raises: BadDocument."""
        content = self.shelf.read_bytes(f"{self.folder}/{file}")
        if content is None:
            raise BadDocument(f"{file} is gone, too large, or not as it was when you trusted it")
        return content


def read_skill(shelf: Shelf, folder: str) -> Skill:
    """The skill in a folder. Raises: BadDocument."""
    document = read_document(shelf, f"{folder}/{MAIN}")
    name = text_field(document.fields, "name", 64)
    if not NAME.fullmatch(name):
        raise BadDocument(f"its name {name!r} is not made of a-z, 0-9 and single hyphens")
    if name != folder.rpartition("/")[2]:
        raise BadDocument(f"its name {name!r} is not that of its folder")
    files = [file.removeprefix(f"{folder}/") for file in shelf.files(folder)]
    if len(files) > MAX_FILES:
        raise BadDocument(f"it has over {MAX_FILES} files")
    return Skill(
        name=name,
        description=text_field(document.fields, "description", MAX_DESCRIPTION_CHARS),
        instructions=document.text,
        shelf=shelf,
        folder=folder,
        files=tuple(file for file in files if file != MAIN),
    )


def find_skills(shelf: Shelf, below: str) -> tuple[list[Skill], list[str]]:
    """The skills in a folder of the shelf, and a notice for each that cannot be used."""
    found: list[Skill] = []
    notices: list[str] = []
    mains = (name for name in shelf.files(below) if name.endswith(f"/{MAIN}"))
    folders = [
        folder
        for name in mains
        if "/" not in (folder := name.removesuffix(f"/{MAIN}"))[len(below) + 1 :]
    ]
    for folder in folders[:MAX_SKILLS]:
        try:
            found.append(read_skill(shelf, folder))
        except BadDocument as problem:
            notices.append(f"The skill in {shelf.root / folder} is skipped: {problem}.")
    if len(folders) > MAX_SKILLS:
        notices.append(f"Only the first {MAX_SKILLS} skills in {shelf.root / below} are read.")
    return found, notices


def listing(skills: Iterable[Skill]) -> str:
    """What the prompt says of them; empty without any."""
    lines = [f"- {one.name}: {short(one.description)}" for one in skills]
    if not lines:
        return ""
    head = "Skills, instructions for kinds of tasks; before such a task read one with `skill`:"
    return "\n".join([head, *lines])


def short(description: str) -> str:
    line = " ".join(description.split())
    return line if len(line) <= LISTED_CHARS else f"{line[: LISTED_CHARS - 1]}…"


def skill_tool(skills: Sequence[Skill]) -> Tool:
    """The tool that reads one of them."""
    known = {one.name: one for one in skills}

    async def skill(context: ToolContext, name: str, file: str | None = None) -> Output:
        """Return a skill's instructions, or the text of one of its files.

        Args:
            name: The skill's name.
            file: One of the skill's files instead, as the instructions name it.
        """
        found = known.get(name)
        if found is None:
            return refused(f"There is no skill {name!r}. There are: {', '.join(known)}.")
        try:
            if file is not None:
                return shown(found, file)
            place = await put(found, context)
        except (BadDocument, SandboxError) as problem:
            return refused(f"The skill {name} cannot be read: {problem}.")
        return Output(
            content=f"{found.instructions}{place}",
            integrity=Integrity.TRUSTED,
            data={"skill": name, "files": list(found.files)},
        )

    return tool(effects={Effect.READS}, idempotent=True)(skill)


def refused(text: str) -> Output:
    return Output(content=text, status=ResultStatus.ERROR)


def shown(skill: Skill, file: str) -> Output:
    """One file's text. Raises: BadDocument."""
    if file not in skill.files:
        there = ", ".join(skill.files) or "none"
        return refused(f"The skill {skill.name} has no file {file!r}. It has: {there}.")
    content = skill.read(file)
    text = content[:SHOWN_BYTES].decode("utf-8", "replace")
    cut = f"\n[{len(content) - SHOWN_BYTES} more bytes]" if len(content) > SHOWN_BYTES else ""
    facts: dict[str, Any] = {"skill": skill.name, "file": file}
    return Output(content=text + cut, integrity=Integrity.TRUSTED, data=facts)


async def put(skill: Skill, context: ToolContext) -> str:
    """Put the skill's files into the box; gives the sentence that says where they are.

    Raises: BadDocument, SandboxError.
    """
    if not skill.files:
        return ""
    sandbox = context.sandbox
    if not isinstance(sandbox, wardian_sandbox.SupervisedSandbox) or not sandbox.identity.enforced:
        return f"\n\nIts files are in {skill.shelf.root / skill.folder}: {', '.join(skill.files)}"
    place = f"{FOLDER}/{skill.name}"
    scripts: list[str] = []
    for file in skill.files:
        content = skill.read(file)
        done = await sandbox.put_at_home(f"{place}/{file}", content)
        if isinstance(done, FileFailure):
            raise SandboxError(done.message)
        scripts += [shlex.quote(f"./{file}")] if content.startswith(b"#!") else []
    runnable = f" && chmod a+x {' '.join(scripts)}" if scripts else ""
    command = f"cd ~/{place} && chmod -R a-w .{runnable}"
    protected = await sandbox.shell(command, context.within)
    if protected.exit_code != 0:
        raise SandboxError(f"The skill's files cannot be protected: {protected.output.strip()}")
    return f"\n\nIts files are in ~/{place} in the sandbox, read-only: {', '.join(skill.files)}"
