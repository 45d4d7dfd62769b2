"""git on the host over a folder that a guest could write, running nothing that was planted there.

A repository can name programs in dozens of settings (hooks, core.fsmonitor, filters, diff drivers,
ssh, pagers, signatures), some under names of its own choosing, so that they cannot be switched off
one by one. Here git never sees the repository's settings: it gets an empty repository folder of
ours, with HEAD, refs and index copied in as data, and reads the objects where they are.

Covers: settings, hooks, attributes that name programs, submodules, includes, the user's and the
system's settings, credentials, network transports; pipes and devices that would keep git waiting,
which are refused (`wardian_sandbox.blocking`). Only commands that look are allowed.
Does not cover: a `.git` that is a file or a link (worktrees, submodules), which is refused; faults
of git itself in reading hostile objects; a `git` that a person runs in the folder; what a guest
that still runs puts there meanwhile, for which there is a time limit.
"""

import os
import re
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.blocking import find_blocking
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.snapshot import FOLDER

TIMEOUT_SECONDS = 60.0
MAX_OUTPUT_BYTES = 16 << 20
MAX_FILE_BYTES = 256 << 20
MAX_REFS = 50_000
MAX_DEPTH = 32
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

QUIET = ("--ignore-submodules=all", "--no-ext-diff", "--no-textconv")
COMMANDS: dict[str, tuple[str, ...]] = {
    "diff": QUIET,
    "log": QUIET,
    "ls-files": (),
    "rev-parse": (),
    "show": QUIET,
    "status": ("--ignore-submodules=all",),
}
"""What may be run, and the options that go with it whatever the caller says."""
DATA = ("HEAD", "packed-refs", "index", "shallow")
HARMLESS = re.compile(r"(core\.(autocrlf|filemode|ignorecase|symlinks)|extensions\.objectformat)")
"""Settings of the repository that say what its files are, and run nothing."""
VALUE = re.compile(r"[A-Za-z0-9]{1,20}")
OURS = {
    "core.attributesFile": "/dev/null",
    "core.bare": "false",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.repositoryFormatVersion": "1",
    "core.untrackedCache": "false",
    "diff.ignoreSubmodules": "all",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
}
ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResult:
    """What git said. The guest's text may be in it: file names, messages, contents."""

    exit_code: int
    output: bytes
    """At most MAX_OUTPUT_BYTES of it"""
    errors: str


def git(workspace: Path, command: str, *arguments: str) -> GitResult:
    """Run a git command that only looks: diff, log, ls-files, rev-parse, show, status.

    Raises: SandboxError when there is no git, no plain repository, another command is asked for, or
    something in the folder would keep git waiting.
    """
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise SandboxError(f"git {command} is not run over a workspace.", f"There are {known}.")
    with tempfile.TemporaryDirectory(prefix="wardian-git-") as folder:
        private = Path(folder, "git")
        repository = _open_repository(workspace)
        try:
            _refuse_blocking(workspace)
            objects = _prepare(repository, private)
        finally:
            os.close(repository)
        try:
            line = ["git", command, *COMMANDS[command], *arguments]
            return _run(line, workspace, private, objects)
        finally:
            os.close(objects)


def _open_repository(workspace: Path) -> int:
    try:
        return os.open(workspace / ".git", FOLDER)
    except OSError as problem:
        raise SandboxError(
            f"{workspace} has no plain git repository ({problem.strerror}).",
            "Worktrees and submodules, whose .git is a file, are not looked into.",
        ) from problem


def _refuse_blocking(workspace: Path) -> None:
    """Raises: SandboxError naming what git would wait for."""
    if (path := find_blocking(workspace)) is not None:
        raise SandboxError(
            f"{path!r} in {workspace} is a pipe or a device, and git would wait for it for ever.",
            "Remove it: git reads what has that name, and no repository has such a thing there.",
        )


def _prepare(repository: int, private: Path) -> int:
    """Fill the private repository folder; a descriptor of the guest's objects."""
    (private / "objects").mkdir(parents=True)
    (private / "refs").mkdir()
    (private / "info").mkdir()
    for name in DATA:
        _copy(repository, name, private / name)
    _copy_refs(repository, "refs", private / "refs", MAX_DEPTH, [MAX_REFS])
    settings = {**_settings(repository, private), **OURS}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        with (private / "config").open("a") as file:
            file.write(f"[{section}]\n\t{key} = {value}\n")
    objects = os.open("objects", FOLDER, dir_fd=repository)
    # Linked one by one, so that `info/alternates`, which leads elsewhere, is not among them.
    for name in os.listdir(objects):  # noqa: PTH208 - by descriptor
        if name == "pack" or re.fullmatch("[0-9a-f]{2}", name):
            (private / "objects" / name).symlink_to(f"/proc/self/fd/{objects}/{name}")
    return objects


def _copy(folder: int, name: str, target: Path) -> None:
    """A regular file, if it is one; never what a link leads to."""
    try:
        fd = os.open(name, READ, dir_fd=folder)
    except OSError:
        return
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_FILE_BYTES:
            target.write_bytes(file.read(MAX_FILE_BYTES))
            # By the index's time git knows which files may have changed since in the same second.
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_refs(folder: int, name: str, target: Path, depth: int, left: list[int]) -> None:
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except OSError:
        return
    try:
        for entry in os.listdir(fd):  # noqa: PTH208 - by descriptor
            left[0] -= 1
            if left[0] < 0 or depth == 0:
                return
            status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                (target / entry).mkdir()
                _copy_refs(fd, entry, target / entry, depth - 1, left)
            elif stat.S_ISREG(status.st_mode):
                _copy(fd, entry, target / entry)
    finally:
        os.close(fd)


def _settings(repository: int, private: Path) -> dict[str, str]:
    """The harmless settings of the repository, read as data and without what it includes."""
    copy = private / "untrusted"
    _copy(repository, "config", copy)
    if not copy.exists():
        return {}
    listed = _git(["git", "config", "--file", str(copy), "--no-includes", "--null", "--list"])
    copy.unlink()
    pairs = (item.partition("\n") for item in listed.output.decode("utf-8", "replace").split("\0"))
    return {
        name: value
        for name, _, value in pairs
        if HARMLESS.fullmatch(name) and VALUE.fullmatch(value)
    }


def _run(line: list[str], workspace: Path, private: Path, objects: int) -> GitResult:
    places = {"GIT_DIR": str(private), "GIT_WORK_TREE": str(workspace)}
    try:
        return _git(line, workspace, (objects,), **places)
    except SandboxError:
        _refuse_blocking(workspace)  # put there since the first look
        raise


def _git(
    line: list[str], folder: Path | None = None, descriptors: tuple[int, ...] = (), **more: str
) -> GitResult:
    """Raises: SandboxError."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                line,
                cwd=folder,
                env=ENVIRONMENT | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=descriptors,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except FileNotFoundError as problem:
            remedy = "Install it with 'sudo apt-get install git'."
            raise SandboxError("git is not installed.", remedy) from problem
        except subprocess.TimeoutExpired as problem:
            raise SandboxError(
                f"git took more than {TIMEOUT_SECONDS:g} s over the workspace.",
                "Look at fewer files, and not while something still runs there.",
            ) from problem
        output.seek(0)
        errors.seek(0)
        return GitResult(
            exit_code=done.returncode,
            output=output.read(MAX_OUTPUT_BYTES),
            errors=errors.read(4000).decode("utf-8", "replace"),
        )
