"""A hostile supervisor against the host: whatever comes out of a box is held to the protocol.

The stand-in is a program that speaks the protocol's other end, as somebody would who had taken
over the box's first process.
"""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_sandbox import ProtocolBroken, SandboxError, SandboxLost, SupervisedSandbox
from wardian_sandbox.bootstrap import BOOTSTRAP
from wardian_sandbox.channel import Channel
from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.inner.frames import MAX_FRAME_BYTES, MAX_VALUES, BadFrame, FrameReader, pack
from wardian_sandbox.results import exec_result, file_result
from wardian_sandbox.starting import start
from wardian_sandbox.types import ExecResult, FileFailure, SandboxIdentity
from wardian_sandbox.workspace import MountedWorkspace

HONEST: dict[str, Any] = {
    "ending": "exited", "exit_code": 0, "claimed": False, "output": "honest", "dropped": 0,
    "state_lost": False, "seconds": 0.5,
}  # fmt: skip
STAND_IN = """
import json, socket, sys, time
sock = socket.socket(fileno=int(sys.argv[1]))
def read():
    size = int.from_bytes(sock.recv(4, socket.MSG_WAITALL), 'big')
    return json.loads(sock.recv(size, socket.MSG_WAITALL)) if size else sys.exit()
def raw(body): sock.sendall(len(body).to_bytes(4, 'big') + body)
def say(message): raw(json.dumps(message).encode())
honest = json.loads(sys.argv[2])
read()
say({'ready': {'python': '3'}})
asked = read()
CODE
while True: time.sleep(60)
"""


def with_stand_in(code: str, folder: Path) -> tuple[Any, bool]:
    """What a host makes of a call that `code` answers, and whether the stand-in still runs."""

    async def scenario() -> tuple[Any, bool]:
        processes: list[subprocess.Popen[bytes]] = []

        def launch(control: int) -> subprocess.Popen[bytes]:
            script = STAND_IN.replace("CODE", code)
            line = [sys.executable, "-I", "-c", script, str(control), json.dumps(HONEST)]
            processes.append(subprocess.Popen(line, pass_fds=(control,), stderr=subprocess.PIPE))
            return processes[0]

        process, channel, _ = await start(launch, {}, SandboxUnavailable)
        identity = SandboxIdentity(backend="none", enforced=())
        box = SupervisedSandbox(process, channel, MountedWorkspace(folder), identity, "/")
        try:
            outcome: Any = await box.shell("true")
        except SandboxError as problem:
            outcome = problem
            await process.ended()
        is_running = processes[0].poll() is None
        await box.close()
        return outcome, is_running

    return asyncio.run(scenario())


def test_an_honest_stand_in_is_believed(tmp_path: Path) -> None:
    outcome, is_running = with_stand_in("say({'id': asked['id'], 'result': honest})", tmp_path)
    assert isinstance(outcome, ExecResult)
    assert (outcome.output, outcome.exit_code_claimed, is_running) == ("honest", False, True)


@pytest.mark.parametrize(
    "code",
    [
        "say({'id': asked['id'] + 1, 'result': honest})",
        "say({'id': -1, 'result': honest})",
        "say({'id': 1.0, 'result': honest})",
        "say({'id': '1', 'result': honest})",
        "say({'result': honest})",
        "say({'id': asked['id']})",
        "say({'id': asked['id'], 'result': [honest]})",
        "say({'ready': {}})",
        "say([])",
        "raw(b'')",
        "raw(b'\\x80\\x04K\\x01.')",
        "say({'id': asked['id'], 'result': {**honest, 'seconds': float('nan')}})",
        "raw(json.dumps({'id': 1, 'result': honest}).replace('0.5', '1e999').encode())",
        "say({'id': asked['id'], 'result': {**honest, 'output': chr(0xD800)}})",
        "raw(b'{\"id\": 1, \"result\": ' + b'[' * 40 + b']' * 40 + b'}')",
        "raw(b'[' * 100000)",
        "raw(b'{\"a\": [' + b'[],' * (1 << 20) + b'[]]}')",
        "raw(b'{\"a\": ' + b'9' * 100000 + b'}')",
        "sock.sendall(b'\\xff\\xff\\xff\\xff')",
        "say({'id': asked['id'], 'result': {**honest, 'ending': 'won'}})",
        "say({'id': asked['id'], 'result': {**honest, 'exit_code': 'zero'}})",
        "say({'id': asked['id'], 'result': {**honest, 'exit_code': None}})",
        "say({'id': asked['id'], 'result': {**honest, 'output': None}})",
        "say({'id': asked['id'], 'result': {**honest, 'claimed': 0}})",
        "say({'id': asked['id'], 'result': {**honest, 'seconds': -1}})",
        "say({'id': asked['id'], 'result': {**honest, 'figures': ['?']}})",
        "say({'id': asked['id'], 'result': {**honest, 'figures': ['AAAA'] * 100}})",
        "say({'id': asked['id'], 'result': {}})",
    ],
)
def test_a_supervisor_that_breaks_the_protocol_is_ended(code: str, tmp_path: Path) -> None:
    outcome, is_running = with_stand_in(code, tmp_path)
    assert isinstance(outcome, ProtocolBroken), outcome
    assert "broke the control protocol" in outcome.cause
    assert len(str(outcome)) < 1000
    assert not is_running


def test_a_second_answer_ends_the_box_at_the_next_call(tmp_path: Path) -> None:
    code = (
        "say({'id': asked['id'], 'result': honest}); say({'id': asked['id'], 'result': honest})\n"
        "while True: asked = read(); say({'id': asked['id'], 'result': honest})"
    )
    outcome, _ = with_stand_in(code, tmp_path)
    assert isinstance(outcome, ExecResult | ProtocolBroken)


def test_a_fault_is_told_and_bounded(tmp_path: Path) -> None:
    outcome, _ = with_stand_in("say({'fault': 'x' * 1000000})", tmp_path)
    assert isinstance(outcome, SandboxLost)
    assert not isinstance(outcome, ProtocolBroken)
    assert len(str(outcome)) < 5000


def test_a_fault_is_told_in_one_line(tmp_path: Path) -> None:
    outcome, _ = with_stand_in("say({'fault': 'Traceback: …\\n  File\\nOSError: no'})", tmp_path)
    assert isinstance(outcome, SandboxLost)
    assert "its supervisor failed: OSError: no" in str(outcome)


def heard(data: bytes) -> Any:
    """What a channel makes of bytes while one request is open."""

    async def scenario() -> Any:
        ours, theirs = socket.socketpair()
        channel = await Channel.connect(ours)
        _, answer = channel.request("shell")
        with theirs:
            theirs.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(theirs, data)
        try:
            return await asyncio.wait_for(answer, 10)
        except SandboxLost as problem:
            return problem
        finally:
            channel.end("done")

    return asyncio.run(scenario())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*HONEST, "ok", "failure", "code", "message"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_random_bytes_end_the_channel_and_raise_nothing_else(data: bytes) -> None:
    assert isinstance(heard(data), SandboxLost)


@settings(max_examples=60)
@given(ANYTHING, st.integers(-2, 3))
def test_random_frames_are_an_answer_or_end_the_channel(value: Any, number: int) -> None:
    body = json.dumps({"id": number, "result": value}).encode()
    outcome = heard(len(body).to_bytes(4, "big") + body)
    assert isinstance(outcome, dict | SandboxLost)
    assert isinstance(outcome, SandboxLost) or (number == 1 and outcome == value)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*HONEST, "value", "json", "figures"]), ANYTHING))
def test_random_facts_are_a_result_or_a_broken_protocol(changed: dict[str, Any]) -> None:
    try:
        result = exec_result({**HONEST, **changed})
    except BadFrame:
        return
    assert isinstance(result.output, str)
    assert isinstance(result.exit_code, int)
    assert result.value is None or isinstance(result.value, str)


@settings(max_examples=200)
@given(ANYTHING)
def test_random_answers_to_file_operations_are_a_result_or_a_broken_protocol(value: Any) -> None:
    answers = [value if isinstance(value, dict) else {}, {"ok": value}, {"failure": value}]
    for answer in answers:
        try:
            result = file_result(answer)
        except BadFrame:
            continue
        assert isinstance(result, dict | FileFailure)


def test_text_full_of_brackets_is_no_attack() -> None:
    text = "[{," * MAX_VALUES
    assert FrameReader().feed(pack({"ok": text})) == [{"ok": text}]


@pytest.mark.parametrize("filler", [b'"' + b'\\"' * (4 << 20), b'"' * (4 << 20), b"\\" * (4 << 20)])
def test_counting_values_takes_time_in_proportion(filler: bytes) -> None:
    """Text that never ends: to start again at each of its quotes would take days."""
    body = b"[" * (MAX_VALUES + 1) + filler
    with pytest.raises(BadFrame):
        FrameReader().feed(len(body).to_bytes(4, "big") + body)


def test_nothing_is_kept_of_a_frame_that_says_it_is_too_large() -> None:
    with pytest.raises(BadFrame):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_nothing_that_runs_on_the_host_unpickles() -> None:
    package = Path(str(sys.modules["wardian_sandbox"].__file__)).parent
    unpickling = ("import pickle", "from pickle", "shelve", "yaml.load", "marshal.load", "dill")
    # The program that starts the supervisor takes modules, in the box, from a file of the host's.
    sources = {path: path.read_text().replace(BOOTSTRAP, "") for path in package.rglob("*.py")}
    assert len(sources) > 30
    assert not [path for path, text in sources.items() if any(x in text for x in unpickling)]
