"""What the servers of one run are given: variables, files, a way out."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import wardian_sandbox
from wardian_sandbox.egress.dialling import Resolve, look_up
from wardian_sandbox.program import SEARCHED, Program, shown_as
from wardian_sandbox.types import Confinement, Egress, EgressEvent, ResourceLimits
from wardian_tools.errors import ServerUnavailable
from wardian_tools.mcp.entries import REFERENCE, WORKSPACE, Entry, Seen

LIMITS = ResourceLimits(wall_seconds=86_400.0, cpu_seconds=14_400)
"""Of a server as a whole; its calls have a time of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where servers run."""

    environ: Mapping[str, str]
    """The user's. A server gets what its entry names, and nothing else."""
    workspace: Path
    protected: tuple[str, ...] = ()
    """Globs below the workspace that no server may write."""
    hidden: list[str] = field(default_factory=list[str])
    """Globs below it that no server sees, but one without a sandbox."""
    is_copied: bool = False
    """The run works on a copy of the workspace: no server may write the real one."""
    given: Callable[[str], tuple[str, ...]] = lambda server: ()
    """More variables that a server gets, by its name."""
    resolve: Resolve = look_up
    egress: dict[str, list[EgressEvent]] = field(default_factory=dict[str, list[EgressEvent]])
    """What each server asked of the network since somebody looked."""

    async def start(self, entry: Entry) -> "wardian_sandbox.Service":
        """Raises: SandboxError, ServerUnavailable."""
        events = self.egress.setdefault(entry.name, [])
        return await wardian_sandbox.open_service(
            self.program(entry),
            backend=entry.sandbox,
            on_egress=lambda event: events.append(event) if len(events) < 100 else None,
            resolve=self.resolve,
        )

    def program(self, entry: Entry) -> Program:
        """Raises: ServerUnavailable when a variable is not set."""
        sees = entry.workspace != Seen.NONE
        within = Confinement(
            writable=("**",) if entry.workspace == Seen.WRITE and not self.is_copied else (),
            protected=self.protected,
            hidden=tuple(self.hidden),
            egress=Egress(hosts=entry.hosts, private=entry.private),
            limits=LIMITS,
        )
        program = Program(
            command=(entry.command, *entry.args),
            environment=self.environment(entry),
            workspace=self.workspace if sees else None,
            readable=tuple(Path(path).expanduser() for path in entry.readable),
            within=within,
        )
        place = shown_as(program, entry.sandbox)
        args = [arg.replace(f"${{{WORKSPACE}}}", place) for arg in entry.args]
        return Program(
            command=(entry.command, *args),
            environment=program.environment,
            workspace=program.workspace,
            readable=program.readable,
            within=within,
        )

    def environment(self, entry: Entry) -> dict[str, str]:
        """Raises: ServerUnavailable."""
        named = dict.fromkeys((*entry.secrets, *self.given(entry.name)))
        own = {name: self._value(entry, name) for name in named}
        return own | {name: self._filled(entry, text) for name, text in (entry.env or {}).items()}

    def headers(self, entry: Entry) -> dict[str, str]:
        """Raises: ServerUnavailable."""
        return {name: self._filled(entry, text) for name, text in (entry.headers or {}).items()}

    def held(self, entry: Entry) -> dict[str, str]:
        """The user's variables that it gets, those that are set: for nobody else to see."""
        names = dict.fromkeys((*entry.variables, *self.given(entry.name)))
        return {name: value for name in names if (value := self.environ.get(name))}

    def _filled(self, entry: Entry, text: str) -> str:
        return REFERENCE.sub(lambda match: self._value(entry, match[1]), text)

    def _value(self, entry: Entry, name: str) -> str:
        value = self.environ.get(name)
        if value is None:
            raise ServerUnavailable(
                f"MCP server {entry.name!r} needs the variable {name}, which is not set.",
                f"Set it (export {name}=…), or change the server's entry.",
            )
        return value

    def absent(self, entry: Entry) -> str:
        """What to do about a command that the server's box does not have."""
        path = SEARCHED if entry.sandbox != "none" else os.environ.get("PATH")
        if entry.sandbox != "none" and shutil.which(entry.command):
            where = os.path.realpath(str(shutil.which(entry.command)))
            whole = (
                "" if Path(entry.command).is_absolute() else ", and the command by its whole path"
            )
            return (
                f"{entry.command} is at {where}, which its sandbox does not show, or not all that "
                f"it needs: name the folder under `readable`{whole}."
            )
        return f"Install {entry.command}: it is not in {path}."
