"""What the user says of each server, and what of that a person has to have seen.

One table a server, `[servers.NAME]`, in a TOML file of the user's; or JSON with `mcpServers`, as
other programs keep it. Nothing here is ever read from the folder that is worked on.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from wardian_tools.errors import ServerFileError
from wardian_tools.problems import clipped, nearest

NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
MAX_NAME_CHARS = 32
REFERENCE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")
"""`${NAME}`: a variable of the user's environment."""
WORKSPACE = "WORKSPACE"
"""`${WORKSPACE}` in `args`: where the server finds the workspace."""
MAX_FILE_BYTES = 1 << 20
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Seen(StrEnum):
    """What a server gets of the workspace."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One server. Either `command` or `url` is set."""

    name: str
    command: str = ""
    """Started with `args`; spoken to over its standard streams."""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    """Variables it gets; a value may hold `${NAME}`, one of yours."""
    secrets: tuple[str, ...] = ()
    """Variables of yours that it gets under their own names."""
    url: str = ""
    """Spoken to over streamable HTTP."""
    headers: Mapping[str, str] | None = None
    """Sent with each request; a value may hold `${NAME}`."""
    sandbox: str = "bubblewrap"
    """`none` runs it with your own rights."""
    hosts: tuple[str, ...] = ()
    """What it may reach, as in a policy's `network.hosts`."""
    private: bool = False
    """Whether these names may lead to private networks."""
    workspace: str = Seen.NONE
    readable: tuple[str, ...] = ()
    """Files and folders of yours that it sees, read-only, where they are."""
    tools: tuple[str, ...] = ("*",)
    """Names of its tools, or globs over them, that a model may be offered."""
    read_only: tuple[str, ...] = ()
    """Those of them that change nothing, as you know and no server can tell."""
    results: str = "private"
    """May what it answers leave this machine? `public` says so."""
    start_seconds: float = 30.0
    timeout_seconds: float = 60.0
    """For one call."""
    disabled: bool = False

    @property
    def is_remote(self) -> bool:
        return bool(self.url)

    @property
    def reaches_out(self) -> bool:
        """Can what it is told leave the machine?"""
        return self.is_remote or bool(self.hosts) or self.sandbox == "none"

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable of the user's that it gets."""
        texts = [*(self.env or {}).values(), *(self.headers or {}).values()]
        named = [found for text in texts for found in REFERENCE.findall(text)]
        return tuple(dict.fromkeys([*self.secrets, *named]))

    def offers(self, tool: str) -> bool:
        return any(fnmatchcase(tool, glob) for glob in self.tools)

    def only_reads(self, tool: str) -> bool:
        return any(fnmatchcase(tool, glob) for glob in self.read_only)

    @property
    def sha256(self) -> str:
        """Of all that decides what runs and what it gets; not of what it may be used for."""
        facts = asdict(self)
        for name in ("tools", "read_only", "results", "start_seconds", "timeout_seconds"):
            del facts[name]
        text = json.dumps(facts, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()


KINDS: dict[str, str] = {
    **dict.fromkeys(("command", "url"), "a text"),
    **dict.fromkeys(("args", "secrets", "hosts", "readable", "tools", "read_only"), "a list"),
    **dict.fromkeys(("env", "headers"), "a table of texts"),
    **dict.fromkeys(("private", "disabled"), "true or false"),
    **dict.fromkeys(("start_seconds", "timeout_seconds"), "a number from 1 to 3600"),
    "sandbox": '"bubblewrap" or "none"',
    "workspace": '"none", "read" or "write"',
    "results": '"private" or "public"',
}
assert set(KINDS) == {item.name for item in fields(Entry)} - {"name"}


def read_servers(path: Path) -> dict[str, Entry]:
    """The entries of a file by name: TOML of ours, or `mcpServers` JSON. Empty if absent.

    Raises: ServerFileError with file, line and the nearest key.
    """
    text = read_text(path)
    return {} if text is None else parse_servers(path, text)


def parse_servers(path: Path, text: str) -> dict[str, Entry]:
    """The same of a text that was read from `path`. Raises: ServerFileError."""
    tables = _tables_of_json(path, text) if path.suffix == ".json" else _tables(path, text)
    return {name: _entry(path, text, name, table) for name, table in tables.items()}


def read_text(path: Path) -> str | None:
    """The file's text; None where there is no file. Raises: ServerFileError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        text = raw.decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ServerFileError(f"{path} cannot be read: {error}.", "Mend the file.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ServerFileError(f"{path} is larger than 1 MiB.", "Name a smaller file.")
    return text


def _tables(path: Path, text: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ServerFileError(f"{path} is not TOML: {error}.", "Mend the TOML.") from error
    for key in document:
        if key != "servers":
            remedy = "Write each server as a table [servers.NAME]."
            raise ServerFileError(f"{path}:{_line(text, '', key)}: {key!r} is not a key.", remedy)
    return _object(path, document.get("servers", {}), "servers")


def _tables_of_json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServerFileError(f"{path} is not JSON: {error}.", "Mend the JSON.") from error
    found = _object(path, document, "the file")
    # VS Code calls them servers, everybody else mcpServers.
    return _object(path, found.get("mcpServers", found.get("servers", {})), "mcpServers")


def _object(path: Path, value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServerFileError(f"{path}: {what} is not a table.", "Write each server as a table.")
    return cast("dict[str, Any]", value)


FOREIGN = {
    "type": ("stdio", "http", "streamable-http", "streamableHttp"),
    "transport": ("stdio", "http", "streamable-http", "streamable_http"),
}
"""Keys of other programs that say what ours need not, and their values that we can serve."""
IGNORED = ("autoApprove", "alwaysAllow", "description", "timeout", "$schema", "envFile", "gallery")
"""Keys of other programs that mean nothing here; above all none that approves."""


def _entry(path: Path, text: str, name: str, table: object) -> Entry:
    where = f"{path}:{_line(text, name, '')}"
    check_name(name, where)
    values: dict[str, Any] = {}
    is_json = path.suffix == ".json"
    for key, value in _object(path, table, f"servers.{name}").items():
        at = f"{path}:{_line(text, name, key)}: {key} of server {name!r}"
        if is_json and key in FOREIGN:
            if value not in FOREIGN[key]:
                raise ServerFileError(f"{at} is {value!r}.", "Use its streamable HTTP address.")
        elif is_json and key in IGNORED:
            continue
        elif key not in KINDS:
            like = nearest(key, KINDS)
            remedy = f"Did you mean {like!r}?" if like else f"The keys are {', '.join(KINDS)}."
            raise ServerFileError(f"{at} is not a key.", remedy)
        elif not _fits(KINDS[key], value):
            given = clipped(repr(value), 80)
            raise ServerFileError(f"{at} must be {KINDS[key]}, not {given}.", "Change its value.")
        else:
            is_list = isinstance(value, list)
            values[key] = tuple(cast("list[str]", value)) if is_list else value
    return checked(Entry(name=name, **values), where)


def _fits(kind: str, value: object) -> bool:
    match kind:
        case "a text":
            return isinstance(value, str) and value.strip() != "" and "\0" not in value
        case "a list":
            return isinstance(value, list) and all(map(_is_text, cast("list[object]", value)))
        case "a table of texts":
            table = cast("dict[str, object]", value) if isinstance(value, dict) else None
            return table is not None and all(map(_is_text, table.values()))
        case "true or false":
            return isinstance(value, bool)
        case "a number from 1 to 3600":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and 1 <= cast("float", value) <= 3600
        case choices:
            return isinstance(value, str) and f'"{value}"' in choices


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def check_name(name: str, where: str) -> None:
    """`where` it stands; empty for no place. Raises: ServerFileError."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ServerFileError(
            f"{_at(where)}{name!r} cannot name a server.",
            f"Use at most {MAX_NAME_CHARS} of a-z, 0-9, and single - or _ between them.",
        )


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def checked(entry: Entry, where: str) -> Entry:
    """The entry, where its parts agree. Raises: ServerFileError."""

    def wrong(cause: str, remedy: str) -> ServerFileError:
        return ServerFileError(f"{_at(where)}server {entry.name!r} {cause}", remedy)

    if bool(entry.command) == bool(entry.url):
        what = "both a command and a URL." if entry.command else "neither a command nor a URL."
        raise wrong(f"has {what}", "Give it one of the two.")
    for name in ("args", "env", "secrets", "hosts", "readable"):
        if entry.url and getattr(entry, name):
            raise wrong(f"has a URL, so {name} means nothing.", "Remove it; see `headers`.")
    if entry.command and entry.headers:
        raise wrong("has a command, so headers mean nothing.", "Remove them; see `env`.")
    if entry.url:
        url = urlsplit(entry.url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise wrong("has no http(s) URL without a user.", "Write https://HOST/PATH.")
        if url.scheme == "http" and url.hostname not in LOOPBACK:
            raise wrong("has an http URL, which anybody on the way can read.", "Use https.")
    for path in entry.readable:
        if not Path(path).expanduser().is_absolute():
            raise wrong(f"may read {path!r}, which is not absolute.", "Write the whole path.")
    for name in entry.secrets:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise wrong(f"gets {name!r}, which is no variable's name.", "Name variables of yours.")
    return entry


def _line(text: str, server: str, key: str) -> int:
    """The line where a key of a server is, as far as a glance can tell; else the table's."""
    quoted = re.escape(server)
    header = rf'^\s*(?:\[servers\.["\']?{quoted}["\']?\]|"{quoted}"\s*:)'
    table = re.search(header, text, re.MULTILINE) if server else None
    start = table.end() if table else 0
    found = None
    if key:
        wanted = rf'^\s*\[?["\']?{re.escape(key)}["\']?\s*[\]=:.]'
        found = re.compile(wanted, re.MULTILINE).search(text, start)
    place = found.end() if found else table.end() if table else 0
    return text.count("\n", 0, place) + 1
