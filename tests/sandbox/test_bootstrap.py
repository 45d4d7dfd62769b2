"""The supervisor's modules as they are put into a box: compiled, and as sources."""

import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from wardian_sandbox import ResourceLimits
from wardian_sandbox.bootstrap import BARE, BOOTSTRAP, BUNDLE, bundle
from wardian_sandbox.inner.frames import FrameReader, pack


@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "sources"])
def test_the_supervisor_starts_from_either_file_alone(tmp_path: Path, is_compiled: bool) -> None:
    for name, content in bundle().items():
        if (name != BUNDLE) == is_compiled:
            (tmp_path / name).write_bytes(content)
    settings: dict[str, object] = {
        "root": str(tmp_path),
        "names": [str(tmp_path)],
        "limits": asdict(ResourceLimits()),
        "unlimited": ["processes"],
    }
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            control = str(theirs.fileno())
            process = subprocess.Popen(
                [sys.executable, *BARE, "-c", BOOTSTRAP, str(tmp_path / BUNDLE), control],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        ours.sendall(pack(settings))
        messages = FrameReader().feed(ours.recv(1 << 16))
    assert process.wait(20) == 0
    assert [[*message] for message in messages] == [["ready"]]
