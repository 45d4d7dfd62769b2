"""The file operations of `Sandbox.file`: arguments and results.

All are done inside the box, by descriptor, so that neither `..` nor a link nor a race leads out of
the workspace. Paths are relative to the workspace, or absolute under `/workspace`. Each gives its
result, or a `FileFailure` whose code is stable:

| code | meaning |
|---|---|
| missing | nothing is there; the message names the nearest |
| outside | the path leads out of the workspace |
| denied | the policy or the file's mode forbids it |
| protected | the policy protects it from writing |
| hidden | the policy hides it from the box |
| is_directory, not_directory, not_text | something else is there |
| binary | not UTF-8 text |
| too_large, full | it does not fit: this operation, this disk |
| no_match, many_matches | `old` is not in the file once |
| invalid | the arguments make no sense |
| failed | anything else, said in the message |
"""

from typing import NotRequired, TypedDict

WORKSPACE = "/workspace"
"""Where the workspace is, seen from inside a box."""


class ReadArguments(TypedDict):
    path: str
    start_line: NotRequired[int]
    """from 1"""
    end_line: NotRequired[int | None]
    """inclusive; None is the end of the file"""
    max_bytes: NotRequired[int]
    """of text, 64 KiB unless given, at most 4 MiB; whole lines where possible"""


class ReadResult(TypedDict):
    text: str
    """without byte order mark, with `\\n` for `\\r\\n`"""
    start_line: int
    end_line: int
    """the last line in `text`; `start_line - 1` if there is none"""
    total_lines: int
    size_bytes: int
    truncated: bool
    """lines that were asked for are left out or cut"""


class WriteArguments(TypedDict):
    path: str
    content: str


class WriteResult(TypedDict):
    size_bytes: int
    created: bool


class EditArguments(TypedDict):
    path: str
    old: str
    """to be found exactly; `\\n` stands for `\\r\\n` in files that use that"""
    new: str
    replace_all: NotRequired[bool]


class EditResult(TypedDict):
    diff: str
    """unified, bounded"""
    replacements: int


class ListArguments(TypedDict):
    path: NotRequired[str]
    pattern: NotRequired[str | None]
    """a glob relative to `path`; `**` spans folders, hidden names only if it names one"""
    max_entries: NotRequired[int]


class ListEntry(TypedDict):
    path: str
    """relative to the workspace"""
    kind: str
    """file, directory, link, special"""
    size_bytes: int


class ListResult(TypedDict):
    entries: list[ListEntry]
    truncated: bool


class SearchArguments(TypedDict):
    pattern: str
    """a regular expression as ripgrep understands it"""
    path: NotRequired[str]
    glob: NotRequired[str | None]
    """as ripgrep's `--glob`"""
    ignore_case: NotRequired[bool]
    max_matches: NotRequired[int]


class SearchMatch(TypedDict):
    path: str
    line: int
    text: str
    """clipped to 400 characters"""


class SearchResult(TypedDict):
    matches: list[SearchMatch]
    truncated: bool


class StatArguments(TypedDict):
    path: str


class StatResult(TypedDict):
    path: str
    kind: str
    size_bytes: int
    mode: int
    modified_seconds: float
    """since the epoch"""
