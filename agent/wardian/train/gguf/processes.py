"""Work of native code in a process of its own: what would be a crash is an error."""

import os
import subprocess
import sys
from collections.abc import Sequence

from wardian.errors import ModelError

LINES = 3
"""Of what the process said last"""


def run_child(module: str, arguments: Sequence[str], *, what: str) -> None:
    """Run `python -m module`; `what` begins the sentence if it fails. Raises: ModelError."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return
    if done.returncode < 0:
        reason = f"its process was ended by signal {-done.returncode}"
    else:
        reason = " ".join(done.stderr.strip().splitlines()[-LINES:]) or f"code {done.returncode}"
    raise ModelError(
        f"{what} ({reason}).", "Check memory and disk, or choose another quantisation."
    )
