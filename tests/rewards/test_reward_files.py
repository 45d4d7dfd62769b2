"""What a run left in its workspace."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian.rewards.files import ExpectedFile, FileState, read_within
from wardian.rewards.types import GradingFailed, Reward

Grade = Callable[..., Reward]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_bytes(b"one\r\ntwo\n\n")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "away").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        ({"path": "sub/a.txt"}, ""),
        ({"path": "sub/a.txt", "text": "one\ntwo"}, ""),
        ({"path": "sub/a.txt", "text": "one two"}, "its text is another"),
        ({"path": "sub/a.txt", "contains": ("two",)}, ""),
        ({"path": "sub/a.txt", "contains": ("three",)}, "it lacks 'three'"),
        ({"path": "sub/a.txt", "matches": "(?m)^two"}, ""),
        ({"path": "sub/a.txt", "matches": "^two"}, "it does not match"),
        ({"path": "sub/a.txt", "sha256": hashlib.sha256(b"one\r\ntwo\n\n").hexdigest()}, ""),
        ({"path": "sub/a.txt", "sha256": "0" * 64}, "its content is another"),
        ({"path": "sub/a.txt", "absent": True}, "it is there"),
        ({"path": "b.txt", "absent": True}, ""),
        ({"path": "b.txt"}, "it is not there, or no plain file"),
        ({"path": "sub"}, "it is not there, or no plain file"),
        ({"path": "pipe"}, "it is not there, or no plain file"),
        ({"path": "link.txt"}, "it is not there, or no plain file"),
        ({"path": "away/secret.txt"}, "it is not there, or no plain file"),
    ],
)
def test_each_part_that_is_given_must_hold(
    grade: Grade, workspace: Path, expected: dict[str, Any], fault: str
) -> None:
    reward = grade(FileState(files=(ExpectedFile(**expected),)), workspace=workspace)
    assert reward.detail.get("wrong", {}).get(expected["path"], "") == fault
    assert reward.value == float(not fault)


def test_not_strict_gives_the_share(grade: Grade, workspace: Path) -> None:
    files = (ExpectedFile(path="sub/a.txt"), ExpectedFile(path="b.txt"))
    assert grade(FileState(files=files, strict=False), workspace=workspace).value == 0.5
    assert grade(FileState(files=files), workspace=workspace).value == 0.0


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/passwd", "", "sub/../../secret.txt"])
def test_a_path_that_leads_out_is_the_task_s_fault(workspace: Path, path: str) -> None:
    with pytest.raises(GradingFailed, match="no path inside"):
        read_within(workspace, path)


def test_without_files_nothing_can_be_said(grade: Grade) -> None:
    with pytest.raises(GradingFailed, match="files are not known"):
        grade(FileState(files=()))
