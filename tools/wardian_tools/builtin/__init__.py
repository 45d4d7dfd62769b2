"""The tools that come with Wardian. All act inside the sandbox's workspace, never on the host."""

from dataclasses import replace
from functools import cache

from wardian_tools.builtin.ask_user import ask_user
from wardian_tools.builtin.execution import python, shell
from wardian_tools.builtin.files import (
    edit_file,
    list_files,
    read_file,
    search_files,
    write_file,
)
from wardian_tools.builtin.todo import todo
from wardian_tools.define import tool
from wardian_tools.types import Effect, Tool

_RUNS = {Effect.EXECUTES, Effect.READS, Effect.WRITES}
_LOOKS = {Effect.READS}
_CHANGES = {Effect.READS, Effect.WRITES}

BUILTIN_NAMES = (
    "edit_file",
    "list_files",
    "python",
    "read_file",
    "search_files",
    "shell",
    "write_file",
)
"""Known without making the tools, which imports pydantic."""


@cache
def builtin_tools() -> tuple[Tool, ...]:
    """The built-in tools, sorted by name; made at the first call."""
    return (
        tool(effects=_CHANGES)(edit_file),
        tool(effects=_LOOKS, idempotent=True)(list_files),
        tool(effects=_RUNS)(python),
        tool(effects=_LOOKS, idempotent=True)(read_file),
        tool(effects=_LOOKS, idempotent=True)(search_files),
        tool(effects=_RUNS)(shell),
        tool(effects=_CHANGES, idempotent=True)(write_file),
    )


@cache
def talking_tools() -> tuple[Tool, ...]:
    """`ask_user` and `todo`: they touch nothing but what the person sees."""
    asking = tool(effects=())(ask_user)
    return (replace(asking, uses_sandbox=False), tool(effects=(), idempotent=True)(todo))
