"""Odd paths and odd files, against what the host does for a model: read, write, put, get, diff."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from wardian_sandbox import (
    Artefact,
    Confinement,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SupervisedSandbox,
    open_sandbox,
)
from wardian_sandbox.carrying import Tree, put
from wardian_sandbox.snapshot import take_snapshot

Work = Callable[..., Any]
OnHost = Callable[..., CompletedProcess[str]]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
TRIES, MOST_TRIES = 300, 20_000
"""Until the control has lost its race too."""
ME = (os.geteuid(), os.getegid())


@pytest.mark.parametrize("operation", ["read", "get", "refer", "stat", "write", "put", "edit"])
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "src/../../secret.txt",
        "/workspace/../secret.txt",
        "link",
        "folder/secret.txt",
        "chain",
        "magic",
        "/proc/self/root/etc/passwd",
        "/dev/zero",
    ],
)
def test_no_path_leads_out(work: Work, tmp_path: Path, operation: str, path: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("private")
    plant = (
        f"ln -s {secret} link; ln -s {tmp_path} folder; ln -s chain2 chain; ln -s link chain2; "
        "ln -s /proc/1/root/etc/passwd magic"
    )
    more = {"write": {"content": "x"}, "edit": {"old": "p", "new": "q"}}.get(operation, {})

    async def do(box: SupervisedSandbox) -> tuple[Any, str]:
        await box.shell(plant, PLENTY)
        if operation in ("get", "refer"):
            return await getattr(box, operation)(path, PLENTY), ""
        if operation == "put":
            return await box.put(path, b"x", PLENTY), ""
        return await box.file(operation, {"path": path, **more}, PLENTY), ""

    result, _ = work(do)
    assert isinstance(result, FileFailure), result
    assert result.code in ("outside", "denied", "missing")
    assert "private" not in result.message
    assert secret.read_text() == "private"


def test_the_same_paths_lead_a_careless_host_out(tmp_path: Path, workspace: Path) -> None:
    """The control: what `open` makes of them where nobody looks."""
    secret = tmp_path / "secret.txt"
    secret.write_text("private")
    (workspace / "link").symlink_to(secret)
    (workspace / "folder").symlink_to(tmp_path)
    (workspace / "chain").symlink_to("link")
    for path in ("../secret.txt", "src/../../secret.txt", "link", "folder/secret.txt", "chain"):
        assert (workspace / path).read_text() == "private"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "/" * 5000, "\ud800"])
@pytest.mark.parametrize("operation", ["read", "write", "stat"])
def test_a_name_that_is_none_is_a_failure(work: Work, operation: str, name: str) -> None:
    arguments = {"path": name, "content": "x"}
    with pytest.raises((OSError, ValueError)):
        Path(name).read_text()
    result = work(lambda box: box.file(operation, arguments, PLENTY))
    assert isinstance(result, FileFailure)


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        ("mkfifo odd", "not_text"),
        ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('odd')\"", None),
        ("mkdir odd", "is_directory"),
        ("ln -s odd odd", "invalid"),
        ("ln -s /dev/zero odd", "outside"),
        ("ln -s /proc/self/fd/0 odd", "outside"),
        ("ln -s /proc/self/mem odd", "outside"),
    ],
)
def test_what_is_no_file_does_not_hold_up_or_deceive(
    work: Work, workspace: Path, plant: str, code: str | None
) -> None:
    async def do(box: SupervisedSandbox) -> list[Any]:
        assert (await box.shell(f"{plant}; mkdir fine; echo fine > fine/f", PLENTY)).exit_code == 0
        results: list[Any] = [
            await box.file("read", {"path": "odd"}, PLENTY),
            await box.file("edit", {"path": "odd", "old": "a", "new": "b"}, PLENTY),
            await box.get("odd", PLENTY),
            await box.refer("odd", PLENTY),
        ]
        results.append(await box.file("write", {"path": "odd", "content": "x"}, PLENTY))
        await box.diff()
        return [*results, await box.file("read", {"path": "fine/f"}, PLENTY)]

    *attacks, twin = work(do)
    assert all(isinstance(attack, FileFailure) for attack in attacks)
    assert code is None or {attack.code for attack in attacks} == {code}
    assert twin["text"] == "fine\n"
    assert (workspace / "fine" / "f").read_text() == "fine\n"


def test_a_named_pipe_holds_up_a_careless_host(tmp_path: Path, on_host: OnHost) -> None:
    os.mkfifo(tmp_path / "odd")
    code = f"import subprocess; subprocess.run(['cat', {str(tmp_path / 'odd')!r}], timeout=0.3)"
    assert "TimeoutExpired" in on_host(code).stderr


def test_a_file_replaced_by_a_pipe_is_not_carried_out(work: Work, workspace: Path) -> None:
    command = "rm notes.txt; mkfifo notes.txt; mkfifo new; echo x > plain"

    async def do(box: SupervisedSandbox) -> bool:
        await box.shell(command, PLENTY)
        return bool(box.identity.detail["workspace"] != "mount")

    is_carried = work(do)
    assert (workspace / "plain").read_text() == "x\n"
    if is_carried:
        kinds = {stat.S_IFMT(path.lstat().st_mode) for path in workspace.rglob("*")}
        assert stat.S_IFIFO not in kinds


def test_a_huge_hole_comes_out_as_a_hole(work: Work, workspace: Path, tmp_path: Path) -> None:
    size = 256 << 20

    async def do(box: SupervisedSandbox) -> tuple[Any, Any, Any]:
        await box.shell(f"truncate -s {size} hole; echo end >> hole", PLENTY)
        read = await box.file("read", {"path": "hole"}, PLENTY)
        return read, await box.get("hole", PLENTY, max_bytes=1 << 20), await box.diff()

    read, got, changes = work(do)
    assert (read.code, got.code) == ("binary", "too_large")
    assert [change.path for change in changes] == ["hole"]
    status = (workspace / "hole").stat()
    assert status.st_size == size + 4
    assert status.st_blocks * 512 < 1 << 20
    careless = tmp_path / "careless"
    with (workspace / "hole").open("rb") as hole, careless.open("wb") as file:
        shutil.copyfileobj(hole, file)
    assert careless.stat().st_blocks * 512 >= size


def test_a_tree_too_deep_for_a_path_is_survived(work: Work, workspace: Path) -> None:
    deep = "import os\nfor _ in range(3000):\n    os.mkdir('d' * 100); os.chdir('d' * 100)"

    async def do(box: SupervisedSandbox) -> list[Any]:
        result = await box.python(f"{deep}\nos.chdir('/workspace')", PLENTY)
        assert result.error is None
        return [
            await box.file("list", {"path": ".", "pattern": "**"}, PLENTY),
            await box.file("search", {"pattern": "alpha"}, PLENTY),
            await box.diff(),
            await box.shell("rm -rf d*", PLENTY),
        ]

    listed, found, changes, _ = work(do)
    assert {"notes.txt", "src"} <= {entry["path"] for entry in listed["entries"]}
    assert [match["path"] for match in found["matches"]] == ["notes.txt"]
    assert len(changes) < 1000
    with pytest.raises(OSError, match="too long"):
        (workspace / "/".join(["d" * 100] * 3000)).lstat()


ODD_NAMES = [
    b"new\nline",
    b"\x1b[2Jclear",
    b"\xff\xfe",
    b"-rf",
    b" ",
    b"*",
    b"$(id)",
    "é\u202e".encode(),
]


def test_odd_names_are_carried_as_they_are_and_shown_as_text(work: Work, workspace: Path) -> None:
    make = f"import os\nfor name in {ODD_NAMES!r}:\n    open(name, 'w').write('x')"

    async def do(box: SupervisedSandbox) -> tuple[Any, Any]:
        await box.python(make, PLENTY)
        return await box.file("list", {}, PLENTY), await box.diff()

    listed, changes = work(do)
    names = {entry["path"] for entry in listed["entries"]}
    assert all(name.encode() for name in names)  # valid Unicode, every one
    assert "new\nline" in names
    assert len(changes) == len(ODD_NAMES)
    assert set(ODD_NAMES) <= {os.fsencode(path.name) for path in workspace.iterdir()}


def test_a_hard_link_shares_nothing_with_the_outside(work: Work, workspace: Path) -> None:
    async def do(box: SupervisedSandbox) -> None:
        await box.shell("ln notes.txt twin; ln twin src/third", PLENTY)
        await box.shell("echo changed >> twin", PLENTY)

    work(do)
    assert (workspace / "twin").read_text().endswith("changed\n")
    assert (workspace / "twin").stat().st_uid == (workspace / "src").stat().st_uid


AT_FDCWD = -100
EXCHANGE = 2
"""RENAME_EXCHANGE. Source: linux/fs.h"""


class Racer:
    """Swaps a folder and a link to somewhere else, each time at one stroke, as fast as it can."""

    def __init__(self, folder: Path, outside: Path) -> None:
        link = folder / "link"
        link.symlink_to(outside)
        self._swapped = (os.fsencode(folder / "d"), os.fsencode(link))
        self._rename = ctypes.CDLL(None, use_errno=True).renameat2
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        one, other = self._swapped
        while not self._stop.is_set():
            for _ in range(2):
                self._rename(AT_FDCWD, one, AT_FDCWD, other, EXCHANGE)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path, Path]:
    """inside, outside, and what neither may touch"""
    folders = tuple(tmp_path / name for name in ("inside", "outside", "private"))
    for folder in folders:
        folder.mkdir()
    (folders[0] / "d").mkdir()
    (folders[0] / "d" / "f").write_text("mine")
    (folders[2] / "f").write_text("private")
    return folders[0], folders[1], folders[2]


def test_a_racer_inside_gets_nothing_of_the_hosts_carried(trees: tuple[Path, Path, Path]) -> None:
    inside, outside, private = trees
    careless: set[str] = set()
    with Racer(inside, private):
        for number in range(MOST_TRIES):
            if number > TRIES and "private" in careless:
                break
            with Tree(inside) as source, Tree(outside) as target, contextlib.suppress(OSError):
                put(source, target, "d/f", ME, keep_mode=False)
            if number % 2 == 0:
                with contextlib.suppress(OSError):
                    careless.add((inside / "d" / "f").read_text())
            copy = outside / "d" / "f"
            assert not copy.exists() or copy.read_text() == "mine"
    assert "private" in careless, "the control: following names, it is read"


def test_a_racer_outside_gets_nothing_written_elsewhere(trees: tuple[Path, Path, Path]) -> None:
    """Another guest, in a box of its own around the same mounted folder."""
    inside, outside, private = trees
    (outside / "d").mkdir()
    is_lost = False
    with Racer(outside, private):
        for number in range(MOST_TRIES):
            if number > TRIES and is_lost:
                break
            with Tree(inside) as source, Tree(outside) as target, contextlib.suppress(OSError):
                put(source, target, "d/f", ME, keep_mode=False)
            assert (private / "f").read_text() == "private"
            if not is_lost:
                with contextlib.suppress(OSError):
                    (outside / "d" / f"canary{number}").write_text("x")
                is_lost = any(path.name.startswith("canary") for path in private.iterdir())
    assert is_lost, "the control: following names, it is written elsewhere"


def test_a_snapshot_does_not_follow_a_racer(trees: tuple[Path, Path, Path]) -> None:
    inside, _, private = trees
    (private / "named").write_text("x")
    careless = False
    with Racer(inside, private):
        for number in range(MOST_TRIES):
            if number > TRIES and careless:
                break
            assert "d/named" not in take_snapshot(inside).entries
            careless = careless or (inside / "d" / "named").exists()
    assert careless, "the control: following names, it is seen"


def test_a_racer_in_the_box_gets_nothing_by_put_and_get(
    backend: str, workspace: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "f").write_text("private")
    race = (
        "import os, threading\nos.mkdir('real'); open('real/f', 'w').write('mine')\n"
        f"os.symlink({str(private)!r}, 'bad'); os.symlink('real', 'flip')\n"
        "def spin():\n    while True:\n        for to in ('bad', 'real'):\n"
        "            os.symlink(to, 'tmp'); os.rename('tmp', 'flip')\n"
        "threading.Thread(target=spin, daemon=True).start()"
    )

    async def scenario() -> tuple[list[Any], ExecResult]:
        async with await open_sandbox(backend, workspace, PLENTY) as box:
            await box.python(race, PLENTY)
            results: list[Any] = []
            for _ in range(25):
                results += [await box.get("flip/f"), await box.put("flip/f", b"mine")]
            return results, await box.python("os.path.realpath('bad')", PLENTY)

    results, control = asyncio.run(scenario())
    contents = {result.content for result in results if isinstance(result, Artefact)}
    assert contents <= {b"mine", b""}
    assert any(not isinstance(result, FileFailure) for result in results)
    assert control.value == repr(str(private)), "the control: the link does lead there"
    assert [path.name for path in private.iterdir()] == ["f"]
    assert (private / "f").read_text() == "private"


def test_a_part_of_an_upload_that_is_swapped_for_a_link_is_not_followed(work: Work) -> None:
    """The file an upload grows in has a name that the guest can see."""
    swap = (
        "import os, threading\n"
        "def spin():\n    while True:\n        for name in os.listdir('.'):\n"
        "            if name.startswith('.wardian-'):\n"
        "                try: os.unlink(name); os.symlink('/tmp/target', name)\n"
        "                except OSError: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\n"
        "open('/tmp/target', 'w').close()"
    )

    async def do(box: SupervisedSandbox) -> tuple[Any, str]:
        await box.python(swap, PLENTY)
        done = await box.put("big", bytes(9 << 20), PLENTY)
        size = await box.python("os.path.getsize('/tmp/target')", PLENTY)
        return done, str(size.value)

    done, size = work(do)
    assert size == "0"
    assert isinstance(done, FileFailure) or done.size_bytes == 9 << 20
