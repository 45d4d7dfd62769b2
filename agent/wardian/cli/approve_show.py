"""What a person is shown of a call before they decide: all of it, and nothing that acts."""

import difflib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from wardian.cli.preview import whole
from wardian.cli.sanitise import visible
from wardian_policies.types import Ask
from wardian_tools.types import ToolCall

DIFF_LIMIT_BYTES = 1 << 20


def particulars(ask: Ask, call: ToolCall, workspace: Path, *, is_copy: bool = False) -> list[str]:
    """Everything the person needs to decide, beside the question itself."""
    rule = f"{ask.rule.text} ({ask.rule.source})"
    is_named = ask.rule.text in ask.question and ask.rule.source in ask.question
    return [
        *([] if is_named else [f"  rule: {visible(rule)}"]),
        f"  in {'a copy of ' if is_copy else ''}{visible(str(workspace))}",
        *(f"    {line}" for line in changes(call, workspace) or whole(call)),
    ]


def changes(call: ToolCall, workspace: Path) -> list[str]:
    """The diff a write or an edit would make; empty when it cannot be told."""
    arguments = call.arguments or {}
    show: Callable[[str, str, str], list[str]] = _diff
    match call.name, arguments:
        case "write_file", {"path": str(path), "content": str(content)}:
            return show(path, readable_text(workspace / path) or "", content)
        case "edit_file", {"path": str(path), "old": str(old), "new": str(new)}:
            before = readable_text(workspace / path)
            if before is None or old not in before:
                return []
            return show(path, before, before.replace(old, new))
        case _:
            return []


def _diff(path: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(
        visible(before).splitlines(),
        visible(after).splitlines(),
        visible(f"a/{path}"),
        visible(f"b/{path}"),
        lineterm="",
    )
    return list(lines)


def readable_text(path: Path) -> str | None:
    """A regular file's text; None for anything else. A pipe or a link planted there is not read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as stream:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > DIFF_LIMIT_BYTES:
            return None
        return stream.read(DIFF_LIMIT_BYTES).decode("utf-8", "replace")
