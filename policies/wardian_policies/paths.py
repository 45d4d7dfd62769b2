"""Path rules: which workspace paths a tool's arguments may name.

Covers: every argument that holds a path (see `matching.path_arguments`) of a tool that reads or
writes the workspace. Does not cover: what code run by `python` or `shell` touches, and symbolic
links; both are bounded by the sandbox, which gets the same globs in its `Confinement`.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from wardian_policies.globs import may_hold, normalise, one_of, path_regex
from wardian_policies.matching import as_text, path_arguments
from wardian_policies.types import Deny, Rule
from wardian_tools.types import Effect, Tool, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class PathGlob:
    """A glob over workspace paths and where it was written."""

    glob: str
    source: str


EVERYTHING = (PathGlob(glob="**", source="built in"),)
NO_PATH = "paths"
"""The rule that denies what is no path inside the workspace."""
OWN_FILES = PathGlob(glob=".wardian/**", source="built in")
"""Protected in every policy: no run may edit the settings that bind the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """`[paths]` of one policy file."""

    readable: tuple[PathGlob, ...] = EVERYTHING
    writable: tuple[PathGlob, ...] = EVERYTHING
    protected: tuple[PathGlob, ...] = (OWN_FILES,)
    _readable: re.Pattern[str] = field(init=False, compare=False, repr=False)
    _writable: re.Pattern[str] = field(init=False, compare=False, repr=False)
    _protected: re.Pattern[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, flags in (("readable", 0), ("writable", 0), ("protected", re.IGNORECASE)):
            # Protected names are matched in any case, for workspaces on file systems without one.
            globs: tuple[PathGlob, ...] = getattr(self, name)
            pattern = one_of((path_regex(item.glob) for item in globs), flags)
            object.__setattr__(self, f"_{name}", pattern)

    def denial(self, call: ToolCall, tool: Tool) -> Deny | None:
        """Why these arguments may not be used, or None."""
        if not tool.effects & {Effect.READS, Effect.WRITES}:
            return None
        arguments = call.arguments or {}
        for name in path_arguments(tool):
            if arguments.get(name) is None:
                continue
            if denied := self.denied_path(as_text(arguments[name]), tool):
                return denied
        return None

    def denied_path(self, written: str, tool: Tool) -> Deny | None:
        path = normalise(written)
        if path is None:
            why = "not a relative path inside the workspace"
            return denial(tool, written, why, NO_PATH, "built in")
        if Effect.WRITES in tool.effects:
            if found := self._protected.fullmatch(path):
                item = self.protected[(found.lastindex or 1) - 1]
                rule = f"paths.protected {item.glob}"
                return denial(tool, path, "protected", rule, item.source)
            if not self._writable.fullmatch(path):
                return denial(tool, path, "not writable", "paths.writable", origin(self.writable))
        if Effect.READS in tool.effects and not self.may_read(path):
            return denial(tool, path, "not readable", "paths.readable", origin(self.readable))
        return None

    def may_read(self, path: str) -> bool:
        """Readable itself, or a folder above something readable, which the sandbox then filters."""
        return self._readable.fullmatch(path) is not None or any(
            may_hold(item.glob, path) for item in self.readable
        )


def denial(tool: Tool, path: str, why: str, rule: str, source: str) -> Deny:
    shown = path if len(path) <= 200 else f"{path[:200]}…"
    return Deny(
        reason=f"{tool.name} may not use the path {shown or '.'!r}: it is {why} ({rule}).",
        rule=Rule(text=rule, source=source),
    )


def respelled(denied: Deny, call: ToolCall, tool: Tool, workspace: Path) -> Deny:
    """The denial, with how to write a path that lies in the workspace: tools take it from there."""
    if denied.rule.text != NO_PATH:
        return denied
    for name in path_arguments(tool):
        given = (call.arguments or {}).get(name)
        if not isinstance(given, str) or normalise(given) is not None:
            continue
        whole = Path(os.path.normpath(given))
        if whole.is_absolute() and whole.is_relative_to(workspace):
            relative = str(whole.relative_to(workspace))
            return replace(denied, reason=f"{denied.reason} Use {relative!r}.")
    return denied


def origin(globs: tuple[PathGlob, ...]) -> str:
    return globs[0].source if globs else "built in"
