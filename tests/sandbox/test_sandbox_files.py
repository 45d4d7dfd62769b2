"""File operations, on every backend."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import Confinement, FileFailure, ResourceLimits, SupervisedSandbox

File = Callable[..., Any]


def code_of(result: object) -> str:
    return result.code if isinstance(result, FileFailure) else f"not a failure: {result}"


def test_reading_gives_text_and_where_it_is(file: File) -> None:
    assert file("read", path="notes.txt") == {
        "text": "alpha\nbeta\ngamma\n",
        "start_line": 1,
        "end_line": 3,
        "total_lines": 3,
        "size_bytes": 17,
        "truncated": False,
    }


@pytest.mark.parametrize(
    "path", ["notes.txt", "./notes.txt", "src/../notes.txt", "/workspace/notes.txt"]
)
def test_a_path_may_be_spelled_in_several_ways(file: File, path: str) -> None:
    assert file("read", path=path)["total_lines"] == 3


@pytest.mark.parametrize(
    ("start", "end", "text", "last"),
    [
        (2, 2, "beta\n", 2),
        (2, None, "beta\ngamma\n", 3),
        (3, 99, "gamma\n", 3),
        (1, 1, "alpha\n", 1),
    ],
)
def test_a_range_of_lines_is_read(
    file: File, start: int, end: int | None, text: str, last: int
) -> None:
    result = file("read", path="notes.txt", start_line=start, end_line=end)
    assert (result["text"], result["end_line"], result["truncated"]) == (text, last, False)


def test_a_big_file_is_read_in_part(file: File, workspace: Path) -> None:
    lines = [f"line {n} äöü\n" for n in range(1, 300_001)]
    (workspace / "big.txt").write_text("".join(lines))
    start = file("read", path="big.txt", max_bytes=1000)
    assert start["truncated"]
    assert start["total_lines"] == 300_000
    assert start["text"] == "".join(lines[: start["end_line"]])
    middle = file("read", path="big.txt", start_line=250_000, end_line=250_001)
    assert middle["text"] == "".join(lines[249_999:250_001])


@pytest.mark.parametrize("size", range(1, 12))
def test_a_line_that_is_too_long_is_cut_between_characters(
    file: File, workspace: Path, size: int
) -> None:
    (workspace / "long.txt").write_text("aä€😀" * 10)
    result = file("read", path="long.txt", max_bytes=size)
    assert result["truncated"]
    assert ("aä€😀" * 10).startswith(result["text"])


@pytest.mark.parametrize(
    ("content", "text", "total"),
    [
        (b"", "", 0),
        (b"\n", "\n", 1),
        (b"no newline", "no newline", 1),
        (b"a\r\nb\r\n", "a\nb\n", 2),
        (b"\xef\xbb\xbfwith mark\n", "with mark\n", 1),
        (b"\xef\xbb\xbf", "", 0),
    ],
)
def test_line_ends_and_marks_do_not_show(
    file: File, workspace: Path, content: bytes, text: str, total: int
) -> None:
    (workspace / "odd.txt").write_bytes(content)
    result = file("read", path="odd.txt")
    assert (result["text"], result["total_lines"], result["truncated"]) == (text, total, False)


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"\xff\xfe", b"text\n" * 9999 + b"\x00"])
def test_a_binary_file_is_said_to_be_one(file: File, workspace: Path, content: bytes) -> None:
    (workspace / "data.bin").write_bytes(content)
    result = file("read", path="data.bin", max_bytes=1 << 20)
    assert code_of(result) == "binary"
    assert str(len(content)) in result.message


def test_a_missing_file_names_the_nearest(file: File) -> None:
    result = file("read", path="note.txt")
    assert result == FileFailure(
        code="missing", message="no file 'note.txt'; did you mean 'notes.txt'?"
    )
    assert "did you mean 'src/main.py'?" in file("read", path="src/mian.py").message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src", "is_directory"),
        ("notes.txt/x", "not_directory"),
        ("../up.txt", "outside"),
        ("src/../../up.txt", "outside"),
        ("/etc/hostname", "outside"),
        ("/workspace-of-another/x", "outside"),
        ("leads-out", "outside"),
        ("leads-up", "outside"),
        ("loop", "invalid"),
        ("nul\x00", "invalid"),
        ("x" * 5000, "invalid"),
        ("gone/../notes.txt", "missing"),
    ],
)
def test_what_is_no_file_of_the_workspace_is_refused(
    file: File, workspace: Path, path: str, code: str
) -> None:
    (workspace / "leads-out").symlink_to("/etc/hostname")
    (workspace / "leads-up").symlink_to("src/../../up.txt")
    (workspace / "loop").symlink_to("loop")
    assert code_of(file("read", path=path)) == code


def test_a_named_pipe_does_not_make_reading_wait(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> list[Any]:
        within = Confinement()
        await box.shell("mkfifo pipe", within)
        read, write = {"path": "pipe"}, {"path": "pipe", "content": ""}
        return [await box.file("read", read, within), await box.file("write", write, within)]

    assert [code_of(result) for result in work(do)] == ["not_text", "not_text"]


def test_a_link_within_the_workspace_is_followed(file: File, workspace: Path) -> None:
    (workspace / "src" / "there").symlink_to("../notes.txt")
    (workspace / "folder").symlink_to("/workspace/src")
    assert file("read", path="folder/there")["total_lines"] == 3


def test_writing_makes_folders_and_keeps_the_mode(file: File, workspace: Path) -> None:
    (workspace / "run.sh").write_text("old")
    (workspace / "run.sh").chmod(0o750)
    assert file("write", path="a/b/c.txt", content="hé") == {"size_bytes": 3, "created": True}
    assert (workspace / "a" / "b" / "c.txt").read_text() == "hé"
    assert file("write", path="run.sh", content="new") == {"size_bytes": 3, "created": False}
    assert (workspace / "run.sh").read_text() == "new"
    assert (workspace / "run.sh").stat().st_mode & 0o777 == 0o750
    assert not list(workspace.glob("**/.wardian*"))


def test_a_write_that_does_not_fit_leaves_the_old_file(file: File, workspace: Path) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, file_bytes=1000))
    result = file("write", within=small, path="notes.txt", content="x" * 2000)
    assert code_of(result) == "too_large"
    assert (workspace / "notes.txt").read_text() == "alpha\nbeta\ngamma\n"
    assert not list(workspace.glob(".wardian*"))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src", "is_directory"),
        ("leads-out", "outside"),
        ("../x", "outside"),
        ("notes.txt/x", "not_directory"),
    ],
)
def test_writing_elsewhere_is_refused(file: File, workspace: Path, path: str, code: str) -> None:
    target = workspace.parent / "outside.txt"
    target.write_text("untouched")
    (workspace / "leads-out").symlink_to(target)
    assert code_of(file("write", path=path, content="x")) == code
    assert target.read_text() == "untouched"


def test_an_edit_shows_what_it_changed(file: File, workspace: Path) -> None:
    (workspace / "f.txt").write_text("".join(f"{n}\n" for n in range(1, 11)))
    result = file("edit", path="f.txt", old="5\n6\n", new="five\n")
    assert result["replacements"] == 1
    assert result["diff"].splitlines() == [
        "--- a/f.txt",
        "+++ b/f.txt",
        "@@ -2,8 +2,7 @@",
        *(" 2", " 3", " 4", "-5", "-6", "+five", " 7", " 8", " 9"),
    ]


@pytest.mark.parametrize("replace_all", [False, True])
def test_a_diff_can_be_applied_by_patch(
    file: File, work: Callable[..., Any], workspace: Path, replace_all: bool
) -> None:
    before = "".join(f"line {n % 7} of {n}\n" for n in range(60))
    (workspace / "f.txt").write_text(before)
    old = "line 3" if replace_all else "line 3 of 10\nline 4 of 11\n"
    result = file("edit", path="f.txt", old=old, new="changed\nand more", replace_all=replace_all)
    after = (workspace / "f.txt").read_text()
    assert after == before.replace(old, "changed\nand more")
    (workspace / "f.txt").write_text(before)
    (workspace / "f.diff").write_text(result["diff"] + "\n")

    async def do(box: SupervisedSandbox) -> int:
        within = Confinement()
        return (
            await box.shell("git apply --unsafe-paths f.diff || patch -p1 < f.diff", within)
        ).exit_code

    if work(do) != 127:
        assert (workspace / "f.txt").read_text() == after


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\n", "a", "x\ny", b"x\r\ny\r\nb\r\n"),
        (b"\xef\xbb\xbfa\nb", "a", "x", b"\xef\xbb\xbfx\nb"),
        (b"a\nb", "b", "c", b"a\nc"),
        (b"a\nb\n", "b\n", "", b"a\n"),
        ("ä €\n".encode(), "€", "😀", "ä 😀\n".encode()),
    ],
)
def test_an_edit_keeps_line_ends_and_marks(
    file: File, workspace: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    (workspace / "f.txt").write_bytes(before)
    assert file("edit", path="f.txt", old=old, new=new)["replacements"] == 1
    assert (workspace / "f.txt").read_bytes() == after


@pytest.mark.parametrize(
    ("old", "code", "said"),
    [
        ("delta", "no_match", "does not contain"),
        ("  beta", "no_match", "line 2 is near"),
        ("a", "many_matches", "5 times, at lines 1, 1, 2, 3, 3"),
        ("", "invalid", "empty"),
        ("beta", "invalid", "same"),
    ],
)
def test_an_edit_that_is_not_exact_changes_nothing(
    file: File, workspace: Path, old: str, code: str, said: str
) -> None:
    result = file("edit", path="notes.txt", old=old, new="beta")
    assert code_of(result) == code
    assert said in result.message
    assert (workspace / "notes.txt").read_text() == "alpha\nbeta\ngamma\n"


def paths(result: Any) -> list[str]:
    return [entry["path"] for entry in result["entries"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ["notes.txt", "src"]),
        ({"path": "src"}, ["src/main.py", "src/util.c"]),
        ({"pattern": "*.txt"}, ["notes.txt"]),
        ({"pattern": "**/*.py"}, ["src/main.py"]),
        ({"pattern": "**"}, ["notes.txt", "src", "src/main.py", "src/util.c"]),
        ({"pattern": "src/*.{py,c}"}, ["src/main.py", "src/util.c"]),
        ({"pattern": "src/*.[ch]"}, ["src/util.c"]),
        ({"pattern": ".*"}, [".hidden"]),
        ({"path": "src", "pattern": "*.py"}, ["src/main.py"]),
        ({"pattern": "nothing*"}, []),
    ],
)
def test_listing_is_sorted_and_goes_as_deep_as_asked(
    file: File, workspace: Path, arguments: dict[str, str], expected: list[str]
) -> None:
    (workspace / "src" / "util.c").write_text("")
    assert paths(file("list", **arguments)) == expected


def test_a_listing_says_what_things_are_and_when_it_stops(file: File, workspace: Path) -> None:
    (workspace / "link").symlink_to("/etc")
    result = file("list", max_entries=2)
    assert result == {
        "entries": [
            {"path": "link", "kind": "link", "size_bytes": 4},
            {"path": "notes.txt", "kind": "file", "size_bytes": 17},
        ],
        "truncated": True,
    }
    assert not file("list", max_entries=3)["truncated"]


def test_searching_follows_ripgrep(file: File, workspace: Path) -> None:
    (workspace / ".gitignore").write_text("ignored/\n")
    (workspace / "ignored").mkdir()
    (workspace / "ignored" / "x.txt").write_text("beta\n")
    (workspace / "b.txt").write_text("Beta beta\n")
    result = file("search", pattern=r"\bbe.a\b")
    assert result == {
        "matches": [
            {"path": "b.txt", "line": 1, "text": "Beta beta"},
            {"path": "notes.txt", "line": 2, "text": "beta"},
        ],
        "truncated": False,
    }
    assert len(file("search", pattern="BETA", ignore_case=True)["matches"]) == 2
    assert paths_found(file("search", pattern="beta", glob="n*")) == ["notes.txt"]
    assert paths_found(file("search", pattern="hello", path="src")) == ["src/main.py"]
    assert paths_found(file("search", pattern="hello", path="src/main.py")) == ["src/main.py"]
    assert file("search", pattern="a", max_matches=2)["truncated"]
    assert file("search", pattern="no such thing") == {"matches": [], "truncated": False}


def paths_found(result: Any) -> list[str]:
    return [match["path"] for match in result["matches"]]


def test_a_bad_expression_is_explained(file: File) -> None:
    result = file("search", pattern="be(ta")
    assert code_of(result) == "invalid"
    assert "unclosed group" in result.message


def test_a_long_line_found_is_clipped(file: File, workspace: Path) -> None:
    (workspace / "min.js").write_text("beta" * 500_000)
    match = file("search", pattern="^beta", path="min.js")
    assert match["truncated"] or len(match["matches"][0]["text"]) < 500


def test_globs_hold_for_where_a_path_really_leads(file: File, workspace: Path) -> None:
    (workspace / "open.txt").symlink_to("notes.txt")
    (workspace / "door").symlink_to("src")
    only_src = Confinement(readable=("src/**",), writable=("src/**",), protected=("src/main.py",))
    assert code_of(file("read", within=only_src, path="notes.txt")) == "denied"
    assert code_of(file("read", within=only_src, path="open.txt")) == "denied"
    assert file("read", within=only_src, path="door/main.py")["total_lines"] == 1
    assert code_of(file("write", within=only_src, path="x.txt", content="")) == "denied"
    assert code_of(file("write", within=only_src, path="door/MAIN.py", content="")) == "protected"
    assert file("write", within=only_src, path="door/new.py", content="")["created"]
    assert paths_found(file("search", within=only_src, pattern="hello|beta")) == ["src/main.py"]
    assert "notes.txt" not in paths(file("list", within=only_src))


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("read", {}),
        ("read", {"path": 3}),
        ("read", {"path": "notes.txt", "start_line": 0}),
        ("read", {"path": "notes.txt", "start_line": 2, "end_line": 1}),
        ("read", {"path": "notes.txt", "start_line": 4}),
        ("write", {"path": "x"}),
        ("write", {"path": "x", "content": "\ud800"}),
        ("search", {"pattern": "a\x00b"}),
        ("erase", {"path": "notes.txt"}),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    file: File, operation: str, arguments: dict[str, Any]
) -> None:
    assert code_of(file(operation, **arguments)) == "invalid"


def test_stat_describes_without_following(file: File, workspace: Path) -> None:
    (workspace / "notes.txt").chmod(0o640)
    result = file("stat", path="notes.txt")
    assert (result["kind"], result["size_bytes"], result["mode"]) == ("file", 17, 0o640)
    assert file("stat", path=".")["kind"] == "directory"


def test_names_that_are_not_utf8_do_no_harm(file: File, workspace: Path) -> None:
    (workspace / "bad").mkdir()
    Path(os.fsdecode(bytes(workspace / "bad") + b"/n\xff.txt")).write_text("beta\n")
    assert paths(file("list", path="bad")) == ["bad/n\ufffd.txt"]
    assert paths_found(file("search", pattern="beta", path="bad")) == ["bad/n\ufffd.txt"]
