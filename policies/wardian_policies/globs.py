"""Globs over workspace paths and over argument text, as regular expressions without blow-up.

Paths: `*` and `?` stay inside one segment, `**` stands for any number of segments (none too, so
`.git/hooks/**` covers `.git/hooks` itself). Text: `*` and `?` match any character. In both a
backslash takes the next character literally. Each star is matched atomically, so the time is at
most quadratic in the value, whatever the pattern.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from wardian_sandbox.files import WORKSPACE

MAX_PATH_CHARS = 4096
"""PATH_MAX on Linux; a longer path cannot exist."""
ANY = r"[\s\S]"
ONE_COMMAND = r"[^;&|<>$`(){}\r\n]"
"""What an allowing `*` may stand for in a command: nothing that starts or redirects another one."""


def normalise(path: str) -> str | None:
    """`path` relative to the workspace, without `.` and `..`; "" is its root.

    None when it leaves the workspace or cannot be a path. Symbolic links are not looked at: the
    sandbox opens files beneath the workspace by descriptor.
    """
    if len(path) > MAX_PATH_CHARS or "\0" in path:
        return None
    if path.startswith("/"):
        if path != WORKSPACE and not path.startswith(WORKSPACE + "/"):
            return None
        path = path.removeprefix(WORKSPACE)
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    return "/".join(kept)


def segments_of(glob: str) -> tuple[str, ...]:
    """The glob's segments, without empty ones and `.`."""
    return tuple(part for part in glob.split("/") if part not in ("", "."))


def path_regex(glob: str) -> str:
    """A regular expression that fully matches the normalised paths the glob names."""
    segments = segments_of(glob)
    if "**" not in segments:
        return "/".join(segment_regex(segment) for segment in segments)
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            runs.append([])
        else:
            runs[-1].append(segment_regex(segment))
    head, *middles, tail = ("/".join(run) for run in runs)
    regex = head
    for middle in filter(None, middles):
        # The leftmost place is as good as any: another `**` follows.
        regex += "/" if regex else ""
        regex += rf"(?>(?:[^/]+/)*?{middle}(?=/|\Z))"
    if tail:
        return regex + ("/" if regex else "") + rf"(?:[^/]+/)*?{tail}"
    return regex + r"(?:/[\s\S]*)?" if regex else r"[\s\S]*"


@lru_cache(maxsize=4096)
def segment_regex(segment: str) -> str:
    """One path segment's glob; it never matches an empty segment."""
    return "[^/]+" if set(segment) == {"*"} else text_regex(segment, "[^/]")


def text_regex(glob: str, any_character: str = ANY) -> str:
    """A regular expression for a glob whose `*` and `?` stand for `any_character`."""
    first, *rest = literals(glob, any_character)
    if not rest:
        return first
    *middles, last = rest
    inner = "".join(f"(?>{any_character}*?{piece})" for piece in middles if piece)
    return f"{first}{inner}{any_character}*{last}"


def literals(glob: str, any_character: str) -> list[str]:
    """What stands between the stars of a glob, each as a regular expression."""
    pieces = [""]
    characters = iter(glob)
    for character in characters:
        if character == "*":
            pieces.append("")
        elif character == "?":
            pieces[-1] += any_character
        else:
            literal = next(characters, "\\") if character == "\\" else character
            pieces[-1] += re.escape(literal)
    return pieces


def is_wild(glob: str) -> bool:
    """Does it have a star or a question mark that stands for something else?"""
    return set(re.sub(r"\\[\s\S]", "", glob)) & set("*?") != set()


def literal_prefix(glob: str) -> str:
    """What every text that a text glob matches begins with."""
    found = re.match(r"(?:\\[\s\S]|[^*?\\])*", glob)
    return re.sub(r"\\([\s\S])", r"\1", found.group()) if found else ""


def one_of(regexes: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    """All of them as one pattern: after `fullmatch`, `lastindex` is 1 + the index that matched."""
    return re.compile("|".join(f"({regex})" for regex in regexes) or r"[^\s\S]", flags)


@lru_cache(maxsize=4096)
def matches_segment(glob: str, segment: str) -> bool:
    return re.fullmatch(segment_regex(glob), segment) is not None


def may_hold(glob: str, directory: str) -> bool:
    """Whether some path below `directory` (normalised) can match the glob."""
    pattern = segments_of(glob)
    states = closed({0}, pattern)
    for segment in directory.split("/") if directory else ():
        after = {s for s in states if s < len(pattern) and pattern[s] == "**"}
        after |= {
            s + 1
            for s in states
            if s < len(pattern) and pattern[s] != "**" and matches_segment(pattern[s], segment)
        }
        states = closed(after, pattern)
    return any(state < len(pattern) for state in states)


def closed(states: set[int], pattern: tuple[str, ...]) -> set[int]:
    """The states, and those reached by letting a `**` stand for nothing."""
    reached = set(states)
    for state in states:
        following = state
        while following < len(pattern) and pattern[following] == "**":
            following += 1
            reached.add(following)
    return reached


def intersect(some: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Globs for the paths that both lists name; never for more.

    Two different wildcards inside one segment (`a*` and `*b`) have no common glob and are left
    out, which narrows.
    """
    others = tuple(others)
    found: dict[str, None] = {}
    for one in some:
        for other in others:
            for both in _intersect(segments_of(one), segments_of(other)):
                found["/".join(both)] = None
    return tuple(found)


@lru_cache(maxsize=4096)
def _intersect(one: tuple[str, ...], other: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    if one == other:
        return frozenset([one])
    if one[:1] == ("**",):
        if other[:1] == ("**",):
            # One of the two `**` is the shorter; what follows it meets the rest of the longer.
            rests = _intersect(one[1:], other) | _intersect(one, other[1:])
            return frozenset(rest if rest[:1] == ("**",) else ("**", *rest) for rest in rests)
        skipped = _intersect(one[1:], other)
        if not other:
            return skipped
        return skipped | {(other[0], *rest) for rest in _intersect(one, other[1:])}
    if other[:1] == ("**",):
        return _intersect(other, one)
    if not one or not other:
        return frozenset()
    shared = shared_segment(one[0], other[0])
    if shared is None:
        return frozenset()
    return frozenset((shared, *rest) for rest in _intersect(one[1:], other[1:]))


def shared_segment(one: str, other: str) -> str | None:
    """A glob for what both segments match, or None when there is none this simple."""
    if one == other or other == "*":
        return one
    if one == "*":
        return other
    for glob, literal in ((one, other), (other, one)):
        if not set(literal) & set("*?\\") and matches_segment(glob, literal):
            return literal
    return None
