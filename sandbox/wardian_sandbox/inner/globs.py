"""Globs over workspace-relative paths.

In a confinement: `*` and `?` stay within a name, `**` stands for any number of folders (none too,
so `.git/hooks/**` names `.git/hooks` as well), a backslash takes the next character literally.
For listing also `[abc]` and `{a,b}`, as in a shell.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable

MAX_ALTERNATIVES = 64
FOLDERS = "**"
STAR, ANY = object(), object()
"""Pieces of a glob that are not single characters."""


def is_match(relative: str, patterns: list[str], ignore_case: bool = False) -> bool:
    """Does any pattern name the path? The workspace itself is the empty path."""
    if ignore_case:
        return is_match(relative.lower(), [pattern.lower() for pattern in patterns])
    names = relative.split("/") if relative else []
    return any(_reaches(segments_of(pattern), names, is_name_match) for pattern in patterns)


def is_above(relative: str, patterns: list[str], ignore_case: bool = False) -> bool:
    """Is the path a folder on the way to what a pattern names? Only where the pattern names it:
    what a `**` passes through does not count.

    A link or a file put there would be the way to something else.
    """
    if ignore_case:
        return is_above(relative.lower(), [pattern.lower() for pattern in patterns])
    names = relative.split("/")
    return any(_leads_on(segments_of(pattern), names) for pattern in patterns)


def _leads_on(segments: list[str], names: list[str]) -> bool:
    states = _closed({0}, segments)
    for name in names[:-1]:
        states = _after(states, segments, name, is_name_match)
    named = {
        state + 1
        for state in states
        if segments[state : state + 1] not in ([], [FOLDERS])
        and is_name_match(segments[state], names[-1])
    }
    return any(set(segments[state:]) - {FOLDERS} for state in named)


def segments_of(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in ("", ".")]


class GlobWalk:
    """Globs, in any case, at one folder of a tree that is gone down name by name.

    What lies below a path that a glob names counts as named too.
    """

    def __init__(self, patterns: list[str]) -> None:
        globs = (segments_of(pattern.lower()) for pattern in patterns)
        self._stand([(segments, _closed({0}, segments)) for segments in globs])

    def has(self, name: str) -> bool:
        """Does a glob name what is called so here?"""
        return self._names.fullmatch(name.lower()) is not None

    def into(self, name: str, spans: bool = True) -> GlobWalk:
        """One folder further down, which no glob names; `**` goes there only if it `spans`."""
        moved = [
            (segments, _after(states, segments, name.lower(), is_name_match))
            for segments, states in (self._globs if spans else self._without_folders())
        ]
        if moved == self._globs:
            return self
        further = GlobWalk([])
        further._stand([(segments, states) for segments, states in moved if states])
        return further

    def _without_folders(self) -> list[tuple[list[str], set[int]]]:
        return [
            (segments, {at for at in states if segments[at : at + 1] != [FOLDERS]})
            for segments, states in self._globs
        ]

    def _stand(self, globs: list[tuple[list[str], set[int]]]) -> None:
        self._globs = globs
        """Those that can still name something, and the places in them reached so far."""
        self._names = _names_regex(
            tuple(
                segments[state]
                for segments, states in globs
                for state in sorted(states)
                if state < len(segments) and set(segments[state + 1 :]) <= {FOLDERS}
            )
        )


@functools.lru_cache(maxsize=1024)
def _names_regex(globs: tuple[str, ...]) -> re.Pattern[str]:
    signs = {STAR: ".*", ANY: "."}
    return re.compile(
        "|".join(
            "".join(signs.get(piece) or re.escape(str(piece)) for piece in _pieces(glob))
            for glob in globs
        )
        or r"(?!)",
        re.DOTALL,
    )


class ListPattern:
    """What a listing asks for."""

    def __init__(self, pattern: str) -> None:
        self._alternatives = [segments_of(one) for one in _without_braces(pattern)]
        self.is_recursive = any(FOLDERS in segments for segments in self._alternatives)
        self.depth = max(len(segments) for segments in self._alternatives)
        self.names_hidden = any(
            part.startswith(".") for segments in self._alternatives for part in segments
        )

    def is_match(self, below: str) -> bool:
        names = below.split("/")
        return any(_reaches(segments, names, _is_shell_match) for segments in self._alternatives)


def _reaches(segments: list[str], names: list[str], is_name: Callable[[str, str], bool]) -> bool:
    """Whether the segments take up all the names; `states` are the places they may stand at."""
    states = _closed({0}, segments)
    for name in names:
        states = _after(states, segments, name, is_name)
    return len(segments) in states


def _after(
    states: set[int], segments: list[str], name: str, is_name: Callable[[str, str], bool]
) -> set[int]:
    """The places reached by one more name."""
    after = {state for state in states if segments[state : state + 1] == [FOLDERS]}
    for state in states - after:
        if state < len(segments) and is_name(segments[state], name):
            after.add(state + 1)
    return _closed(after, segments)


def _closed(states: set[int], segments: list[str]) -> set[int]:
    """With the places reached by letting a `**` stand for nothing."""
    reached = set(states)
    for state in states:
        following = state
        while segments[following : following + 1] == [FOLDERS]:
            following += 1
            reached.add(following)
    return reached


def is_name_match(glob: str, name: str) -> bool:
    """One name against one segment, in time proportional to both."""
    pieces = _pieces(glob)
    at = piece = 0
    star, retry = -1, 0
    while at < len(name):
        if piece < len(pieces) and (pieces[piece] is ANY or pieces[piece] == name[at]):
            at, piece = at + 1, piece + 1
        elif piece < len(pieces) and pieces[piece] is STAR:
            star, retry = piece, at
            piece += 1
        elif star >= 0:
            # The last star takes one more character; earlier ones need not be tried again.
            retry += 1
            at, piece = retry, star + 1
        else:
            return False
    return all(rest is STAR for rest in pieces[piece:])


@functools.lru_cache(maxsize=1024)
def _pieces(glob: str) -> list[object]:
    pieces: list[object] = []
    characters = iter(glob)
    for character in characters:
        if character == "*":
            pieces.append(STAR)
        elif character == "?":
            pieces.append(ANY)
        else:
            pieces.append(next(characters, "\\") if character == "\\" else character)
    return pieces


def _is_shell_match(glob: str, name: str) -> bool:
    return _shell_regex(glob).match(name) is not None


@functools.lru_cache(maxsize=1024)
def _shell_regex(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob))


def _without_braces(pattern: str) -> list[str]:
    """`a.{b,c}` as `a.b` and `a.c`."""
    done: list[str] = []
    waiting = [pattern]
    while waiting and len(done) + len(waiting) <= MAX_ALTERNATIVES:
        one = waiting.pop()
        found = re.search(r"\{([^{}]*,[^{}]*)\}", one)
        if found is None:
            done.append(one)
        else:
            before, after = one[: found.start()], one[found.end() :]
            waiting += [before + choice + after for choice in found[1].split(",")]
    return done or [pattern]
