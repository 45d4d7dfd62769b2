"""`agent mcp add` and `import`: tool servers onto the user's own list."""

import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.confirm import confirmed
from wardian.cli.mcp_show import approval_lines, decide_on, failed, given_lines, test
from wardian.cli.sanitise import visible
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ApprovalNeeded, ConfigurationError, ExitCode
from wardian.mcp import listed, setting
from wardian.settings import Paths, make_folder, paths
from wardian.settings.replacing import replace_file
from wardian.settings.trust import workspace_of
from wardian_sandbox.program import can_be_shown
from wardian_tools.errors import ServerError, ServerFileError
from wardian_tools.mcp.entries import Entry, check_name, checked, parse_servers, read_servers

PROJECT_FILE = ".mcp.json"
SHOWN_ALREADY = (Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64"), Path("/sbin"))
"""What every box shows of the host."""


class Seen(StrEnum):
    NONE = "none"
    READ = "read"
    WRITE = "write"


class Sandbox(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


def add(
    name: Annotated[str, typer.Argument(help="What to call it: its tools are NAME__TOOL.")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="What starts it.")
    ] = None,
    *,
    url: Annotated[str | None, typer.Option(help="Its address, instead of a command.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable it gets.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variable of yours it gets.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Sent to its address.")
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="A host it may reach.")] = None,
    readable: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="It sees this, read-only.")
    ] = None,
    workspace: Annotated[Seen, typer.Option(help="What it sees of the workspace.")] = Seen.NONE,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these of its tools.")
    ] = None,
    read_only: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Tools that change nothing.")
    ] = None,
    sandbox: Annotated[
        Sandbox, typer.Option(help="With none it has your own rights.")
    ] = Sandbox.BUBBLEWRAP,
    timeout: Annotated[float, typer.Option(min=1, max=3600, metavar="SECONDS")] = 60.0,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Approve it unseen.")] = False,
) -> int:
    """Add a tool server, and approve what it offers.

    Files that its command needs outside /usr are looked for, and shown.
    """
    places = paths(os.environ)
    first, *rest = command or [""]
    entry = Entry(
        name=name,
        command=first,
        args=tuple(rest),
        env=dict(map(pair, env or ())) or None,
        secrets=tuple(secret or ()),
        url=url or "",
        headers=dict(map(pair, header or ())) or None,
        hosts=tuple(host or ()),
        readable=tuple(str(path.expanduser().absolute()) for path in readable or ()),
        workspace=workspace,
        tools=tuple(tool or ("*",)),
        read_only=tuple(read_only or ()),
        sandbox=sandbox,
        timeout_seconds=timeout,
    )
    try:
        check_name(name, "")
        checked(entry, "")
    except ServerFileError as error:
        raise UsageError(error.cause[:1].upper() + error.cause[1:], error.remedy) from error
    return enlist(places, [with_its_files(entry)], yes=yes)


def enlist(places: Paths, entries: Iterable[Entry], *, yes: bool) -> int:
    """Put entries on the list, each tried and approved. Raises: ConfigurationError."""
    known = listed(places)
    code: int = ExitCode.DONE
    for entry in entries:
        if entry.name in known:
            raise ConfigurationError(
                f"There is an MCP server {entry.name!r} already.",
                f"`agent mcp remove {entry.name}`, or choose another name.",
            )
        code = max(code, try_and_keep(places, entry, yes=yes))
    return code


def try_and_keep(places: Paths, entry: Entry, *, yes: bool) -> int:
    import asyncio

    try:
        tested = asyncio.run(test(entry, setting(os.environ, Path())))
    except ServerError as error:
        raise failed(error) from error
    change_list(places, entry.name, entry)
    write(sys.stderr, "\n".join(map(visible, approval_lines(tested, None))) + "\n")
    write(sys.stderr, visible(f"added to {places.mcp_servers}") + "\n")
    return decide_on(places, tested, yes=yes)


def import_servers(
    file: Annotated[Path, typer.Argument(help="A file with mcpServers, as .mcp.json.")],
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    *,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
) -> int:
    """Copy servers from another program's list.

    What each would start is shown first.
    A project's .mcp.json is read only where you trust the folder (`agent trust`).
    """
    places = paths(os.environ)
    found = foreign(file)
    if missing := sorted(set(names or ()) - set(found)):
        known = ", ".join(found) or "none"
        raise ConfigurationError(f"{file} has no server {missing[0]!r}.", f"It has: {known}.")
    chosen = [with_its_files(entry) for name, entry in found.items() if not names or name in names]
    for entry in chosen:
        write(sys.stderr, "\n".join(map(visible, [entry.name, *given_lines(entry)])) + "\n")
    if not chosen:
        write(sys.stderr, "There are no servers in it.\n")
        return ExitCode.DONE
    answer = True if yes else confirmed(f"Start {len(chosen)} of them, to see what they offer?")
    if answer is None:
        raise ApprovalNeeded("There is no terminal to ask on.", "Say --yes, having looked at it.")
    return enlist(places, chosen, yes=yes) if answer else ExitCode.APPROVAL


def foreign(file: Path) -> dict[str, Entry]:
    """The entries of another program's file. Raises: ConfigurationError."""
    try:
        if file.name != PROJECT_FILE:
            if not file.exists():
                raise ConfigurationError(f"{file} does not exist.", "Name an existing file.")
            return read_servers(file)
        text = workspace_of(file.absolute().parent, os.environ).read(PROJECT_FILE)
        if text is None:
            raise ConfigurationError(
                f"{file} is not read: it is not there, or you have not trusted it as it is.",
                "`agent trust` shows the folder's files and asks.",
            )
        return parse_servers(file, text)
    except ServerFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error


def pair(text: str) -> tuple[str, str]:
    """Raises: UsageError."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"{text!r} is not NAME=VALUE.", "Write the name, =, and the value.")
    return name, value


def with_its_files(entry: Entry) -> Entry:
    """The entry with what its command needs to see: it, and files its arguments name.

    Files named from this folder get their whole path, since the server starts in another.
    What the entry names itself comes first.
    """
    if not entry.command or entry.sandbox == "none":
        return entry
    found = shutil.which(entry.command)
    command = entry.command
    needed: list[Path] = []
    if found and not is_shown(Path(found).absolute()):
        command = str(Path(found).absolute())
        needed += program_files(Path(command))
    args = [str(Path(arg).absolute()) if Path(arg).is_file() else arg for arg in entry.args]
    needed += [
        root_of(Path(arg)) for arg in args if arg.startswith("/") and can_be_shown(Path(arg))
    ]
    named = [Path(path).expanduser() for path in entry.readable]
    more = [path for path in needed if not is_shown(path) and path not in named]
    readable = dict.fromkeys((*entry.readable, *map(str, more)))
    return replace(entry, command=command, args=tuple(args), readable=tuple(readable))


def is_shown(path: Path) -> bool:
    return any(path.is_relative_to(top) for top in SHOWN_ALREADY)


def program_files(command: Path) -> list[Path]:
    """A program's folder; a Python environment's whole, with the Python it was made from."""
    above = command.parent.parent
    real = command.resolve()
    if not (above / "pyvenv.cfg").exists():
        return [command.parent, real.parent]
    python = (above / "bin" / "python").resolve()
    return [above, python.parent.parent]


def root_of(path: Path) -> Path:
    """The package that a file belongs to, so that it finds what it imports; else itself."""
    for folder in path.parents[:4]:
        if folder.name == "node_modules":
            return folder
    return path


def own_names(places: Paths) -> set[str]:
    return set(read_servers(places.mcp_servers))


def change_list(places: Paths, name: str, entry: Entry | None) -> None:
    """Put the entry on the user's list, or take it off; the rest of the file stays as it is."""
    import tomlkit

    path = places.mcp_servers
    make_folder(path.parent)
    document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    servers: Any = document.setdefault("servers", tomlkit.table(is_super_table=True))
    if entry is None:
        del servers[name]
    else:
        servers[name] = tomlkit.item(as_table(entry))
    replace_file(path.resolve(), tomlkit.dumps(document))


def as_table(entry: Entry) -> dict[str, Any]:
    """What of an entry is not as it is by default."""
    plain = Entry(name=entry.name)
    values = {item.name: getattr(entry, item.name) for item in fields(Entry)}
    changed = {key: value for key, value in values.items() if value != getattr(plain, key)}
    return dict(json.loads(json.dumps(changed)))
