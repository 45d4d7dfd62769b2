"""git over a workspace whose guest left it something to run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wardian_sandbox import SandboxError, git
from wardian_sandbox.blocking import find_blocking


def run_git(folder: Path, *arguments: str, check: bool = True) -> str:
    """git as a careless host runs it, with settings of its own only."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
    }  # fmt: skip
    line = ["git", "-c", "safe.directory=*", *arguments]
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    folder.mkdir()
    run_git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    (folder / "b.bin").write_text("x\n")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-q", "-m", "first")
    (folder / "a.txt").write_text("two\n")
    (folder / "b.bin").write_text("y\n")
    return folder


def test_git_over_a_workspace_says_what_git_says(repository: Path) -> None:
    for arguments in (("status", "--porcelain"), ("diff",), ("log", "--format=%s"), ("ls-files",)):
        result = git(repository, *arguments)
        assert (result.exit_code, result.errors) == (0, "")
        assert result.output.decode() == run_git(repository, *arguments)
    assert git(repository, "show", "HEAD:a.txt").output == b"one\n"
    head = run_git(repository, "rev-parse", "HEAD")
    run_git(repository, "pack-refs", "--all")
    run_git(repository, "gc", "-q")
    assert git(repository, "rev-parse", "HEAD").output.decode() == head


PLANTS = {
    "fsmonitor": ("status", "[core]\n\tfsmonitor = CANARY\n", {}),
    "filter": ("status", "[filter \"f\"]\n\tclean = CANARY\n", {".gitattributes": "* filter=f\n"}),
    "process": ("diff", "[filter \"f\"]\n\tprocess = CANARY\n", {".gitattributes": "* filter=f\n"}),
    "external": ("diff", "[diff]\n\texternal = CANARY\n", {}),
    "driver": ("diff", "[diff \"d\"]\n\tcommand = CANARY\n", {".gitattributes": "* diff=d\n"}),
    "textconv": ("diff", "[diff \"d\"]\n\ttextconv = CANARY\n", {".gitattributes": "* diff=d\n"}),
    "include": ("diff", "[include]\n\tpath = ../more\n", {"more": "[diff]\n\texternal = CANARY\n"}),
    "pager": ("log", "[pager]\n\tlog = CANARY\n[core]\n\tpager = CANARY\n", {}),
    "signature": ("log", "[log]\n\tshowSignature = true\n[gpg]\n\tprogram = CANARY\n", {}),
    "worktree": ("diff", "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig\n",
                 {".git/config.worktree": "[diff]\n\texternal = CANARY\n"}),
}  # fmt: skip


def plant(repository: Path, name: str) -> tuple[str, Path]:
    command, config, files = PLANTS[name]
    canary = repository.parent / "canary"
    program = repository / "evil.sh"
    program.write_text(f"#!/bin/sh\necho ran > {canary}\ncat\n")
    program.chmod(0o755)
    with (repository / ".git" / "config").open("a") as file:
        file.write(config.replace("CANARY", str(program)))
    for path, text in files.items():
        (repository / path).write_text(text.replace("CANARY", str(program)))
    if name == "signature":
        tree = run_git(repository, "cat-file", "commit", "HEAD")
        signed = tree.replace("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n"
                              " -----END PGP SIGNATURE-----\n\n", 1)  # fmt: skip
        made = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
            cwd=repository, input=signed, text=True, capture_output=True, check=True,
        ).stdout.strip()  # fmt: skip
        (repository / ".git" / "HEAD").write_text(f"{made}\n")
    return command, canary


@pytest.mark.parametrize("name", PLANTS)
def test_git_over_a_workspace_runs_nothing_planted(repository: Path, name: str) -> None:
    command, canary = plant(repository, name)
    result = git(repository, command)
    assert not canary.exists()
    assert result.exit_code == 0
    if name != "pager":  # which git uses on a terminal only
        run_git(repository, command, check=False)
        assert canary.exists(), "the control: plain git runs it"


def test_git_does_not_look_into_a_planted_submodule(repository: Path) -> None:
    inner = repository / "inner"
    shutil.copytree(repository, inner)
    run_git(repository, "add", "inner", check=False)
    _, canary = plant(inner, "fsmonitor")
    (inner / "a.txt").write_text("three\n")
    assert git(repository, "status").exit_code == 0
    assert not (inner.parent / "canary").exists()
    assert not canary.exists()
    run_git(repository, "status")
    assert canary.exists(), "the control: plain git looks into it"


def test_git_follows_no_link_to_another_repository(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for how in ("link", "file"):
        if how == "link":
            (other / ".git").symlink_to(repository / ".git")
        else:
            (other / ".git").write_text(f"gitdir: {repository / '.git'}\n")
        assert run_git(other, "log", "--format=%s") == "first\n"
        with pytest.raises(SandboxError, match="no plain git repository"):
            git(other, "log")
        (other / ".git").unlink()


def test_git_borrows_no_objects_from_elsewhere(repository: Path, tmp_path: Path) -> None:
    thief = tmp_path / "thief"
    thief.mkdir()
    run_git(thief, "init", "-q")
    alternates = thief / ".git" / "objects" / "info" / "alternates"
    alternates.write_text(f"{repository / '.git' / 'objects'}\n")
    blob = run_git(repository, "rev-parse", "HEAD:a.txt").strip()
    assert run_git(thief, "show", blob) == "one\n"
    assert git(thief, "show", blob).exit_code != 0


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (".gitattributes", "status"),
        ("deep/er/.gitattributes", "show"),
        (".gitignore", "status"),
        (".mailmap", "log"),
        ("inner/.git/HEAD", "status"),
        ("elsewhere/commondir", "status"),
        (".git/objects/pack/multi-pack-index", "log"),
    ],
)
def test_git_waits_for_no_planted_pipe(repository: Path, path: str, command: str) -> None:
    (repository / "deep" / "er").mkdir(parents=True)
    (repository / "deep" / "er" / "file").write_text("x\n")
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-q", "-m", "second")
    for name, inside in (("inner", ""), ("pointing", "../elsewhere")):
        (repository / name).mkdir()
        run_git(
            repository / name, "init", "-q", *([f"--separate-git-dir={inside}"] if inside else [])
        )
    os.mkfifo(repository / "plain")  # which git opens by no name
    assert git(repository, command).exit_code == 0, "the control: without it git has an answer"
    pipe = repository / path
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(SandboxError, match=re.escape(repr(path))) as raised:
        git(repository, command)
    assert "pipe or a device" in raised.value.cause


def test_a_link_to_a_pipe_is_a_pipe_to_git(repository: Path) -> None:
    os.mkfifo(repository / "plain")
    (repository / ".gitignore").symlink_to("plain")
    with pytest.raises(SandboxError, match=r"'\.gitignore' in .* is a pipe or a device"):
        git(repository, "status")
    (repository / ".gitignore").unlink()
    (repository / ".gitignore").symlink_to("a.txt")
    assert git(repository, "status").exit_code == 0


def test_a_plain_git_would_wait_for_a_planted_pipe(repository: Path) -> None:
    os.mkfifo(repository / ".gitattributes")
    line = ["git", "-c", "safe.directory=*", "status"]
    with subprocess.Popen(line, cwd=repository, stdout=subprocess.DEVNULL) as process:
        # Opening the other end waits until somebody reads, and shows that git does.
        os.close(os.open(repository / ".gitattributes", os.O_WRONLY))
    assert process.returncode is not None


def test_git_looks_for_pipes_in_folders_deeper_than_python_recurses(repository: Path) -> None:
    here = os.open(repository, os.O_RDONLY)
    for _ in range(1_100):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert find_blocking(repository) is None
    os.mkfifo(repository / "d" / "d" / ".gitignore")
    assert find_blocking(repository) == "d/d/.gitignore"
    subprocess.run(["rm", "-r", repository / "d"], check=True)  # pytest would recurse, too


def test_git_runs_no_command_that_changes(repository: Path) -> None:
    for command in ("commit", "checkout", "fetch", "gc", "config", "upload-pack"):
        with pytest.raises(SandboxError, match="not run over a workspace"):
            git(repository, command)
