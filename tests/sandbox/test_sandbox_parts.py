"""Parts of the sandbox by themselves: filter, frames, globs, output, diagnosis, exports."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_sandbox import SandboxUnavailable, diagnosis, inner
from wardian_sandbox.docker.attached import AttachedChannel
from wardian_sandbox.errors import last_line
from wardian_sandbox.inner import children
from wardian_sandbox.inner.frames import MAX_FRAME_BYTES, BadFrame, FrameReader, pack
from wardian_sandbox.inner.globs import is_match
from wardian_sandbox.inner.sink import Sink
from wardian_sandbox.process import Process


def test_of_what_a_process_said_at_its_end_a_message_holds_no_traceback() -> None:
    code = "import sys; sys.stderr.write('x' * 9000 + '\\n'); open('/dev/null/x')"
    python = [sys.executable, "-c", code]
    ending = Process(subprocess.Popen(python, stderr=subprocess.PIPE))
    try:
        asyncio.run(ending.ended())
        said = ending.complaint()
        assert said.startswith("NotADirectoryError: ")
        assert "\n" not in said
    finally:
        ending.release()


def test_of_what_a_container_said_the_last_is_kept() -> None:
    async def complaint() -> str:
        channel = AttachedChannel()
        for said in (b"x" * 9000 + b"\n", b"OSError: no\n"):
            channel.received(memoryview(b"\x02\0\0\0" + len(said).to_bytes(4, "big") + said))
        await asyncio.sleep(0)
        return channel.complaint

    said = asyncio.run(complaint())
    assert last_line(said) == "OSError: no"
    assert len(said) <= 4000


@pytest.mark.parametrize("path", sorted(Path(str(inner.__file__)).parent.glob("*.py")), ids=str)
def test_what_runs_inside_is_python_3_9_and_imports_only_itself(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("wardian"):
            assert str(node.module).startswith("wardian_sandbox.inner")


MESSAGES = st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=4)


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 50))
def test_frames_survive_being_cut_anywhere(messages: list[dict[str, object]], size: int) -> None:
    data = b"".join(pack(message) for message in messages)
    reader = FrameReader()
    read = [m for at in range(0, len(data), size) for m in reader.feed(data[at : at + size])]
    assert read == json.loads(json.dumps(messages))


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x03{\xff}",
        b"\x00\x00\x40\x00" + b"[" * 0x4000,
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        FrameReader().feed(data)


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(128, 600))
def test_output_is_kept_whole_or_within_the_limit(parts: list[bytes], limit: int) -> None:
    sink = Sink(limit)
    for part in parts:
        sink.write(part)
    everything = b"".join(parts).decode("utf-8", "replace")
    text, dropped = sink.text()
    assert len(text.encode()) <= limit
    assert (dropped == 0) == (text == everything)


@given(st.text(max_size=400), st.integers(128, 300))
def test_the_kept_ends_are_really_the_ends(text: str, limit: int) -> None:
    sink = Sink(limit)
    sink.write(text.encode("utf-8", "replace"))
    kept, dropped = sink.text()
    if dropped:
        head, _, tail = kept.partition("\n[... ")
        whole = text.encode("utf-8", "replace").decode()
        assert whole.startswith(head)
        assert whole.endswith(tail.partition("...]\n")[2])


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "", True),
        ("**", "a/b", True),
        ("*", "a", True),
        ("*", "a/b", False),
        ("a/**", "a", True),
        ("a/**", "ab", False),
        ("**/*.py", "x.py", True),
        ("**/*.py", "a/b/x.py", True),
        ("**/a/**", "x/a", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "a", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("*a*a*a*a*a*a*b", "a" * 250, False),
        ("./a//b", "a/b", True),
    ],
)
def test_globs_name_the_paths_they_should(pattern: str, path: str, expected: bool) -> None:
    assert is_match(path, [pattern]) is expected


def test_case_counts_only_where_it_should() -> None:
    assert not is_match("A", ["a"])
    assert is_match(".GIT/Config", [".git/**"], ignore_case=True)


def test_who_was_killed_is_dying_until_it_is_gone() -> None:
    process = subprocess.Popen(["sleep", "100"])
    assert not children.is_dying(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert children.is_dying(process.pid)
    process.wait()
    assert not children.is_dying(process.pid)


def test_a_missing_bubblewrap_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        diagnosis.find_bwrap(tmp_path / "bwrap")


@pytest.mark.parametrize(
    ("sysctl", "value", "complaint", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "setting up uid map", "apparmor"),
        ("kernel/unprivileged_userns_clone", "0", "No permissions to create new namespace",
         "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "Creating new namespace failed",
         "max_user_namespaces="),
        ("kernel/other", "0", "Creating new namespace failed", "seccomp=unconfined"),
        ("kernel/other", "0", "out of luck", "agent doctor"),
    ],
)  # fmt: skip
def test_a_box_that_does_not_start_is_diagnosed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sysctl: str,
    value: str,
    complaint: str,
    remedy: str,
) -> None:
    setting = tmp_path / sysctl
    setting.parent.mkdir()
    setting.write_text(value + "\n")
    monkeypatch.setattr(diagnosis, "SYSCTLS", tmp_path)
    problem = diagnosis.explain_failure(f"bwrap: {complaint}\n")
    assert complaint in problem.cause
    assert remedy in problem.remedy


def test_old_versions_of_bubblewrap_are_known_for_what_they_lack() -> None:
    old, new = (diagnosis.Bwrap(Path("/usr/bin/bwrap"), version) for version in ("0.6.1", "0.11.0"))
    assert not old.has_disable_userns
    assert new.has_disable_userns
    assert new.has_size
