"""What a task may look like, and what is said of one that may not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.errors import ConfigurationError
from wardian.evals.loading import load_suite
from wardian.evals.tasks import Split, Suite, Task, fault_of_path, row_of, task_of

ROW = {"id": "a/1", "prompt": "Do it.", "verifier": {"kind": "exact", "expected": "x"}}


def read(row: dict[str, Any], folder: Path = Path()) -> Task:
    return task_of(row, folder=folder, source="a test")


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_folder_is_a_task_with_its_workspace_and_hidden_files(tmp_path: Path) -> None:
    folder = written(tmp_path / "suite" / "code" / "fix", task__toml='prompt = "Fix it."\n')
    written(folder / "workspace", main__py="x = 1\n")
    written(folder / "hidden" / "tests", test__py="assert True\n")
    (task,) = load_suite(tmp_path / "suite").tasks
    assert (task.id, task.family, task.split) == ("code/fix", "code", Split.TEST)
    assert task.workspace == folder / "workspace"
    assert task.hidden == {"tests/test.py": "assert True\n"}


def test_toml_and_jsonl_files_of_a_folder_are_read_too(tmp_path: Path) -> None:
    table = '[[task]]\nid = "a"\nprompt = "?"\nlimits = { max_steps = 3 }\n'
    written(tmp_path, some__toml=table, more__jsonl='{"id": "b", "prompt": "?"}\n\n')
    written(tmp_path, suite__toml='name = "mine"\nversion = "7"\n')
    suite = load_suite(tmp_path)
    assert (suite.name, suite.version) == ("mine", "7")
    assert [task.id for task in suite.tasks] == ["b", "a"]
    assert suite.tasks[1].limits.steps == 3
    assert suite.tasks[1].limits.wall_seconds is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"promt": "?"}, "Did you mean 'prompt'"),
        ({"split": "exam"}, "its split cannot be used"),
        ({"limits": {"max_step": 1}}, "limits.max_step"),
        ({"limits": {"max_steps": 0}}, "limits.max_steps"),
        ({"files": {"../out": "x"}}, "leads out of the workspace"),
        ({"files": {"/etc/passwd": "x"}}, "leads out of the workspace"),
        ({"files": {"a/": "x"}}, "names no file"),
        ({"hidden": {"a/../../b": "x"}}, "leads out of the workspace"),
        ({"hidden": "../elsewhere"}, "leads out of the workspace"),
        ({"workspace": "missing"}, "is not there"),
        ({"id": ""}, "its id"),
        ({"id": "../a"}, "its id"),
        ({"id": "a\x1b[2J"}, "its id"),
        ({"tools": "shell"}, "its tools cannot be used"),
        ({"meta": []}, "its meta cannot be used"),
    ],
    ids=lambda value: "" if isinstance(value, str) else min(value),
)
def test_a_fault_is_named_with_its_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read({**ROW, **change})


def test_a_workspace_that_is_a_link_elsewhere_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "private", key="secret")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "workspace").symlink_to(tmp_path / "private")
    with pytest.raises(ConfigurationError, match="is not there"):
        read({**ROW, "workspace": "workspace"}, tmp_path / "suite")


def test_a_hidden_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    written(tmp_path, key="secret")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "t").symlink_to(tmp_path / "key")
    with pytest.raises(ConfigurationError, match="no text file"):
        read({**ROW, "hidden": "hidden"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no tasks"),
        ('{"id": "a", "prompt": "?"}\n' * 2, "Two tasks have the id 'a'"),
        ("[1]\n", "is no task"),
        ("{\n", "line 1 is not JSON"),
        ("[" * 100_000 + "\n", "line 1 is not JSON"),
    ],
    ids=["empty", "twice", "list", "cut", "deep"],
)
def test_a_file_that_is_no_suite_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_suite(written(tmp_path, s__jsonl=text) / "s.jsonl")


def test_a_name_that_is_no_suite_gets_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="There is no suite 'corn'"):
        load_suite("corn")


def test_only_a_split_that_has_tasks_can_be_chosen() -> None:
    suite = Suite(
        name="s", version="1", tasks=(read(ROW), read({**ROW, "id": "b", "split": "dev"}))
    )
    assert [task.id for task in suite.only(split="dev").tasks] == ["b"]
    with pytest.raises(ConfigurationError, match="No task of the suite s is of the split 'train'"):
        suite.only(split="train")


def test_the_digest_is_of_what_could_change_an_outcome(tmp_path: Path) -> None:
    folder = written(tmp_path / "workspace", a__txt="1").parent
    task = read({**ROW, "workspace": "workspace"}, folder)
    before = task.digest
    assert read({**ROW, "workspace": "workspace", "tags": ["new"]}, folder).digest == before
    assert read({**ROW, "workspace": "workspace", "prompt": "!"}, folder).digest != before
    written(tmp_path / "workspace", a__txt="2")
    assert task.digest != before


paths = st.lists(st.sampled_from(["a", "b.txt", "c d", "é"]), min_size=1, max_size=3).map("/".join)
texts = st.text(max_size=20)
rows = st.fixed_dictionaries(
    {"id": paths, "prompt": texts},
    optional={
        "family": st.sampled_from(["files", "maths"]),
        "split": st.sampled_from(["train", "dev", "test"]),
        "files": st.dictionaries(paths, texts, max_size=2),
        "tools": st.lists(st.sampled_from(["shell", "python"]), max_size=2),
        "limits": st.fixed_dictionaries({}, optional={"max_steps": st.integers(1, 9)}),
        "system": texts,
        "hidden": st.dictionaries(paths, texts, max_size=2),
        "protected": st.lists(paths, max_size=2),
        "meta": st.dictionaries(texts, st.integers() | texts, max_size=2),
    },
)


@settings(max_examples=30)
@given(rows)
def test_a_task_written_as_a_row_is_read_back_the_same(row: dict[str, Any]) -> None:
    task = read(row)
    again = read(json.loads(json.dumps(row_of(task))))
    assert again == task
    assert again.digest == task.digest


@given(st.text(max_size=30))
def test_no_path_that_is_let_through_leads_out(path: str) -> None:
    if not fault_of_path(path):
        assert (Path("/w") / path).is_relative_to("/w")
        assert ".." not in Path(path).parts


def test_a_folder_with_a_built_in_name_is_meant_only_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "core").mkdir()
    (tmp_path / "core/mine.jsonl").write_text('{"id": "a/1", "prompt": "x"}\n')
    assert "a/1" not in {task.id for task in load_suite("core", split="dev").tasks}
    assert [task.id for task in load_suite("./core").tasks] == ["a/1"]
