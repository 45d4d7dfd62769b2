"""Whose bubblewrap it is, and whether settings really keep it from making namespaces."""

import os
import shutil
from pathlib import Path

import pytest

from wardian_sandbox import SandboxUnavailable, diagnosis

FORBIDDEN = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ("kernel/unprivileged_userns_clone", "0"),
    ("user/max_user_namespaces", "0"),
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the system's, that belongs to whoever runs the tests."""
    folder = tmp_path / "bin"
    folder.mkdir(mode=0o755)
    return Path(shutil.copy("/usr/bin/bwrap", folder / "bwrap"))


def test_the_systems_bubblewrap_is_taken() -> None:
    assert diagnosis.find_bwrap().path == Path("/usr/bin/bwrap")


@pytest.mark.skipif(os.geteuid() == 0, reason="what root owns is root's")
def test_a_bubblewrap_of_somebody_is_refused(program: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="chown root:root"):
        diagnosis.find_bwrap(program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root")
def test_a_bubblewrap_that_others_can_write_is_refused(program: Path) -> None:
    program.chmod(0o755)
    assert diagnosis.find_bwrap(program).path == program
    program.chmod(0o775)
    with pytest.raises(SandboxUnavailable, match="chmod go-w"):
        diagnosis.find_bwrap(program)
    program.chmod(0o755)
    program.parent.chmod(0o777)
    with pytest.raises(SandboxUnavailable, match="others could replace"):
        diagnosis.find_bwrap(program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root")
def test_a_link_to_a_bubblewrap_that_others_can_write_is_refused(program: Path) -> None:
    program.chmod(0o777)
    link = program.parent.parent / "link"
    link.symlink_to(program)
    with pytest.raises(SandboxUnavailable, match="others could replace"):
        diagnosis.find_bwrap(link)


def test_a_set_user_id_bubblewrap_is_refused(program: Path) -> None:
    program.chmod(0o4755)
    with pytest.raises(SandboxUnavailable, match="chmod u-s"):
        diagnosis.find_bwrap(program)


@pytest.mark.parametrize(("setting", "value"), FORBIDDEN)
def test_a_setting_counts_only_if_bubblewrap_really_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    """As on Ubuntu with AppArmor's profile for it: forbidden to all, but not to bubblewrap."""
    file = tmp_path / setting
    file.parent.mkdir()
    file.write_text(f"{value}\n")
    monkeypatch.setattr(diagnosis, "SYSCTLS", tmp_path)
    assert diagnosis.forbidding_setting() is not None
    assert diagnosis.user_namespace_problem() is None
    assert diagnosis.user_namespace_problem(Path("/bin/false")) == diagnosis.forbidding_setting()


def test_apparmors_restriction_has_both_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")
    monkeypatch.setattr(diagnosis, "SYSCTLS", tmp_path)
    problem = diagnosis.explain_failure("bwrap: setting up uid map: Permission denied")
    assert "AppArmor" in problem.cause
    assert "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict" in problem.remedy
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in problem.remedy
