"""The installer's parts that decide: what is shown, what is diagnosed, what is cached."""

import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import llama_wheel  # noqa: E402 — the installer's modules lie beside each other, not in a package
import progress  # noqa: E402


def run(code: str, log: Path) -> str:
    """What is shown without a terminal while Python runs `code`."""
    shown = io.StringIO()
    progress.run_logged([sys.executable, "-c", code], log, stream=shown)
    return shown.getvalue()


def test_without_a_terminal_every_twentieth_unit_and_the_last_get_a_line(tmp_path: Path) -> None:
    shown = run("for i in range(1, 84): print(f'  [{i}/83] /usr/bin/c++ …')", tmp_path / "log")
    assert [line.split()[0] for line in shown.splitlines()] == [
        "[20/83]",
        "[40/83]",
        "[60/83]",
        "[80/83]",
        "[83/83]",
    ]


def test_the_log_holds_the_whole_output(tmp_path: Path) -> None:
    run("print('x' * 100_000); print('end', end='')", tmp_path / "log")
    assert (tmp_path / "log").read_text("utf-8").endswith("x\nend")


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        (
            "NewConnectionError: [Errno -3] Temporary failure in name resolution",
            "The package index cannot be reached.",
        ),
        ("sudo: a password is required", "sudo needs a password"),
        ("c++: fatal error: Killed signal terminated program", "ran out of memory"),
        ("E: Unable to locate package ripgrep", "apt does not know a package"),
        ("something else", "`/usr/bin/false` failed."),
    ],
)
def test_a_failure_is_said_in_one_sentence_of_cause_and_one_of_remedy(
    output: str, cause: str
) -> None:
    said, remedy = progress.diagnose(output, ["/usr/bin/false"])
    assert cause in said
    assert remedy.endswith(".")


def test_a_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    shown = io.StringIO()
    code = "print('first'); print('\\n'.join(map(str, range(40)))); raise SystemExit(3)"
    with pytest.raises(progress.InstallFailed) as failed:
        progress.run_logged([sys.executable, "-c", code], tmp_path / "log", stream=shown)
    assert "39" in shown.getvalue()
    assert "first" not in shown.getvalue()
    assert failed.value.log == tmp_path / "log"


@pytest.mark.parametrize("version", ["0.3.36", "0.3.37"])
def test_the_same_machine_and_options_give_the_same_key(version: str) -> None:
    assert llama_wheel.cache_key(version) == llama_wheel.cache_key(version)
    assert llama_wheel.cache_key(version).startswith(version)


def test_other_build_options_are_cached_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "")
    plain = llama_wheel.cache_key("0.3.36")
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    assert llama_wheel.cache_key("0.3.36") != plain


def test_the_users_build_options_come_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    options = llama_wheel.build_environment()["CMAKE_ARGS"]
    assert options.startswith("-DLLAVA_BUILD=OFF")
    assert options.endswith("-DGGML_CUDA=on")


def test_a_cached_wheel_is_used_without_asking_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = llama_wheel.cache_folder() / llama_wheel.cache_key("0.3.36")
    folder.mkdir(parents=True)
    wheel = folder / "llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl"
    wheel.touch()
    no_python = tmp_path / "no-such-python"
    assert llama_wheel.obtain(no_python, "0.3.36", tmp_path / "log") == wheel


def test_an_unsuitable_python_is_refused_with_a_remedy(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.12" && exit 0\nexit 1\n')
    old.chmod(0o755)
    # Only the programs the script itself needs, so that no other Python is found.
    for program in ("bash", "cat"):
        (tmp_path / program).symlink_to(f"/bin/{program}")
    ended = subprocess.run(
        ["/bin/bash", str(SCRIPTS / "find-python")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert "this machine has Python 3.10.12" in ended.stderr
    assert "apt-get install" in ended.stderr


def test_the_python_asked_for_is_taken() -> None:
    ended = subprocess.run(
        [str(SCRIPTS / "find-python")],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == sys.executable


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    root = SCRIPTS.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    extras = project["optional-dependencies"].values()
    wanted = [Requirement(text) for group in (project["dependencies"], *extras) for text in group]
    wrong = [
        f"{one} is pinned to {pins.get(canonicalize_name(one.name))}"
        for one in wanted
        if pins.get(canonicalize_name(one.name), "none") not in one.specifier
    ]
    assert not wrong
