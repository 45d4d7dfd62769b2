"""A state is put back as it was, shares what did not change, and leads nobody astray."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.errors import StorageError
from wardian.runs import states as module
from wardian.runs.state import take_along
from wardian.runs.states import States, last_states, remember


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything in it: kind, mode, content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = (
            str(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else None
        )
        found[str(path.relative_to(folder))] = (oct(status.st_mode), content)
    return found


def inodes(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (run / "files").iterdir()}


def test_what_was_saved_is_laid_out_again(run: Path, workspace: Path, tmp_path: Path) -> None:
    (workspace / "a.txt").write_text("a")
    (workspace / "d").mkdir(mode=0o700)
    (workspace / "d" / "tool").write_bytes(b"\x00" * 3_000_000)
    (workspace / "d" / "tool").chmod(0o755)
    (workspace / "l").symlink_to("nowhere")
    (workspace / os.fsdecode(b"odd\xff\n")).write_text("odd")
    assert States(run).save(workspace) == 0
    again = tmp_path / "again"
    again.mkdir()
    states = States(run)
    assert states.lay(states.state(0), again) == []
    assert tree(again) == tree(workspace)
    assert (again / "a.txt").stat().st_mtime_ns == (workspace / "a.txt").stat().st_mtime_ns


def test_only_what_changed_is_kept_anew(
    run: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_NS", -(10**18))  # as if the files had been there for long
    for index in range(50):
        (workspace / f"{index}.txt").write_text(f"{index}\n" * 100)
    states = States(run)
    states.save(workspace)
    before = inodes(run)
    assert states.save(workspace) == 0
    (workspace / "7.txt").write_text("new")
    (workspace / "8.txt").unlink()
    assert states.save(workspace) == 1
    assert len(inodes(run).keys() - before.keys()) == 1
    assert (run / "states" / "000001.json").stat().st_size < 400
    assert States(run).latest.keys() == states.latest.keys()


def test_a_change_within_one_tick_of_the_clock_is_seen(run: Path, workspace: Path) -> None:
    states, path = States(run), workspace / "a.txt"
    for index in range(20):
        path.write_text(str(index % 10))
        os.utime(path, ns=(1, 1))
        number = states.save(workspace)
        ref = states.latest["a.txt"].ref
        assert (run / "files" / ref).read_text() == str(index % 10)
        assert number == index


def test_the_runs_are_no_part_of_the_workspace_that_holds_them(workspace: Path) -> None:
    (workspace / "a.txt").write_text("a")
    run = workspace / "data" / "runs" / "one"
    run.mkdir(parents=True)
    (run / "trajectory.jsonl").write_text("begun\n")
    states = States(run)
    assert set(states.state(states.save(workspace))) == {"a.txt", "data"}
    (run / "trajectory.jsonl").write_text("begun\ngone on\n")
    assert states.save(workspace) == 0
    assert states.unlike(states.state(0), workspace) == []
    (workspace / "a.txt").write_text("b")
    assert states.save(workspace) == 1


def test_the_next_run_links_what_the_last_one_kept(
    run: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_NS", -(10**18))  # as if the files had been there for long
    (workspace / "a.txt").write_text("a")
    (workspace / "b.txt").write_text("b")
    States(run).save(workspace)
    remember(tmp_path, workspace, "run")
    (workspace / "b.txt").write_text("c")
    other = tmp_path / "other"
    other.mkdir()
    states = States(other)
    states.save(workspace, alike=last_states(tmp_path, workspace))
    assert set(inodes(other).items()) & set(inodes(run).items())
    assert len(inodes(other)) == 2
    assert (other / "files" / states.latest["b.txt"].ref).read_text() == "c"


def test_a_lost_or_damaged_content_is_named_and_never_put_back(run: Path, workspace: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (workspace / name).write_text(name)
    states = States(run)
    states.save(workspace)
    (run / "files" / states.latest["a.txt"].ref).write_text("evil!")
    (run / "files" / states.latest["b.txt"].ref).unlink()
    for name in ("a.txt", "b.txt", "c.txt"):
        (workspace / name).write_text("changed")
    assert states.put_back(dict(states.state(0)), workspace) == ["a.txt", "b.txt"]
    texts = [(workspace / name).read_text() for name in ("a.txt", "b.txt", "c.txt")]
    assert texts == ["changed", "changed", "c.txt"]


ENTRY = [0o100000, 0o644, 3, 1, 1, 1]
LINK = [0o120000, 0o777, 3, 1, 1, 1]


@pytest.mark.parametrize(
    "put",
    [
        {"../out.txt": [*ENTRY, "0" * 64]},
        {"/etc/out.txt": [*ENTRY, "0" * 64]},
        {"a/../../out.txt": [*ENTRY, "0" * 64]},
        {"a": [*LINK, ".."], "a/out.txt": [*ENTRY, "0" * 64]},
        {"a": [*ENTRY[:5], "x", "y"]},
        {"a": 7},
        [],
    ],
)
def test_a_hostile_state_is_refused(run: Path, put: object) -> None:
    (run / "states").mkdir()
    (run / "states" / "000000.json").write_text(json.dumps({"put": put, "gone": []}))
    with pytest.raises(StorageError, match="cannot be read"):
        States(run)


def test_a_state_nested_too_deeply_is_refused(run: Path) -> None:
    (run / "states").mkdir()
    (run / "states" / "000000.json").write_text("[" * 1_000_000)
    with pytest.raises(StorageError, match="cannot be read"):
        States(run)


def test_a_hostile_reference_reads_no_file(run: Path, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (run / "states").mkdir()
    put = {"a": [*ENTRY, "../../secret"], "b": [*ENTRY, str(tmp_path / "secret")]}
    (run / "states" / "000000.json").write_text(json.dumps({"put": put, "gone": []}))
    states = States(run)
    assert states.lay(states.state(0), workspace) == ["a", "b"]
    assert tree(workspace) == {}


def test_nothing_is_put_through_a_link_that_stands_in_the_way(
    run: Path, workspace: Path, tmp_path: Path
) -> None:
    (workspace / "d").mkdir()
    (workspace / "d" / "a.txt").write_text("old")
    states = States(run)
    states.save(workspace)
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace / "d" / "a.txt").unlink()
    (workspace / "d").rmdir()
    (workspace / "d").symlink_to(outside)
    assert states.put_back({"d/a.txt": states.latest["d/a.txt"]}, workspace) == ["d/a.txt"]
    assert list(outside.iterdir()) == []


def test_of_a_large_workspace_the_largest_files_are_left_out(
    run: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 1000)
    (workspace / "small.txt").write_text("s" * 900)
    (workspace / "large.txt").write_text("l" * 5000)
    states = States(run)
    states.save(workspace)
    again = tmp_path / "again"
    again.mkdir()
    assert states.lay(states.state(0), again) == ["large.txt"]
    assert (again / "small.txt").exists()
    assert states.unlike(states.state(0), workspace) == []


def test_of_a_workspace_of_many_files_the_deepest_are_left_out(
    run: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "KEPT_FILES", 2)
    for path in ("a.txt", "b.txt", "d/c.txt"):
        (workspace / path).parent.mkdir(exist_ok=True)
        (workspace / path).write_text(path)
    states = States(run)
    states.save(workspace)
    again = tmp_path / "again"
    again.mkdir()
    state = states.state(0)
    assert states.lay(state, again) == ["d/c.txt"]
    assert take_along(workspace, again, "d/c.txt", state["d/c.txt"])
    assert tree(again) == tree(workspace)


names = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a"])
actions = st.tuples(st.sampled_from(["write", "remove", "link", "mode"]), names, st.integers(0, 3))


def act(workspace: Path, what: str, name: str, number: int) -> None:
    path = workspace / name
    if what == "remove" or (what == "link" and path.exists()):
        path.unlink(missing_ok=True)
    elif what == "link" and not path.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(f"to-{number}")
    elif what == "mode" and path.is_file():
        path.chmod(0o600 | number << 3)
    elif what == "write" and not path.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))


@settings(max_examples=25)
@given(st.lists(st.lists(actions, max_size=4), min_size=1, max_size=5))
def test_every_state_can_be_gone_back_to(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, str, int]]]
) -> None:
    root = tmp_path_factory.mktemp("states")
    workspace = root / "workspace"
    workspace.mkdir()
    run = root / "run"
    run.mkdir()
    states, seen = States(run), list[tuple[int, dict[str, tuple[object, ...]]]]()
    for step in steps:
        for what, name, number in step:
            act(workspace, what, name, number)
        seen.append((states.save(workspace), tree(workspace)))
    for number, was in reversed(seen):
        wanted = states.state(number)
        gone = dict.fromkeys(States(run).latest.keys() | present_paths(workspace))
        assert states.put_back({**gone, **wanted}, workspace) == []
        assert tree(workspace) == was
        assert states.unlike(wanted, workspace) == []


def present_paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
