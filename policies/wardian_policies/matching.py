"""How the globs of rules are compared with one argument of a call."""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from wardian_policies.commands import ARGUMENT, programs, takes_command
from wardian_policies.globs import (
    ANY,
    ONE_COMMAND,
    is_wild,
    literal_prefix,
    normalise,
    one_of,
    path_regex,
    text_regex,
)
from wardian_policies.shell_lines import Line
from wardian_policies.types import Verdict
from wardian_tools.types import Effect, Tool

COMMAND_BREAK = re.compile(r"[;&|<>`(){}\r\n]+")
PATH_FORMATS = ("path", "file-path", "directory-path")


class ArgumentPattern(Protocol):
    """Several globs for one argument."""

    def match(self, value: object, line: Line | None) -> int | None:
        """The index of a glob that matches. `line` is the call's command, if it has one."""
        ...


def argument_pattern(
    verdict: Verdict, tool: Tool, argument: str, globs: Sequence[str]
) -> ArgumentPattern:
    """The globs that rules of one verdict have for this argument."""
    is_allowing = verdict is Verdict.ALLOW
    if argument in path_arguments(tool):
        return PathPattern(globs)
    if takes_command(tool) and argument == ARGUMENT:
        return AllowedCommand(globs) if is_allowing else NamedCommand(globs)
    if Effect.EXECUTES in tool.effects:
        return TextPattern(globs, ONE_COMMAND) if is_allowing else NamedCommand(globs)
    return TextPattern(globs, ANY)


class PathPattern:
    """Paths, compared in their normal form."""

    def __init__(self, globs: Iterable[str]) -> None:
        self.pattern = one_of(path_regex(glob) for glob in globs)

    def match(self, value: object, line: Line | None) -> int | None:
        text = as_text(value)
        inside = normalise(text)
        return index_of(self.pattern.fullmatch(text if inside is None else inside))


class TextPattern:
    """The whole of a text."""

    def __init__(self, globs: Iterable[str], any_character: str) -> None:
        self.pattern = one_of(text_regex(glob, any_character) for glob in globs)

    def match(self, value: object, line: Line | None) -> int | None:
        return index_of(self.pattern.fullmatch(as_text(value)))


class NamedCommand:
    """Any part of a command between its operators, and any program it names."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.pattern = one_of(text_regex(glob) for glob in globs)
        self.programs = programs(map(first_word, globs))

    def match(self, value: object, line: Line | None) -> int | None:
        if line and not line.may_name(self.programs):
            return None
        text = command_text(value)
        parts = [text.strip()]
        if line is None or line.argv is None:
            parts += map(str.strip, COMMAND_BREAK.split(text))
        parts += map(" ".join, line.commands if line else ())
        for part in dict.fromkeys(parts):
            if self.programs is not None and part.partition(" ")[0] not in self.programs:
                continue
            if found := self.pattern.fullmatch(part):
                return index_of(found)
        return None


def first_word(glob: str) -> str:
    """What stands before the glob's first space."""
    return glob.partition(" ")[0]


class AllowedCommand:
    """A command written out in full, or a plain one that fits a glob."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = globs
        self.pattern = one_of(text_regex(glob) for glob in globs)

    def match(self, value: object, line: Line | None) -> int | None:
        text = command_text(value)
        found = self.pattern.fullmatch(text)
        if not found:
            return None
        if line and line.argv is not None and not line.must_be_literal:
            return index_of(found)
        # Some glob matches, but with a wildcard it must not: look for one that may.
        spelled_out = needed_prefix(line)
        for index, glob in enumerate(self.globs):
            is_enough = not is_wild(glob) or len(literal_prefix(glob)) >= spelled_out
            if is_enough and re.fullmatch(text_regex(glob), text):
                return index
        return None


def needed_prefix(line: Line | None) -> float:
    """How many characters a glob must spell out to allow the line."""
    if line is None or line.argv is None:
        return float("inf")
    return line.end_of_word(line.must_be_literal) or float("inf")


def index_of(found: re.Match[str] | None) -> int | None:
    return (found.lastindex or 1) - 1 if found else None


def command_text(value: object) -> str:
    """A command as one line; a list of words as a shell would have to be given them."""
    if isinstance(value, list):
        return shlex.join(str(word) for word in cast("list[object]", value))
    return as_text(value)


def as_text(value: object) -> str:
    """An argument as a glob sees it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def path_arguments(tool: Tool) -> Iterable[str]:
    """The parameters that hold a workspace path: named `path`, or typed as one."""
    schemas: dict[str, Any] = tool.parameters.get("properties", {})
    for name, schema in schemas.items():
        if name == "path" or (isinstance(schema, dict) and is_path(cast("dict[str, Any]", schema))):
            yield name


def is_path(schema: dict[str, Any]) -> bool:
    return schema.get("format") in PATH_FORMATS
