"""Boxes opened ahead, on every backend."""

import asyncio
from pathlib import Path

import pytest

from wardian_sandbox import (
    Confinement,
    ResourceLimits,
    SandboxLost,
    SandboxPool,
    SandboxUnavailable,
    open_sandbox,
)

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_a_pooled_box_has_what_the_folder_has_when_it_is_given_out(
    backend: str, workspace: Path, mode: str
) -> None:
    async def scenario() -> tuple[str, list[str]]:
        async with SandboxPool(backend, workspace, PLENTY, mode=mode) as pool:
            await pool.warm()
            (workspace / "notes.txt").write_text("edited meanwhile\n")
            (workspace / "src" / "main.py").unlink()
            async with await pool.open() as box:
                output = (await box.shell("cat notes.txt; echo src/*; echo x > new", PLENTY)).output
                return output, [change.path for change in await box.diff()]

    output, changed = asyncio.run(scenario())
    assert output == "edited meanwhile\nsrc/*\n"
    assert changed == ["new"]
    assert (workspace / "new").exists() == (mode == "mount")


def test_no_box_is_given_out_twice(backend: str, workspace: Path) -> None:
    async def scenario() -> list[str | None]:
        values: list[str | None] = []
        async with SandboxPool(backend, workspace, PLENTY) as pool:
            for _ in range(3):
                async with await pool.open() as box:
                    values.append((await box.python("'kept' in globals()", PLENTY)).value)
                    await box.python("kept = 1", PLENTY)
        return values

    assert asyncio.run(scenario()) == ["False"] * 3


def test_a_box_that_was_lost_while_it_waited_is_not_given_out(
    backend: str, workspace: Path
) -> None:
    async def scenario() -> str | None:
        async with SandboxPool(backend, workspace, PLENTY, size=2) as pool:
            await pool.warm()
            one = await pool.open()
            await one.close()
            with pytest.raises(SandboxLost):
                await one.python("1", PLENTY)
            async with await pool.open() as another:
                return (await another.python("20 + 22", PLENTY)).value

    assert asyncio.run(scenario()) == "42"


def test_closing_a_pool_leaves_nothing(
    backend: str, workspace: Path, staging: Path, family: object
) -> None:
    async def scenario() -> None:
        async with SandboxPool(backend, workspace, PLENTY, size=3) as pool:
            await (await pool.open()).close()
            # Left at once: some are still being opened.

    asyncio.run(scenario())
    assert callable(family)
    assert family() == []
    assert list(staging.iterdir()) == []


def test_what_keeps_a_box_from_opening_is_raised_to_who_wants_one(workspace: Path) -> None:
    async def scenario() -> None:
        async with SandboxPool("chroot", workspace, PLENTY) as pool:
            with pytest.raises(SandboxUnavailable, match="no sandbox 'chroot'"):
                await pool.open()

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", range(8))
def test_an_opening_that_is_cancelled_at_any_moment_leaves_nothing(
    backend: str, workspace: Path, staging: Path, family: object, moment: int
) -> None:
    async def scenario() -> None:
        opening = asyncio.create_task(open_sandbox(backend, workspace, PLENTY))
        await asyncio.wait((opening,), timeout=moment * 0.02)
        opening.cancel()
        for done in await asyncio.gather(opening, return_exceptions=True):
            if not isinstance(done, BaseException):
                await done.close()

    asyncio.run(scenario())
    assert callable(family)
    assert family() == []
    assert list(staging.iterdir()) == []
