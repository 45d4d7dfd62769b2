"""The log keeps what it acknowledged, whatever happens to the file afterwards."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import NewerRun, StorageError
from wardian.events import CallFinished, ModelReplied, Noted, Recorded
from wardian.runs import RunLog, Trajectory
from wardian.runs.encode import (
    BLOB_CHARS,
    BadLine,
    dumps,
    encode,
    from_json,
    line,
    parse_line,
    to_json,
)
from wardian.runs.holding import is_held
from wardian.types import Finish, Message, Reply, Role, Usage
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

EVENTS: tuple[Recorded, ...] = (
    ModelReplied(
        step=1,
        seconds=0.5,
        reply=Reply(
            message=Message(
                role=Role.ASSISTANT,
                content="é\u2028",
                calls=(ToolCall(id="c1", name="python", arguments_text="{}", arguments={"a": 1}),),
            ),
            finish=Finish.CALLS,
            usage=Usage(prompt_tokens=3, completion_tokens=4),
        ),
    ),
    CallFinished(
        step=1,
        result=ToolResult(call_id="c1", name="python", status=ResultStatus.OK, content="2"),
    ),
    Noted(step=1, text="go on"),
)


def write(folder: Path, *events: Recorded) -> Path:
    log = RunLog.create(folder)
    asyncio.run(log.append(events))
    log.close()
    return log.path


def test_what_was_written_is_read_back_equal(tmp_path: Path) -> None:
    write(tmp_path / "run", *EVENTS)
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == EVENTS
    assert trajectory.damage == ()
    assert [record.seq for record in trajectory.records] == [0, 1, 2, 3]


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = write(tmp_path / "run", Noted(step=1, text="x" * (BLOB_CHARS + 1)))
    finally:
        os.umask(before)
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert modes == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_log_cut_at_any_byte_of_its_last_record_loses_that_one_only(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        trajectory = Trajectory.read(tmp_path / "run")
        assert trajectory.events == EVENTS[:-1]
        torn = ["torn: the last write was cut"] if end > last else []
        assert [d.problem for d in trajectory.damage] == torn
        log = RunLog.reopen(tmp_path / "run")
        log.note(EVENTS[-1])
        log.close()
        mended = Trajectory.read(tmp_path / "run")
        assert (mended.events, mended.damage) == (EVENTS, ())
        assert (tmp_path / "run" / "torn").exists() == (end > last)
        (tmp_path / "run" / "torn").unlink(missing_ok=True)


def test_every_flipped_byte_costs_at_most_its_own_record(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for position in range(first, len(whole)):
        flipped = bytes([whole[position] ^ 0x01])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        survivors = Trajectory.read(tmp_path / "run").events
        missing = [event for event in EVENTS if event not in survivors]
        assert len(missing) <= (2 if whole[position : position + 1] == b"\n" else 1), position


def test_nul_bytes_in_the_middle_are_one_damaged_record(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"\0" * len(lines[2])
    path.write_bytes(b"\n".join(lines))
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == (EVENTS[0], EVENTS[2])
    assert [d.line for d in trajectory.damage] == [3]


def test_an_unknown_kind_is_kept_verbatim(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    data = dumps({"new": [1, {"deep": None}]})
    with path.open("ab") as stream:
        stream.write(line(4, "2030-01-01T00:00:00Z", 1.0, "from_the_future", data))
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.records[-1].kind == "from_the_future"
    assert trajectory.records[-1].data == {"new": [1, {"deep": None}]}
    assert trajectory.records[-1].event is None
    assert trajectory.damage == ()


def test_an_unknown_field_of_a_known_kind_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    data = dumps({"step": 1, "text": "hi", "mood": "new in 1.1"})
    with path.open("ab") as stream:
        stream.write(line(1, "2030-01-01T00:00:00Z", 1.0, "noted", data))
    assert Trajectory.read(tmp_path / "run").events == (Noted(step=1, text="hi"),)


def test_a_newer_major_version_is_refused_with_a_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    data = dumps({"schema": "wardian.run/2"})
    (folder / "trajectory.jsonl").write_bytes(line(0, "", 0.0, "header", data))
    with pytest.raises(NewerRun, match="newer Wardian") as caught:
        Trajectory.read(folder)
    assert "Upgrade" in caught.value.remedy


def test_a_header_that_is_no_object_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "trajectory.jsonl").write_bytes(line(0, "", 0.0, "header", dumps([["schema"]])))
    with pytest.raises(StorageError, match="is not a Wardian run"):
        Trajectory.read(tmp_path)


def test_a_long_text_is_a_blob_and_comes_back(tmp_path: Path) -> None:
    text = "\ud800é" * BLOB_CHARS
    path = write(tmp_path / "run", Noted(step=1, text=text), Noted(step=2, text=text))
    assert len(path.read_bytes()) < 2_000
    assert len(list((path.parent / "blobs").iterdir())) == 1
    assert [e.text for e in Trajectory.read(path.parent).events if isinstance(e, Noted)] == [
        text
    ] * 2


@pytest.mark.parametrize("reference", ["../../etc/passwd", "A" * 64, "", "0" * 64])
def test_a_hostile_blob_reference_reads_no_file(tmp_path: Path, reference: str) -> None:
    path = write(tmp_path / "run")
    data = dumps({"step": 1, "text": {"$blob": reference, "bytes": 1}})
    with path.open("ab") as stream:
        stream.write(line(1, "", 0.0, "noted", data))
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == ()
    assert len(trajectory.damage) == 1


def test_a_million_deep_line_is_one_damaged_record(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    with path.open("ab") as stream:
        stream.write(b'{"seq":4,"kind":"noted","data":' + b"[" * 1_000_000 + b"\n")
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == EVENTS
    assert len(trajectory.damage) == 1


def test_reopening_sets_a_torn_tail_aside_and_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "run", *EVENTS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    log = RunLog.reopen(tmp_path / "run")
    asyncio.run(log.append([Noted(step=2, text="after")]))
    log.close()
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == (*EVENTS[:-1], Noted(step=2, text="after"))
    assert trajectory.damage == ()
    last = whole.rstrip(b"\n").split(b"\n")[-1]
    assert (tmp_path / "run" / "torn").read_bytes().strip() == last[:-9]


def test_a_second_writer_is_told_that_the_run_is_in_use(tmp_path: Path) -> None:
    log = RunLog.create(tmp_path / "run")
    with pytest.raises(StorageError, match="in use"):
        RunLog.reopen(tmp_path / "run")
    log.close()
    RunLog.reopen(tmp_path / "run").close()


def test_looking_whether_a_run_is_held_keeps_nobody_from_it(tmp_path: Path) -> None:
    RunLog.create(tmp_path / "run").close()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_held(tmp_path / "run")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            RunLog.reopen(tmp_path / "run").close()
    finally:
        over.set()
        looking.join()


def test_a_closed_run_is_free_though_a_process_that_is_starting_has_a_copy_of_its_file(
    tmp_path: Path,
) -> None:
    log = RunLog.create(tmp_path / "run")
    copy = os.dup(log._descriptor)
    try:
        log.close()
        RunLog.reopen(tmp_path / "run").close()
    finally:
        os.close(copy)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("short", [0, 1, 50])
def test_a_failed_write_is_undone_and_earlier_events_are_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, short: int
) -> None:
    log = RunLog.create(tmp_path / "run")
    asyncio.run(log.append(EVENTS))
    real, calls = os.write, [0]

    def failing(descriptor: int, content: bytes) -> int:
        calls[0] += 1
        if calls[0] == 1 and short:
            return real(descriptor, content[:short])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing)
        with pytest.raises(StorageError, match="cannot be written"):
            asyncio.run(log.append([Noted(step=2, text="lost")]))
    asyncio.run(log.append([Noted(step=3, text="after space was freed")]))
    log.close()
    trajectory = Trajectory.read(tmp_path / "run")
    assert trajectory.events == (*EVENTS, Noted(step=3, text="after space was freed"))
    assert trajectory.damage == ()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$blob"), inner),
)


@given(json_values)
def test_any_json_value_survives_encoding(value: object) -> None:
    def refuse(_: object) -> str:
        raise AssertionError("no blob was saved")

    stored = json.loads(dumps(to_json(value, lambda _: {})))
    assert from_json(stored, refuse) == value


@given(json_values)
def test_the_quick_way_of_encoding_gives_what_the_careful_way_gives(value: object) -> None:
    event = Noted(step=1, text=str(value))
    careful = dumps(to_json(event, lambda _: {}))
    assert encode(event, lambda _: {}) == careful


def test_an_event_that_need_not_be_durable_is_written_before_the_loop_goes_on(
    tmp_path: Path,
) -> None:
    async def scenario() -> tuple[int, int]:
        log = RunLog.create(tmp_path / "run")
        await log.append([Noted(step=1, text="soon")], durable=False)
        await asyncio.sleep(0)
        events = Trajectory.read(tmp_path / "run").events
        log.close()
        return len(events), log.path.read_bytes().count(b"\n")

    assert asyncio.run(scenario()) == (1, 2)


def test_a_failure_of_a_late_write_is_raised_at_the_next_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scenario() -> None:
        log = RunLog.create(tmp_path / "run")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            await log.append([Noted(step=1, text="lost")], durable=False)
            await asyncio.sleep(0)
        await log.append([Noted(step=2, text="also lost")])

    with pytest.raises(StorageError, match="No space left"):
        asyncio.run(scenario())


@given(st.binary())
def test_no_bytes_make_the_line_parser_raise_anything_but_badline(content: bytes) -> None:
    with pytest.raises(BadLine):
        parse_line(content)


def test_after_a_sync_that_failed_nothing_more_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have dropped what it could not write, and says so only once."""
    log = RunLog.create(tmp_path / "run")
    asyncio.run(log.append(EVENTS))

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(StorageError, match="cannot be written"):
            asyncio.run(log.append([Noted(step=2, text="perhaps")]))
    with pytest.raises(StorageError, match="cannot be written"):
        asyncio.run(log.append([Noted(step=3, text="after")]))
    assert Trajectory.read(tmp_path / "run").events[: len(EVENTS)] == EVENTS
    log.discard()


def test_a_log_that_lost_even_its_header_can_be_gone_on_with(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    path.write_bytes(path.read_bytes()[:20])
    log = RunLog.reopen(tmp_path / "run")
    asyncio.run(log.append([Noted(step=1, text="on")]))
    log.close()
    assert [record.kind for record in Trajectory.read(tmp_path / "run").records] == [
        "header",
        "noted",
    ]
