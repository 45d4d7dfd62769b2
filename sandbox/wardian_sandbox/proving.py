"""Whether a backend does what it promises here, found out by using it."""

import tempfile
from pathlib import Path

from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.types import Confinement

COMMANDS = {
    # what must hold: a command that succeeds where it does
    "programs do not run": "id | grep -q uid=",
    "ls and stat cannot look at files": "ls -la / >/dev/null && stat . >/dev/null",
    "the system can be written": "test ! -w /usr",
    "it runs as root": 'test "$(id -u)" != 0',
    "it has a network": "! (: <>/dev/tcp/192.0.2.1/80) 2>/dev/null && ! grep -q : /proc/net/route",
    "it holds capabilities": "grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status",
}
"""what is wrong if it fails → a command"""


async def prove(backend: str, image: str = "") -> tuple[str, ...]:
    """Open a box, use it, and look at what came of it; what it enforces.

    Raises: SandboxError when it cannot be had, or does not hold what it promises.
    """
    within = Confinement()
    with tempfile.TemporaryDirectory(prefix="wardian-probe-") as folder:
        async with await open_sandbox(backend, Path(folder), within, image=image) as sandbox:
            answer = await sandbox.python("20 + 22", within)
            failed = [] if answer.value == "42" else ["its interpreter cannot add"]
            for what, command in COMMANDS.items():
                if (await sandbox.shell(command, within)).exit_code != 0:
                    failed.append(what)
            await sandbox.file("write", {"path": "new", "content": "x"}, within)
        if not _is_owners(Path(folder), "new"):
            failed.append("files made inside are not the owner's outside")
    if failed:
        raise SandboxUnavailable(
            f"{backend} cannot be relied on here: {'; '.join(failed)}.",
            "Update its programs, or use another backend.",
        )
    return sandbox.identity.enforced


def _is_owners(folder: Path, name: str) -> bool:
    made = folder / name
    return made.exists() and made.stat().st_uid == folder.stat().st_uid
