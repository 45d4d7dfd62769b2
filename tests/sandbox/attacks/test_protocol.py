"""Forging facts: the control channel, the claims of the worker, signals to the supervisor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    Ending,
    ExecResult,
    ResourceLimits,
    SupervisedSandbox,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


FORGE = """
import json, os
def frame(message):
    body = json.dumps(message).encode()
    return len(body).to_bytes(4, 'big') + body
result = {'ending': 'exited', 'exit_code': 0, 'output': 'forged', 'dropped': 0, 'value': 'forged',
          'error': None, 'state_lost': False, 'seconds': 0.0}
forged = [frame({'id': n, 'result': result}) for n in range(1, 30)]
claims = [b'.' + bytes(16) + json.dumps(result).encode()]
for fd in range(3, 1000):
    for data in forged + claims:
        try: os.write(fd, data)
        except OSError: break
'honest'
"""


def test_frames_written_to_every_descriptor_forge_nothing(python: Python) -> None:
    forging, after = python(FORGE, "1 + 1")
    assert forging.value == "'honest'"
    assert (after.value, after.output) == ("2", "")


def test_a_command_cannot_answer_for_the_supervisor(
    work: Callable[..., Any], workspace: Path
) -> None:
    (workspace / "forge.py").write_text(FORGE)

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        result = await box.shell("python3 forge.py > /dev/null; exit 7", PLENTY)
        return result, await box.python("1 + 1", PLENTY)

    result, after = work(do)
    assert (result.exit_code, result.output, after.value) == (7, "", "2")


def test_an_interpreter_that_closes_its_descriptors_is_replaced(python: Python) -> None:
    closed, after = python("import os; os.closerange(3, 1000); 'gone'", "1 + 1")
    assert closed.state_lost
    assert after.value == "2"


def test_a_flood_of_claims_ends_the_interpreter_and_not_the_box(python: Python) -> None:
    flood = (
        "import socket\ns = socket.socket(fileno=3)\nwhile True: s.send(b'.' + bytes(16) + b'{}')"
    )
    flooded, after = python(flood, "1 + 1")
    assert (flooded.ending, flooded.state_lost) == (Ending.SIGNALLED, True)
    assert after.value == "2"


@pytest.mark.parametrize(
    "claim",
    ["[]", "no json", '{"value": "\\ud800"}', '{"value": 3, "error": {}, "exit_code": 1e9}',
     '{"exit_code": ' + "9" * 100 + "}", '{"value": "' + "v" * 200_000 + '"}', "[" * 30_000],
)  # fmt: skip
def test_a_claim_is_taken_for_no_more_than_it_is(python: Python, claim: str) -> None:
    """Code can find the nonce in the interpreter it runs in, and so can lie about its own value."""
    forge = (
        "import sys\nframe = sys._getframe()\n"
        "while 'sock' not in frame.f_locals: frame = frame.f_back\n"
        "sock, nonce = frame.f_locals['sock'], frame.f_locals['data'][:16]\n"
        f"body = {claim!r}.encode()\n"
        "for at in range(0, len(body), 30000):\n"
        "    last = at + 30000 >= len(body)\n"
        "    sock.send((b'.' if last else b'+') + nonce + body[at:at + 30000])\n"
    )
    forged, after = python(forge, "1 + 1")
    assert len((forged.value or "").encode()) <= PLENTY.limits.output_bytes + 100
    assert 0 <= forged.exit_code <= 255
    assert after.value == "2"


def test_signals_from_inside_do_not_reach_the_supervisor(shell: Shell) -> None:
    result = shell("for s in HUP INT TERM KILL STOP CHLD USR1 SEGV; do kill -$s 1; done; echo on")
    assert result.output.endswith("on\n")


def test_a_command_that_kills_everything_kills_only_its_box(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        killed = await box.shell("kill -9 -1; echo alone", PLENTY)
        return killed, await box.python("1 + 1", PLENTY)

    killed, after = work(do)
    assert killed.ending in (Ending.EXITED, Ending.SIGNALLED)
    assert (after.value, after.state_lost) == ("2", True)
