"""Reading, writing, editing, listing and searching files, all done inside the sandbox."""

from typing import Annotated, Any

from wardian_sandbox.types import FileFailure
from wardian_tools.bounds import Between
from wardian_tools.types import Output, ResultStatus, ToolContext

Line = Annotated[int, Between(1)]
MAX_READ_BYTES = 20_000
"""A longer text is shown from its first line on, and says which lines were shown."""
MAX_ENTRIES = 500
MAX_MATCHES = 200
MAX_LINE_CHARS = 400
MAX_LISTED_CHARS = 20_000
"""Of a list of paths or matches; less than any result may have, so that its end is never cut."""
NOT_ALL = "[more not shown]"


async def read_file(
    context: ToolContext, path: str, start_line: Line = 1, end_line: Line | None = None
) -> Output:
    """Return the text of a file, or of a range of its lines.

    Args:
        path: File path, relative to the workspace.
        start_line: First line to return, counted from 1.
        end_line: Last line to return; the end of the file if left out.
    """
    arguments = {"path": path, "start_line": start_line, "end_line": end_line}
    found = await _file(context, "read", arguments | {"max_bytes": MAX_READ_BYTES})
    if isinstance(found, Output):
        return found
    first, last, total = found["start_line"], found["end_line"], found["total_lines"]
    text: str = found["text"]
    lines = [text.removesuffix("\n")] if text else []
    if total == 0:
        lines = ["(empty file)"]
    elif found["truncated"] or first > 1 or last < total:
        cut = ", the last one cut" if found["truncated"] and not text.endswith("\n") else ""
        lines.append(f"[lines {first}-{last} of {total}{cut}]")
    facts = {key: value for key, value in found.items() if key != "text"}
    return Output(content="\n".join(lines), data=facts)


async def write_file(context: ToolContext, path: str, content: str) -> Output:
    """Write a text file, replacing what it held. Missing folders are created.

    Args:
        path: File path, relative to the workspace.
        content: The whole text of the file.
    """
    found = await _file(context, "write", {"path": path, "content": content})
    if isinstance(found, Output):
        return found
    size = found["size_bytes"]
    said = f"created {path}, {size} bytes" if found["created"] else f"wrote {size} bytes to {path}"
    return Output(content=said, data=found)


async def edit_file(
    context: ToolContext, path: str, old: str, new: str, replace_all: bool = False
) -> Output:
    """Replace an exact piece of text in a file and return the diff. The old text must occur
    exactly once, unless replace_all is true.

    Args:
        path: File path, relative to the workspace.
        old: The text to replace, exactly as it stands in the file.
        new: The text to put in its place.
        replace_all: Replace every occurrence.
    """
    arguments = {"path": path, "old": old, "new": new, "replace_all": replace_all}
    found = await _file(context, "edit", arguments)
    return (
        found
        if isinstance(found, Output)
        else Output(content=found["diff"].removesuffix("\n"), data=found)
    )


async def list_files(context: ToolContext, path: str = ".", pattern: str | None = None) -> Output:
    """List the files and folders in a folder; folders end with /. Hidden ones are left out
    unless the pattern names them.

    Args:
        path: Folder path, relative to the workspace.
        pattern: Show only paths that match this glob, searching subfolders too, e.g. **/*.py.
    """
    arguments = {"path": path, "pattern": pattern, "max_entries": MAX_ENTRIES}
    found = await _file(context, "list", arguments)
    if isinstance(found, Output):
        return found
    lines = [
        f"{entry['path']}/" if entry["kind"] == "directory" else entry["path"]
        for entry in found["entries"]
    ]
    return _listed(lines, found["truncated"], empty="(no files)")


async def search_files(
    context: ToolContext,
    pattern: str,
    path: str = ".",
    glob: str | None = None,
    ignore_case: bool = False,
) -> Output:
    """Search files for a regular expression and return each matching line as path:line:text.
    Hidden files and those that git ignores are left out.

    Args:
        pattern: Regular expression.
        path: File or folder to search, relative to the workspace.
        glob: Search only files that match this glob, e.g. *.py.
        ignore_case: Treat upper and lower case alike.
    """
    arguments = {"pattern": pattern, "path": path, "glob": glob, "ignore_case": ignore_case}
    found = await _file(context, "search", arguments | {"max_matches": MAX_MATCHES})
    if isinstance(found, Output):
        return found
    lines = [
        f"{match['path']}:{match['line']}:{_clipped(match['text'])}" for match in found["matches"]
    ]
    return _listed(lines, found["truncated"], empty="(no matches)")


async def _file(
    context: ToolContext, operation: str, arguments: dict[str, Any]
) -> dict[str, Any] | Output:
    """What the operation found, or the finished result of its failure."""
    found = await context.sandbox.file(operation, arguments, context.within)
    if isinstance(found, FileFailure):
        return Output(content=found.message, status=ResultStatus.ERROR, data={"code": found.code})
    return found


def _listed(lines: list[str], truncated: bool, *, empty: str) -> Output:
    """Lines as a result: as many as fit, and a last line when that is not all."""
    room = MAX_LISTED_CHARS
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            lines, truncated = lines[:count], True
            break
    shown = [*lines, NOT_ALL] if truncated else lines
    return Output(
        content="\n".join(shown) or empty, data={"count": len(lines), "truncated": truncated}
    )


def _clipped(text: str) -> str:
    text = text.rstrip("\r\n")
    return text if len(text) <= MAX_LINE_CHARS else f"{text[:MAX_LINE_CHARS]}…"
