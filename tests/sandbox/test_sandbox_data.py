"""Data in and out: values, tables, figures, files, packages, states of the workspace."""

import asyncio
import hashlib
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from wardian_sandbox import (
    Artefact,
    Checkpoints,
    Confinement,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SandboxError,
    SupervisedSandbox,
    Unconfined,
    transfer,
)
from wardian_sandbox.library import Box, Bubblewrap
from wardian_sandbox.types import CLAIM

Python = Callable[..., list[ExecResult]]
Work = Callable[..., Any]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=60.0))
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(params=["bubblewrap"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def needs(module: str) -> None:
    check = [SYSTEM_PYTHON, "-I", "-c", f"import {module}"]
    if subprocess.run(check, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"the system's Python has no {module}")


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("1 + 1", 2),
        ("{'a': [1, (2.5, None)], 3: True}", {"a": [1, [2.5, None]], "3": True}),
        ("float('inf'), float('nan')", [None, None]),
        ("import datetime; datetime.date(2026, 1, 2)", "2026-01-02"),
        ("import decimal; [decimal.Decimal('1.10')]", ["1.10"]),
        ("{1, 2}", None),
        ("object()", None),
        ("list(range(100_000))", None),
        ("'\\ud800'", None),
        ("{(1, 2): 3}", None),
    ],
)
def test_a_value_has_its_json_form_or_none(python: Python, code: str, data: object) -> None:
    result = python(code)[0]
    assert result.error is None
    assert result.data == data


def test_which_fields_are_claims_is_in_their_types() -> None:
    hints = get_type_hints(ExecResult, include_extras=True)
    claims = {name for name, hint in hints.items() if CLAIM in getattr(hint, "__metadata__", ())}
    assert claims == {"value", "data", "error", "figures"}


def test_a_data_frame_is_readable_and_json(python: Python) -> None:
    needs("pandas")
    frame = "import pandas as pd; df = pd.DataFrame({'a': range(3), 'b': [.5, None, 1]}); df"
    small, column, large = python(frame, "df['a']", "pd.DataFrame({'n': range(9999)})")
    assert str(small.value).splitlines()[0].split() == ["a", "b"]
    assert "[3 rows x 2 columns]" in str(small.value)
    assert small.data == {
        "columns": ["a", "b"],
        "index": [0, 1, 2],
        "rows": [[0.0, 0.5], [1.0, None], [2.0, 1.0]],
        "row_count": 3,
    }
    assert column.data["columns"] == ["a"]
    assert len(str(large.value).splitlines()) < 60
    assert (large.data["row_count"], len(large.data["rows"])) == (9999, 50)


def test_open_figures_come_out_and_are_closed(python: Python) -> None:
    needs("matplotlib")
    draw = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]); plt.show()\nplt.figure()\n"
        "plt.bar([1], [2]); plt.get_backend().lower()"
    )
    drawn, after = python(draw, "plt.get_fignums()", within=PLENTY)
    assert (drawn.value, drawn.output) == ("'agg'", "")
    assert [f.reference.path for f in drawn.figures] == ["figure-1.png", "figure-2.png"]
    assert all(f.content.startswith(b"\x89PNG") for f in drawn.figures)
    assert (after.value, after.figures) == ("[]", ())


def test_a_figure_that_cannot_be_drawn_is_said(python: Python) -> None:
    needs("matplotlib")
    broken, after = python(
        "import matplotlib.pyplot as plt\n_ = plt.title('$\\\\nonsense{$')", "1", within=PLENTY
    )
    assert "a figure could not be drawn" in broken.output
    assert (broken.figures, after.value) == ((), "1")


@pytest.mark.parametrize("size", [0, 5, 9 << 20])
def test_a_file_goes_in_and_comes_out_the_same(work: Work, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    source = tmp_path / "source.png"
    source.write_bytes(content)

    async def do(box: SupervisedSandbox) -> tuple[Any, Any, Any]:
        put = await box.put("a/b/c.png", source, PLENTY)
        return put, await box.refer("a/b/c.png", PLENTY), await box.get("a/b/c.png", PLENTY)

    put, referred, got = work(do)
    assert isinstance(got, Artefact)
    assert got.content == content
    assert put == referred == got.reference
    assert put.sha256 == hashlib.sha256(content).hexdigest()
    assert (put.size_bytes, put.mime) == (size, "image/png")


def test_what_cannot_be_put_or_got_is_a_failure(work: Work, workspace: Path) -> None:
    narrow = Confinement(readable=("src/**",), writable=("src/**",), limits=PLENTY.limits)

    async def do(box: SupervisedSandbox) -> list[Any]:
        return [
            await box.get("gone", PLENTY),
            await box.get("src", PLENTY),
            await box.get("notes.txt", narrow),
            await box.get("notes.txt", PLENTY, max_bytes=5),
            await box.put("src", b"", PLENTY),
            await box.put("new", b"", narrow),
            await box.put("notes.txt/x", b"", PLENTY),
        ]

    codes = [result.code for result in work(do)]
    assert codes == ["missing", "is_directory", "denied", "too_large", "is_directory", "denied",
                     "not_directory"]  # fmt: skip
    assert sorted(path.name for path in workspace.iterdir()) == [".hidden", "notes.txt", "src"]


def test_of_a_file_that_is_too_large_the_size_is_asked_and_no_more(work: Work) -> None:
    async def do(box: SupervisedSandbox) -> tuple[Any, int]:
        asked: list[str] = []

        async def file(operation: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            asked.append(operation)
            return await box.file(operation, arguments, PLENTY)

        await box.shell("truncate -s 900M big", PLENTY)
        got = await transfer.get(file, "big", transfer.MAX_BYTES)
        await box.shell("rm big", PLENTY)
        return got, len(asked)

    got, asked = work(do)
    assert (got.code, asked) == ("too_large", 1)


def make_wheel(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "answer = 42\n")
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")  # fmt: skip
        wheel.writestr(f"{info}/RECORD", "")


def test_a_package_is_installed_for_one_box_alone(work: Work, tmp_path: Path) -> None:
    needs("pip")
    make_wheel(tmp_path, "wardian_test_package")
    use = "import wardian_test_package as p; p.answer"

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, str, ExecResult]:
        before = await box.python(use, PLENTY)
        done = await box.install(["wardian_test_package==1.0"], PLENTY, wheels=tmp_path)
        assert (done.exit_code, done.output) == (0, "")
        after = await box.python(use, PLENTY)
        script = await box.shell(f"python3 -c '{use.replace('p.answer', 'print(p.answer)')}'")
        async with await box.fresh() as other:
            return before, after, script.output, await other.python(use, PLENTY)

    before, after, script, other = work(do)
    assert "ModuleNotFoundError" in str(before.error)
    assert (after.value, script) == ("42", "42\n")
    assert "ModuleNotFoundError" in str(other.error)


@pytest.mark.parametrize("name", ["--index-url=x", "-e .", "a b", "x @ file:///x", "../x", "x;y"])
def test_only_names_and_versions_are_installed(work: Work, name: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="name and version"):
        work(lambda box: box.install([name], PLENTY, wheels=tmp_path))


def test_an_install_without_a_network_is_refused_with_a_remedy(work: Work) -> None:
    with pytest.raises(SandboxError, match="Allow the hosts of an index"):
        work(lambda box: box.install(["six"], PLENTY))


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_a_workspace_goes_back_to_what_it_was(
    work: Work, workspace: Path, tmp_path: Path, mode: str
) -> None:
    before = contents(workspace)
    change = "rm -r src; echo more >> notes.txt; mkdir -p n/e/w; echo x > n/e/w/f; ln -s n l"

    async def do(box: SupervisedSandbox) -> tuple[Any, str]:
        await box.python("kept = 1", PLENTY)
        state = await box.checkpoint()
        await box.shell(change, PLENTY)
        second = await box.checkpoint()
        changes = await box.restore(state)
        await box.fork(second, tmp_path / "fork")
        listed = await box.shell("find . -type f | sort; find . -type l", PLENTY)
        fresh = await box.python("'kept' in globals()", PLENTY)
        assert fresh.value == "False"
        return changes, listed.output

    changes, listed = work(do, PLENTY, mode)
    assert listed.split() == [f"./{path}" for path in sorted(before)]
    assert contents(workspace) == before
    assert [c.path for c in changes] == ["l", "n/e/w/f", "notes.txt", "src/main.py"]
    assert (tmp_path / "fork" / "l").is_symlink()
    assert (tmp_path / "fork" / "notes.txt").read_text().endswith("more\n")
    assert not (tmp_path / "fork" / "src").exists()


def test_going_back_tells_of_no_placeholder_for_what_is_protected(
    work: Work, workspace: Path
) -> None:
    within = Confinement(protected=(".envrc", ".git/config", ".git/hooks/**"))

    async def do(box: SupervisedSandbox) -> tuple[Any, Any]:
        state = await box.checkpoint()
        await box.shell("echo more >> notes.txt", within)
        return await box.restore(state), await box.diff()

    before = contents(workspace)
    restored, left = work(do, within)
    assert [(change.path, change.kind) for change in restored] == [("notes.txt", "modified")]
    assert {change.path for change in left} <= {"notes.txt"}  # its time is another
    assert contents(workspace) == before


def test_states_share_what_did_not_change_and_nothing_with_the_workspace(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for name in ("same", "other"):
        (workspace / name).write_text(name)
    states = Checkpoints(tmp_path / "states")
    first = states.save(workspace)
    (workspace / "other").write_text("changed")
    second = states.save(workspace)
    inodes = {
        (state, name): (state.tree / name).stat().st_ino
        for state in (first, second)
        for name in ("same", "other")
    }
    assert inodes[first, "same"] == inodes[second, "same"] != (workspace / "same").stat().st_ino
    assert inodes[first, "other"] != inodes[second, "other"]
    with (workspace / "same").open("a") as file:
        file.write("!")
    assert (second.tree / "same").read_text() == "same"
    assert states.restore(second, workspace)
    assert states.restore(second, workspace) == ()
    states.fork(first, tmp_path / "fork")
    assert contents(tmp_path / "fork") == {"same": "same", "other": "other"}


@pytest.mark.parametrize("kind", [Bubblewrap, Unconfined])
def test_a_box_without_a_folder_has_one_of_its_own(kind: type[Box]) -> None:
    async def scenario() -> str:
        async with kind() as sandbox:
            assert (await sandbox.python("1 + 1")).value == "2"
            assert not isinstance(await sandbox.put("x", b"y"), FileFailure)
            return (await sandbox.shell("pwd")).output.strip()

    assert not Path(asyncio.run(scenario()), "x").exists()


def test_a_box_holds_calls_to_what_it_was_opened_with() -> None:
    async def scenario() -> ExecResult:
        within = Confinement(limits=ResourceLimits(wall_seconds=0.5))
        async with Bubblewrap(confinement=within) as sandbox:
            return await sandbox.python("while True: pass")

    assert asyncio.run(scenario()).ending.value == "timed_out"
