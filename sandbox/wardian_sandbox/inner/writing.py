"""File operations that change: write and edit, each by a new file renamed over the old."""

from __future__ import annotations

import os
import stat

from wardian_sandbox.inner.places import Box, Place, Refused
from wardian_sandbox.inner.reading import open_file

BOM = "\ufeff"
MAX_EDIT_BYTES = 16 << 20
MAX_DIFF_LINES = 400
MAX_LINES_NAMED = 20
CONTEXT = 3


def write(box: Box, path: str, content: str) -> object:
    """Put `content` at `path`, whole."""
    place = box.to_write(path)
    status = place.status()
    if status is not None:
        must_be_file(status, path)
    data = content.encode("utf-8")
    make_folders(place)
    _replace(place, data, None if status is None else stat.S_IMODE(status.st_mode))
    return {"size_bytes": len(data), "created": status is None}


def edit(box: Box, path: str, old: str, new: str, replace_all: bool) -> object:
    """Replace `old` by `new` in a text file."""
    place = box.to_write(path)
    box.to_read(path)
    text, mode = _load(box, place, path)
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    if newline == "\r\n":
        old, new = _to_crlf(old), _to_crlf(new)
    if not old or old == new:
        what = "is the same as new" if old else "is empty; use write for a new file"
        raise Refused("invalid", f"old {what}")
    starts = _occurrences(text, old)
    if not starts:
        raise Refused("no_match", f"{path!r} does not contain the old text{_hint(text, old)}")
    if len(starts) > 1 and not replace_all:
        named = ", ".join(str(text.count("\n", 0, at) + 1) for at in starts[:MAX_LINES_NAMED])
        message = f"{path!r} contains the old text {len(starts)} times, at lines {named}; give more"
        raise Refused("many_matches", f"{message} context or set replace_all")
    changed = text.replace(old, new)
    _replace(place, changed.encode("utf-8"), mode)
    diff = unified_diff(place.relative, text, changed, starts, old, new)
    return {"diff": diff, "replacements": len(starts)}


def _load(box: Box, place: Place, path: str) -> tuple[str, int]:
    fd, status = open_file(box, place, path)
    with os.fdopen(fd, "rb", buffering=0) as file:
        if status.st_size > MAX_EDIT_BYTES:
            raise Refused("too_large", f"{path!r} has {status.st_size} bytes, too many to edit")
        data = file.readall()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Refused("binary", f"{path!r} is not UTF-8 text ({status.st_size} bytes)")
    return text, stat.S_IMODE(status.st_mode)


def _to_crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _occurrences(text: str, old: str) -> list[int]:
    starts: list[int] = []
    at = text.find(old)
    while at >= 0:
        starts.append(at)
        at = text.find(old, at + len(old))
    return starts


def _hint(text: str, old: str) -> str:
    """Where the first line of what was looked for stands with other white space, if anywhere."""
    wanted = next((line.split() for line in old.splitlines() if line.strip()), None)
    if wanted is None:
        return ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.split() == wanted:
            return f"; line {number} is near: {line[:200]!r}"
    return ""


def must_be_file(status: os.stat_result, path: str) -> None:
    """Raises: Refused for folders, pipes and the like."""
    if stat.S_ISDIR(status.st_mode):
        raise Refused("is_directory", f"{path!r} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not_text", f"{path!r} is neither a file nor a folder")


def make_folders(place: Place) -> None:
    """Make the folders on the way that are missing."""
    for name in place.missing:
        try:
            os.mkdir(name, 0o777, dir_fd=place.folder)
        except FileExistsError:
            pass
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        place.folder = os.open(name, flags, dir_fd=place.folder)
    place.missing = []


def _replace(place: Place, data: bytes, mode: int | None) -> None:
    """Write a new file beside the old one and rename it over: all of it or nothing."""
    temporary = f".wardian-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o666, dir_fd=place.folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if mode is not None:
                os.fchmod(file.fileno(), mode & 0o777)
        os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:
        os.unlink(temporary, dir_fd=place.folder)
        raise


def unified_diff(path: str, before: str, after: str, starts: list[int], old: str, new: str) -> str:
    """The change as a unified diff, made from where it happened: no search, so any size is quick.

    At most MAX_DIFF_LINES lines.
    """
    before_lines, after_lines = before.split("\n"), after.split("\n")
    shown = [f"--- a/{path}", f"+++ b/{path}"]
    shift = 0
    for first, last, count in _regions(before, starts, old):
        # `count` replacements between these lines; each adds the same number of lines.
        grown = count * (new.count("\n") - old.count("\n"))
        gone = before_lines[first : last + 1]
        come = after_lines[first + shift : last + 1 + shift + grown]
        shown += _hunk(before_lines, first, gone, come, shift)
        shift += grown
        if len(shown) > MAX_DIFF_LINES:
            break
    if len(shown) > MAX_DIFF_LINES:
        shown = [*shown[:MAX_DIFF_LINES], "[... the rest of the diff is left out ...]"]
    return "\n".join(line.rstrip("\r") for line in shown)


def _regions(text: str, starts: list[int], old: str) -> list[tuple[int, int, int]]:
    """(first line, last line, replacements) from 0, near ones merged."""
    regions: list[tuple[int, int, int]] = []
    line, position = 0, 0
    for start in starts:
        line += text.count("\n", position, start)
        position = start
        last = line + old.count("\n")
        if regions and line <= regions[-1][1] + 2 * CONTEXT:
            first, _, count = regions.pop()
            regions.append((first, last, count + 1))
        else:
            regions.append((line, last, 1))
    return regions


def _hunk(lines: list[str], first: int, gone: list[str], come: list[str], shift: int) -> list[str]:
    same = 0
    while same < min(len(gone), len(come)) and gone[same] == come[same]:
        same += 1
    gone, come, first = gone[same:], come[same:], first + same
    tail = 0
    while tail < min(len(gone), len(come)) and gone[-1 - tail] == come[-1 - tail]:
        tail += 1
    gone, come = gone[: len(gone) - tail], come[: len(come) - tail]
    ahead = lines[max(first - CONTEXT, 0) : first]
    behind = lines[first + len(gone) : first + len(gone) + CONTEXT]
    if behind and first + len(gone) + len(behind) == len(lines) and behind[-1] == "":
        behind.pop()  # what follows the last newline is no line
    begin = first - len(ahead) + 1
    around = len(ahead) + len(behind)
    sizes = f"-{begin},{around + len(gone)} +{begin + shift},{around + len(come)}"
    return [
        f"@@ {sizes} @@",
        *(f" {line}" for line in ahead),
        *(f"-{line}" for line in gone),
        *(f"+{line}" for line in come),
        *(f" {line}" for line in behind),
    ]
