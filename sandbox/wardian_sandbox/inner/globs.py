"""Globs over workspace-relative paths: `*` and `?` stay within a name, `**` spans folders."""

from __future__ import annotations

import functools
import re


@functools.lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The expression that matches whole relative paths. `a/**` matches `a` too."""
    pieces: list[str] = []
    for name in pattern.strip("/").split("/"):
        if name in ("", "."):
            continue
        if name == "**":
            pieces.append("(?:[^/]+/)*")
        else:
            pieces.append("".join(_token(piece) for piece in _TOKENS.findall(name)) + "/")
    # Paths are matched with a slash at the end, so that every name ends in one.
    return re.compile("".join(pieces), re.DOTALL)


_TOKENS = re.compile(r"\[!?\]?[^\]/]*\]|.", re.DOTALL)


def _token(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        body = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
        if body.startswith("!"):
            return f"[^/{body[1:]}]"
        return f"[{body.replace('^', chr(92) + '^')}]"
    return re.escape(piece)


def is_match(relative: str, patterns: list[str]) -> bool:
    """Does any pattern match the path? The workspace itself is the empty path."""
    subject = f"{relative}/" if relative else ""
    return any(compiled(pattern).fullmatch(subject) for pattern in patterns)
