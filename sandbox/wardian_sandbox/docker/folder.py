"""The host's folder of one box: what is mounted into its container besides the workspace."""

import asyncio
import os
import shutil
import socket
import struct
import tempfile
from pathlib import Path

from wardian_sandbox.bootstrap import bundle
from wardian_sandbox.docker.container import CONTROL, COVER, HOME
from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.own_folders import locked_folder, reap_dead

SOCKET = "socket"
CREDENTIALS = struct.Struct("=iII")
"""struct ucred: process, user, group. Source: unix(7)."""


def no_room(place: Path, problem: OSError) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"What goes into the container cannot be written to {place} ({problem.strerror}).",
        "Make room there, or set TMPDIR to another folder.",
    )


class BoxFolder:
    """Readable by the box, written by nobody but us; gone with `remove`, or with this process."""

    def __init__(self, user: int, *, listens: bool) -> None:
        """Raises: SandboxUnavailable when there is no room for it, or no place."""
        self._user = user
        self._listener: socket.socket | None = None
        place = Path(tempfile.gettempdir())
        reap_dead(place, os.geteuid())
        try:
            self.path, self._lock = locked_folder(place)
        except OSError as problem:
            raise no_room(place, problem) from problem
        try:
            if listens:
                self._listener = self._listen()
            self._write("modules", bundle())
            self._write(COVER.parent.name, {COVER.name: b""})
            (self.path / COVER).chmod(0)
            self._write("etc", {name: text.encode() for name, text in _etc(user).items()})
        except OSError as problem:
            self.remove()
            raise no_room(place, problem) from problem

    @property
    def control(self) -> str:
        """The path of the control socket as the box sees it."""
        return f"{CONTROL}/{SOCKET}"

    async def accept(self) -> tuple[socket.socket, int]:
        """The supervisor's connection and its process, after which nobody else can connect.

        Raises: SandboxUnavailable when it is not the box's user who connects.
        """
        assert self._listener is not None
        sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._stop_listening()
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        process, user, _ = CREDENTIALS.unpack(data)
        if user != self._user:
            sock.close()
            raise other_user(user)
        return sock, process

    def remove(self) -> None:
        self._stop_listening()
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            (self.path / "control" / SOCKET).unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        folder = self.path / "control"
        folder.mkdir(mode=0o700)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By descriptor, since a socket's path may have no more than 107 bytes.
            listener.bind(f"/proc/self/fd/{holder}/{SOCKET}")
        except OSError:
            listener.close()
            raise
        finally:
            os.close(holder)
        listener.listen(1)
        (folder / SOCKET).chmod(0o600)
        for path in (folder / SOCKET, folder):
            os.chown(path, self._user, -1)
        return listener

    def _write(self, folder: str, files: dict[str, bytes]) -> None:
        base = self.path / folder
        base.mkdir(mode=0o755)
        for name, content in files.items():
            path = base / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o444)
        for made in (base, *(path for path in base.rglob("*") if path.is_dir())):
            made.chmod(0o755)  # whatever this process's umask is


def other_user(user: int | None = None) -> SandboxUnavailable:
    """The error for a daemon whose containers' users are other users of the host."""
    seen = "" if user is None else f" (the box came as user {user})"
    return SandboxUnavailable(
        f"This Docker daemon maps users (rootless, or userns-remap){seen}, so files made in the "
        "sandbox would not be yours.",
        "Use a daemon that does not, or choose --sandbox bubblewrap.",
    )


def _etc(user: int) -> dict[str, str]:
    return {
        "passwd": "root:x:0:0::/nonexistent:/usr/sbin/nologin\n"
        f"agent:x:{user}:{user}::{HOME}:/bin/bash\n",
        "group": f"root:x:0:\nagent:x:{user}:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "hostname": "sandbox\n",
        "resolv.conf": "",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
