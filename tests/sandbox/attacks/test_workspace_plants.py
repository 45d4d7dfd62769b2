"""What a guest leaves in the workspace for others to run: hooks, settings, modules."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wardian_sandbox
from wardian_sandbox import Confinement, ExecResult, FileFailure, ResourceLimits, SupervisedSandbox

Work = Callable[..., Any]
LIMITS = ResourceLimits(wall_seconds=30.0)
PROTECTED = (
    *(".git/config", ".git/commondir", ".git/hooks/**", ".git/modules/**"),
    *(".envrc", ".mcp.json", "deep/er/settings"),
)
OPEN, CLOSED = Confinement(limits=LIMITS), Confinement(protected=PROTECTED, limits=LIMITS)
NOBODY = 65534
ATTACKS = {
    "config": "mkdir -p .git && echo evil > .git/config",
    "other-config": "mkdir -p .git evil && echo > evil/config && echo ../evil > .git/commondir",
    "module": "mkdir -p .git/modules/a && echo evil > .git/modules/a/config",
    "hook": "mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit",
    "hooks-link": "mkdir -p x .git && echo evil > x/pre-commit && ln -s ../x .git/hooks",
    "git-link": "mkdir -p x/hooks && echo evil > x/hooks/pre-commit && ln -s x .git",
    "git-file": "mkdir -p x/hooks && echo evil > x/hooks/pre-commit && echo 'gitdir: x' > .git",
    "git-moved": "mkdir -p y/hooks && echo evil > y/hooks/pre-commit && mv .git old; mv y .git",
    "environment": "echo evil > .envrc",
    "environment-link": "echo evil > evil && ln -s evil .envrc",
    "tools": "echo evil > .mcp.json.new && mv .mcp.json.new .mcp.json",
    "deep": "mkdir -p deep/er && echo evil > deep/er/settings",
    "deep-link": "mkdir -p z && echo evil > z/settings && mkdir -p deep && ln -s ../z deep/er",
}
PLANTED = (
    *(".git/config", ".git/commondir", ".git/hooks/pre-commit", ".git/modules/a/config"),
    *(".envrc", ".mcp.json", "deep/er/settings"),
)


def planted(workspace: Path) -> list[str]:
    """Where a program of the host, which follows links, would find what was planted."""
    found = [path for path in PLANTED if "evil" in _text(workspace / path)]
    if _text(workspace / ".git").startswith("gitdir:"):
        found.append(".git")
    return found


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("is_there", [False, True], ids=["absent", "present"])
def test_nothing_protected_is_planted(
    work: Work, workspace: Path, attack: str, is_there: bool
) -> None:
    if is_there:
        (workspace / ".git" / "hooks").mkdir(parents=True)
        (workspace / ".git" / "config").write_text("mine")
    before = sorted(path.name for path in workspace.iterdir())
    work(lambda box: box.shell(ATTACKS[attack] + "; echo fine > fine", CLOSED), CLOSED)
    assert planted(workspace) == []
    assert (workspace / "fine").read_text() == "fine\n"
    if is_there:
        assert (workspace / ".git" / "config").read_text() == "mine"
    else:
        left = {path.name for path in workspace.iterdir()} - {*before, "fine"}
        assert left <= {"x", "y", "z", "old", "evil", ".mcp.json.new", "deep", ".git"}, left


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "git-moved"])
def test_without_protection_it_is_planted(work: Work, workspace: Path, attack: str) -> None:
    work(lambda box: box.shell(ATTACKS[attack], OPEN), OPEN)
    assert planted(workspace)


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("write", ".git"),
        ("write", ".git/config"),
        ("write", ".GIT/Config"),
        ("write", ".git/hooks/a/b"),
        ("put", ".git"),
        ("put", "deep"),
        ("put", "deep/er"),
        ("write", "x/.git/config"),
        ("write", "l/config"),
    ],
)
def test_file_tools_plant_nothing_protected(work: Work, operation: str, path: str) -> None:
    patterns = (*PROTECTED, "**/.git/config")
    closed = Confinement(protected=patterns, limits=LIMITS)

    async def do(box: SupervisedSandbox) -> list[Any]:
        await box.shell("mkdir -p .git 2>/dev/null; ln -s .git l", closed)
        results: list[Any] = []
        for within in (closed, OPEN):
            if operation == "put":
                results.append(await box.put(path, b"gitdir: x", within))
            else:
                given = {"path": path, "content": "gitdir: x"}
                results.append(await box.file("write", given, within))
        return results

    attack, twin = work(do)
    assert isinstance(attack, FileFailure)
    assert attack.code in ("protected", "is_directory")
    assert not isinstance(twin, FileFailure) or twin.code in ("is_directory", "denied")


# A mounted workspace is an ordinary user's; root's is carried to and fro.

SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from wardian_sandbox import Confinement, open_sandbox

async def main():
    folder, protected, command = Path(sys.argv[1]), tuple(json.loads(sys.argv[2])), sys.argv[3]
    within = Confinement(protected=protected)
    async with await open_sandbox("bubblewrap", folder, within) as box:
        result = await box.shell(command, within)
        other = await open_sandbox("bubblewrap", folder, within)
        await other.close()
        again = await box.shell(command, within)
        seen = [str(path.relative_to(folder)) for path in folder.rglob("*")]
        diff = [change.path for change in await box.diff()]
        print(json.dumps([box.identity.detail["workspace"], result.output, seen, diff]))

asyncio.run(main())
"""


@pytest.fixture
def ordinary() -> Iterator[Callable[..., tuple[Path, Any]]]:
    """`ordinary(command, protected)`: a box around an ordinary user's folder; folder and report."""
    interpreter = _interpreter_of_anybody()
    if interpreter is None:
        pytest.skip("no Python of 3.11 or later that an ordinary user can run")
    with tempfile.TemporaryDirectory(prefix="wardian-plants-", dir="/tmp") as place:
        package = Path(str(wardian_sandbox.__file__)).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, Path(place, package.name), ignore=ignored)
        folder = Path(place, "workspace")
        folder.mkdir()
        Path(place).chmod(0o755)
        is_root = os.geteuid() == 0

        def running(command: str, protected: tuple[str, ...]) -> tuple[Path, Any]:
            if is_root:
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            result = subprocess.run(
                [interpreter, "-c", SCRIPT, str(folder), str(list(protected)).replace("'", '"'),
                 command],
                env={"PYTHONPATH": place, "PATH": "/usr/bin:/bin"},
                cwd=place,
                user=NOBODY if is_root else None,
                group=NOBODY if is_root else None,
                extra_groups=[] if is_root else None,
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
            assert result.returncode == 0, result.stderr
            return folder, json.loads(result.stdout)

        yield running


def _interpreter_of_anybody() -> str | None:
    """The one that runs this may lie in root's home."""
    for program in (sys.executable, "/usr/bin/python3"):
        ways = (Path(program).absolute(), Path(program).resolve())
        is_open = all(f.stat().st_mode & 0o001 for way in ways for f in (way, *way.parents))
        check = [program, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if (is_open or os.geteuid()) and subprocess.run(check, check=False).returncode == 0:
            return program
    return None


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_protected_is_planted_in_a_mounted_folder(
    ordinary: Callable[..., tuple[Path, Any]], attack: str
) -> None:
    folder, (mode, _, _, _) = ordinary(ATTACKS[attack] + "; echo fine > fine", PROTECTED)
    assert mode == "mount"
    assert planted(folder) == []
    assert (folder / "fine").exists()
    placeholders = (path.removesuffix("/**") for path in PROTECTED)
    assert not [path for path in placeholders if (folder / path).exists()], "they go with the box"


def test_a_mounted_folder_without_protection_is_planted(
    ordinary: Callable[..., tuple[Path, Any]],
) -> None:
    folder, (mode, _, _, _) = ordinary(ATTACKS["hook"], ())
    assert (mode, planted(folder)) == ("mount", [".git/hooks/pre-commit"])


def test_placeholders_are_no_changes_and_what_is_put_beside_them_stays(
    ordinary: Callable[..., tuple[Path, Any]],
) -> None:
    folder, (_, _, seen, diff) = ordinary("echo x > .git/HEAD; echo y > deep/mine", PROTECTED)
    assert ".git/config" in seen
    assert diff == [".git/HEAD", "deep/mine"]
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert left == [".git", ".git/HEAD", "deep", "deep/mine"]


def test_git_works_beside_the_placeholders_and_reads_no_planted_settings(
    work: Work, workspace: Path
) -> None:
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    canary = workspace.parent / "canary"
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], cwd=workspace, check=True)
    monitor = f"[core]\\n\\tfsmonitor = touch {canary} #\\n"
    plant = f"cp -r .git evil; printf '{monitor}' >> evil/config; echo ../evil > .git/commondir"
    inside = "git status --short && git log --oneline | cut -d' ' -f2"

    def status() -> str:
        return subprocess.check_output([*git, "status", "--short"], cwd=workspace, text=True)

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, str]:
        await box.shell(plant, CLOSED)
        return await box.shell(inside, CLOSED), status()

    said, outside = work(do, CLOSED)
    if said.exit_code != 127:  # the small image has no git
        assert said.output.endswith("\none\n"), said.output
        assert "?? evil/\n" in said.output
    assert "?? evil/\n" in outside
    assert "?? evil/\n" in status()
    assert not canary.exists()
    (workspace / ".git" / "commondir").write_text("../evil\n")
    subprocess.run([*git, "status"], cwd=workspace, capture_output=True, check=False)
    assert canary.exists(), "the control: what was planted would have run"


@pytest.mark.parametrize("patterns", [("**/.envrc",), (".env*",), ("linked/settings",)])
def test_what_no_mount_can_protect_is_carried_and_not_mounted(
    ordinary: Callable[..., tuple[Path, Any]], patterns: tuple[str, ...]
) -> None:
    command = "echo evil > .envrc; mkdir -p a linked; echo evil > a/.envrc; rm -f linked; "
    folder = ordinary("ln -s elsewhere linked; mkdir elsewhere", ())[0]
    folder, (mode, _, _, _) = ordinary(f"{command}; echo evil > linked/settings", patterns)
    assert mode == "synchronised"
    if patterns == ("linked/settings",):
        assert "evil" not in _text(folder / "linked" / "settings")
    else:
        assert not (folder / ".envrc").exists()
    if patterns == ("**/.envrc",):
        assert not (folder / "a" / ".envrc").exists()


MODULES = ("sitecustomize", "usercustomize", "json", "argparse", "asyncio", "typing", "wardian")


def test_a_module_planted_for_the_host_is_not_imported(
    work: Work, workspace: Path, tmp_path: Path
) -> None:
    """Neither by the supervisor of the next box, nor by the controller started in that folder."""
    canary = tmp_path / "canary"
    body = f"open({str(canary)!r}, 'w').close()"
    command = "; ".join(f'echo "{body}" > {name}.py' for name in MODULES)
    command += f'; mkdir wardian_sandbox; echo "{body}" > wardian_sandbox/__init__.py'
    command += f'; echo "import os; {body}" > evil.pth'
    work(lambda box: box.shell(command, OPEN), OPEN)

    async def look(box: SupervisedSandbox) -> ExecResult:
        return await box.python("import sys; sys.modules['json'].__file__", OPEN)

    assert "/workspace" not in str(work(look).value)
    program = "import wardian_sandbox, sys; print(wardian_sandbox.__file__)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    for flags, is_run in ((["-P"], False), ([], True)):
        line = [sys.executable, *flags, "-c", program]
        subprocess.run(line, cwd=workspace, env=environment, capture_output=True, check=False)
        assert canary.exists() is is_run, "the control: without -P it is"


def test_what_a_guest_makes_belongs_to_the_folders_owner(work: Work, workspace: Path) -> None:
    if os.geteuid() == 0:
        for path in (workspace, *workspace.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    owner = workspace.stat().st_uid
    work(lambda box: box.shell("echo x > new; mkdir -p a/b; ln -s new l; cp /bin/true p", OPEN))
    assert {path.lstat().st_uid for path in workspace.rglob("*")} == {owner}
    if os.geteuid() == 0:
        (workspace / "careless").write_text("x")
        assert (workspace / "careless").stat().st_uid == 0, "the control"
