"""No sandbox at all: the same supervisor as a plain process of the user's.

Covers nothing but mistakes: file operations stay in the workspace, calls end in time, the
environment is built anew, and what was started ends with the box. Code can read, write and send
whatever the user can. Only by name.
"""

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from wardian_sandbox.bootstrap import BARE, BOOTSTRAP, PACKAGE
from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.process import SweepingProcess
from wardian_sandbox.starting import start
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement, SandboxIdentity
from wardian_sandbox.workspace import Workspace


async def open_unconfined(workspace: Workspace, confinement: Confinement) -> SupervisedSandbox:
    """A box that confines nothing, around `workspace`. Raises: SandboxUnavailable."""
    root = str(workspace.path)

    def launch(control: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *BARE, "-c", BOOTSTRAP, str(PACKAGE), str(control)],
            env=_environment(),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(control,),
            start_new_session=True,
        )

    settings = {
        "root": root,
        "names": [WORKSPACE, root],
        "limits": asdict(confinement.limits),
        # Counted per user outside a namespace, and so over everything else this user runs.
        "unlimited": ["processes"],
    }
    process, channel, ready = await start(launch, settings, _explain)
    identity = SandboxIdentity(
        backend="none",
        enforced=(),
        detail={"python": ready.get("python"), "workspace": workspace.mode},
    )
    return SupervisedSandbox(SweepingProcess(process), channel, workspace, identity, root)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "AGENT": "wardian",
    }


def _explain(complaint: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"The supervisor did not start: {complaint}.",
        "Check that the Python that runs Wardian works in a new process.",
    )
