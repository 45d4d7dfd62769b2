"""What is hidden from a box: neither code nor file operations see it, and it stays as it is."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    FileFailure,
    ResourceLimits,
    SandboxError,
    SupervisedSandbox,
    open_sandbox,
)
from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID
from wardian_sandbox.docker.backend import open_docker
from wardian_sandbox.hiding import MAX_COVERS, Hiding
from wardian_sandbox.workspace import MountedWorkspace

HIDES = Confinement(
    hidden=(".env", "**/*.pem", ".ssh/**", "keys"), limits=ResourceLimits(wall_seconds=30.0)
)
MARK = "xq-7431-private"


@pytest.fixture(params=["bubblewrap", "docker", "gvisor"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    return prepared(str(request.param))


@pytest.fixture
def workspace(workspace: Path) -> Path:
    for name in (".env", "deep/er/a.PEM", ".ssh/id", "keys/one/two", "real.txt"):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {MARK}\n")
    (workspace / "link.pem").symlink_to("real.txt")
    (workspace / "way").symlink_to(".ssh")
    return workspace


def contents(workspace: Path) -> dict[str, str]:
    files = (path for path in workspace.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): path.read_text() for path in files}


def reading(path: str) -> str:
    return f"import pathlib; print(pathlib.Path({path!r}).read_text())"


PRIVATE = (".env", "deep/er/a.PEM", ".ssh/id", "keys/one/two", "real.txt", "link.pem", "way/id")


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_code_sees_nothing_of_what_is_hidden(work: Callable[..., Any], mode: str) -> None:
    async def look(box: SupervisedSandbox) -> list[str]:
        found = [await box.shell("grep -ra xq- . ; cat notes.txt; find . -name two")]
        found += [await box.shell(f"cat {path}") for path in PRIVATE]
        found += [await box.python(reading(path)) for path in PRIVATE]
        return [f"{one.output}{one.error}" for one in found]

    seen = work(look, HIDES, mode)
    assert "alpha" in seen[0]
    assert not any(MARK in text or "two" in seen[0] for text in seen)


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_nor_do_file_operations(work: Callable[..., Any], mode: str) -> None:
    async def look(box: SupervisedSandbox) -> list[Any]:
        found: list[Any] = [await box.file("read", {"path": path}) for path in PRIVATE]
        found.append(await box.file("search", {"pattern": "xq-"}))
        found.append(await box.file("list", {"path": ".", "pattern": "**"}))
        return found

    *read, search, listed = work(look, HIDES, mode)
    assert all(isinstance(one, FileFailure) for one in read)
    assert {one.code for path, one in zip(PRIVATE, read, strict=True) if path != "link.pem"} == {
        "hidden"
    }
    assert search["matches"] == []
    assert "notes.txt" in str(listed)
    assert "two" not in str(listed)


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_nothing_takes_its_place(work: Callable[..., Any], workspace: Path, mode: str) -> None:
    before = contents(workspace)

    async def try_to(box: SupervisedSandbox) -> Any:
        for command in (
            "echo mine > .env",
            "rm -rf .env keys .ssh deep/er/a.PEM",
            "mv .env other",
            "chmod 644 .env; cat .env",
            "mkdir -p keys/one; echo mine > keys/one/two",
            "ln -f .env hard; cat hard",
            "umount .env; mount -t tmpfs none keys",
            "mv deep deeper; cat deeper/er/a.PEM > taken",
            "mv deep/er elsewhere; mv deep node_modules",
        ):
            said = await box.shell(command)
            assert MARK not in said.output
        written = await box.file("write", {"path": ".env", "content": "mine"})
        await box.apply()
        return written

    written = work(try_to, HIDES, mode)
    after = contents(workspace)
    assert isinstance(written, FileFailure)
    assert written.code == "hidden"
    assert {name: after.get(name) for name in before} == before
    assert not any(MARK in text for name, text in after.items() if name not in before)


def test_what_is_hidden_counts_as_no_change(work: Callable[..., Any]) -> None:
    async def change(box: SupervisedSandbox) -> Any:
        await box.shell("echo more > new.txt; cat .env")
        return await box.diff()

    assert [one.path for one in work(change, HIDES)] == ["new.txt"]


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_a_file_of_such_a_name_may_be_made_where_there_is_none(
    work: Callable[..., Any], workspace: Path, mode: str
) -> None:
    async def make(box: SupervisedSandbox) -> tuple[str, str]:
        await box.shell("echo made > own.pem")
        await box.apply()
        first = await box.shell("cat own.pem")
        await box.file("write", {"path": "own.pem", "content": "again"})
        await box.apply()
        return first.output, (await box.shell("cat own.pem")).output

    assert work(make, HIDES, mode) == ("made\n", "again")
    assert (workspace / "own.pem").read_text() == "again"


def test_what_is_shown_later_is_seen_and_the_rest_not(backend: str, workspace: Path) -> None:
    async def scenario() -> list[str]:
        async with await open_sandbox(backend, workspace, HIDES, shows_later=True) as box:
            said = [await box.shell("cat .env .ssh/id")]
            await box.show([".env"])
            said.append(await box.shell("cat .env .ssh/id; echo more >> .env"))
            said.append(await box.shell("cat link.pem keys/one/two"))
            await box.show([".ssh", "keys/one", "link.pem"])
            said.append(await box.shell("cat .ssh/id keys/one/two link.pem"))
            assert [one.path for one in await box.diff()] == [".env"]
            return [one.output for one in said]

    first, second, third, last = asyncio.run(scenario())
    assert MARK not in first + third
    assert second.count(MARK) == 1
    assert last.count(MARK) == 3
    assert (workspace / ".env").read_text() == f".env {MARK}\nmore\n"


def test_what_is_mounted_cannot_be_shown_later(work: Callable[..., Any], backend: str) -> None:
    if backend == "gvisor":
        pytest.skip("its workspace is always a copy")

    async def show(box: SupervisedSandbox) -> None:
        if box.identity.detail["workspace"] != "mount":
            await box.show([".env"])
            raise SandboxError("A copy could.")
        await box.show([".env"])

    with pytest.raises(SandboxError):
        work(show, HIDES)


@pytest.mark.parametrize("before", [True, False], ids=["before", "during"])
def test_what_a_call_saw_of_a_hidden_file_that_was_replaced_is_dropped(
    work: Callable[..., Any], workspace: Path, before: bool
) -> None:
    def replace_it() -> None:
        (workspace / "new").write_text(f"new {MARK}\n")
        (workspace / "new").rename(workspace / ".env")

    async def said(box: SupervisedSandbox, command: str) -> str:
        try:
            return (await box.shell(command)).output
        except SandboxError as error:
            assert ".env" in error.cause  # noqa: PT017 - a copy goes on
            return ""

    async def replace(box: SupervisedSandbox) -> str:
        await box.shell("true")
        if before:
            replace_it()
            return await said(box, "cat .env")
        going_on = asyncio.create_task(
            said(box, "touch on; for i in 1 2 3 4; do cat .env; sleep 0.5; done")
        )
        while not (workspace / "on").exists() and not going_on.done():
            await asyncio.sleep(0.01)
        replace_it()
        return await going_on

    assert MARK not in work(replace, HIDES)


def test_docker_covers_it_where_the_folder_is_mounted(workspace: Path, docker_image: str) -> None:
    """For root it is always carried, so this is what an ordinary user gets."""
    for path in (workspace, *workspace.rglob("*")):
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID, follow_symlinks=False)
    before = contents(workspace)

    async def scenario() -> str:
        mounted = MountedWorkspace(workspace, hidden=Hiding(workspace, HIDES.hidden).look())
        box = await open_docker(
            mounted, HIDES, backend="docker", user=UNPRIVILEGED_ID, image=docker_image
        )
        async with box:
            seen = await box.shell("cat .env keys/one/two .ssh/id real.txt notes.txt")
            await box.shell(
                "rm -rf .env keys .ssh; echo mine > .env; echo mine > keys/x; mv keys k"
            )
            return seen.output

    seen = asyncio.run(scenario())
    assert "alpha" in seen
    assert MARK not in seen
    assert contents(workspace) == before


def test_another_box_hides_it_too(work: Callable[..., Any]) -> None:
    async def look(box: SupervisedSandbox) -> str:
        async with await box.fresh() as other:
            return (await other.shell("cat .env keys/one/two; cat notes.txt")).output

    seen = work(look, HIDES)
    assert MARK not in seen
    assert "alpha" in seen


def test_more_than_can_be_mounted_over_is_copied_around(
    work: Callable[..., Any], workspace: Path
) -> None:
    for number in range(MAX_COVERS + 1):
        (workspace / f"{number}.pem").write_text(MARK)

    async def look(box: SupervisedSandbox) -> tuple[str, str]:
        said = await box.shell("cat *.pem; echo changed > notes.txt")
        return said.output, box.identity.detail["workspace"]

    seen, mode = work(look, HIDES)
    assert MARK not in seen
    assert mode == "synchronised"
    assert (workspace / "notes.txt").read_text() == "changed\n"


def test_a_name_that_is_no_text_is_hidden(work: Callable[..., Any], workspace: Path) -> None:
    (workspace / os.fsdecode(b"\xff.pem")).write_text(MARK)

    async def look(box: SupervisedSandbox) -> str:
        return (await box.shell("cat *.pem notes.txt")).output

    seen = work(look, HIDES)
    assert MARK not in seen
    assert "alpha" in seen


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        ((), []),
        ((".env",), [".env"]),
        ((".ENV", "Keys/**"), [".env", "keys"]),
        (("**/*.pem",), ["deep/er/a.PEM", "real.txt"]),
        (("deep/*/a.*",), ["deep/er/a.PEM"]),
        (("deep/*",), ["deep/er"]),
        (("**/er/**/a.pem",), ["deep/er/a.PEM"]),
        (("node_modules/m/**",), ["node_modules/m"]),
        (("**/x.pem", "node_modules/n/*.pem"), ["node_modules/n/x.pem"]),
    ],
)
def test_what_globs_hide(workspace: Path, globs: tuple[str, ...], expected: list[str]) -> None:
    for name in ("node_modules/m/x.pem", "node_modules/n/x.pem", ".venv/x.pem"):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(Hiding(workspace, globs).look()) == expected
