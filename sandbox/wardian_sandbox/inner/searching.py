"""The search operation: ripgrep, with its own semantics."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import stat

from wardian_sandbox.inner.places import Box, Place, Refused
from wardian_sandbox.inner.reading import missing, open_file, open_folder, printable

MAX_LINE = 400
MAX_RECORD_BYTES = 1 << 20
MAX_PROBLEM_BYTES = 4000


def search(
    box: Box, pattern: str, path: str, glob: str | None, ignore_case: bool, max_matches: int
) -> object:
    """Lines that match a regular expression, sorted by path."""
    if "\0" in pattern or (glob is not None and "\0" in glob):
        raise Refused("invalid", "a pattern has no NUL")
    place = box.to_look(path)
    status = place.status()
    if status is None:
        raise missing(box, place, path)
    # No configuration, no memory maps (a file may shrink under them), and no complaint about what
    # cannot be read, so that one is always of the pattern or the glob.
    command = ["rg", "--no-config", "--json", "--sort=path", "--no-require-git", "--no-mmap"]
    command.append("--no-messages")
    command += ["--ignore-case"] if ignore_case else []
    command += [f"--glob={glob}"] if glob is not None else []
    command += [f"--regexp={pattern}", "--"]
    # By descriptor: a folder as the working directory, a file as standard input.
    if stat.S_ISDIR(status.st_mode):
        os.fchdir(open_folder(place, path))
        source = os.open(os.devnull, os.O_RDONLY)
        command.append("./")
    else:
        source = open_file(box, place, path)[0]
        command.append("-")
    problems = os.memfd_create("problems")
    pid, output = _start(command, source, problems)
    with os.fdopen(output, "rb") as stream:
        matches, truncated = _collect(box, place, stream, max_matches)
        os.kill(pid, signal.SIGKILL)  # if it is not done, we are
        _, ending = os.waitpid(pid, 0)
    if os.WIFEXITED(ending) and os.WEXITSTATUS(ending) == 2 and not matches:
        problem = os.pread(problems, MAX_PROBLEM_BYTES, 0).decode("utf-8", "replace").strip()
        if problem:
            raise Refused("invalid", problem)
    return {"matches": matches, "truncated": truncated}


def _start(command: list[str], source: int, problems: int) -> tuple[int, int]:
    output, end = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate((source, end, problems))]
    try:
        pid = os.posix_spawnp("rg", command, os.environ, file_actions=actions)
    except FileNotFoundError:
        message = "ripgrep is not installed; install it with 'sudo apt-get install ripgrep'"
        raise Refused("failed", message) from None
    os.close(end)
    return pid, output


def _collect(
    box: Box, place: Place, stream: io.BufferedReader, limit: int
) -> tuple[list[dict[str, object]], bool]:
    matches: list[dict[str, object]] = []
    left_out = False
    while line := stream.readline(MAX_RECORD_BYTES):
        if not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):  # a record too long to be worth parsing
                line = stream.readline(MAX_RECORD_BYTES)
            left_out = True
            continue
        record = json.loads(line)
        if record["type"] != "match":
            continue
        name = _inside(place.relative, _text(record["data"]["path"]))
        if not box.is_readable(name):
            continue
        if len(matches) >= limit:
            return matches, True
        text = _text(record["data"]["lines"]).rstrip("\r\n")
        text = text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..."
        number = record["data"]["line_number"]
        matches.append({"path": printable(name), "line": number, "text": text})
    return matches, left_out


def _inside(relative: str, found: str) -> str:
    """The workspace-relative path of what ripgrep names."""
    below = "" if found in ("<stdin>", "-") else found.removeprefix("./")
    return "/".join(part for part in (relative, below) if part)


def _text(value: dict[str, str]) -> str:
    if "text" in value:
        return value["text"]
    return base64.b64decode(value["bytes"]).decode("utf-8", "surrogateescape")
