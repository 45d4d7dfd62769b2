"""Harbor's task folders, read without a Docker daemon; `tests/sandbox` grades one with it."""

from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.evals.harbor import bases, built, image_name, kept_folder
from wardian.evals.loading import load_suite
from wardian.rewards.containers import reward_in


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARDIAN_HOME", str(tmp_path / "home"))
    folder = tmp_path / "tasks" / "sum"
    for name in ("environment", "tests"):
        (folder / name).mkdir(parents=True)
    (folder / "instruction.md").write_text("Write the sum of /app/n.txt to /app/sum.txt.\n")
    (folder / "task.toml").write_text(
        '[metadata]\ncategory = "sums"\ntags = ["easy"]\n[agent]\ntimeout_sec = 90.0\n'
        "[verifier]\ntimeout_sec = 30.0\n"
    )
    (folder / "environment" / "Dockerfile").write_text("FROM nowhere/nothing:1\n")
    (folder / "tests" / "test.sh").write_text("echo 1 > /logs/verifier/reward.txt\n")
    return folder


def test_a_folder_is_read_as_a_task(folder: Path) -> None:
    (task,) = load_suite(folder.parent).tasks
    assert (task.id, task.family, task.tags) == ("sum", "sums", ("easy",))
    assert task.limits.wall_seconds == 90.0
    assert task.image == image_name(folder)
    assert "/app" in task.system
    (verifier,) = task.verifier
    assert verifier["kind"] == "harbor"
    assert verifier["seconds"] == 30.0
    assert list(verifier["files"]) == ["test.sh"]


def test_the_kept_files_of_the_image_are_the_start_workspace(folder: Path) -> None:
    kept = kept_folder(image_name(folder)) / "workspace"
    kept.mkdir(parents=True)
    (task,) = load_suite(folder).tasks
    assert task.workspace == kept


def test_another_dockerfile_is_another_image(folder: Path) -> None:
    before = image_name(folder)
    (folder / "environment" / "Dockerfile").write_text("FROM nowhere/nothing:2\n")
    assert image_name(folder) != before


def test_stages_of_a_dockerfile_are_no_images(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(
        "FROM --platform=linux/amd64 python:3.12 AS made\nRUN x\nFROM made\nFROM scratch\n"
        "from Debian:12 as last\n"
    )
    assert list(bases(file)) == ["python:3.12", "Debian:12"]


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("environment/docker-compose.yaml", "services: {}", "several services"),
        ("task.toml", "[[steps]]\nname = 'one'\n", "several steps"),
        ("task.toml", "not toml", "cannot be read"),
        ("task.toml", "[agent]\ntimeout_sec = 'long'\n", "timeout_sec"),
    ],
)
def test_what_cannot_be_attempted_is_named(folder: Path, path: str, content: str, why: str) -> None:
    (folder / path).write_text(content)
    with pytest.raises(ConfigurationError, match=why):
        load_suite(folder)


def test_a_task_without_tests_is_named(folder: Path) -> None:
    (folder / "tests" / "test.sh").unlink()
    with pytest.raises(ConfigurationError, match=r"no tests/test\.sh"):
        load_suite(folder)


@pytest.mark.xdist_group("docker")
def test_an_image_that_must_come_from_a_registry_is_named_and_not_pulled(folder: Path) -> None:
    with pytest.raises(Exception, match=r"nowhere/nothing:1|Docker") as caught:
        built(folder, print)
    assert "pull" in str(caught.value) or "daemon" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"reward.txt": b"0.5\n"}, 0.5),
        ({"reward.txt": b"well"}, None),
        ({"reward.txt": b"nan"}, None),
        ({"reward.json": b'{"reward": 1, "style": 0}'}, 1.0),
        ({"reward.json": b'{"score": 0.25}'}, 0.25),
        ({"reward.json": b'{"a": 1, "b": 0}'}, None),
        ({"reward.json": b"["}, None),
        ({"reward.json": b"[" * 1_000_000}, None),
        ({}, None),
    ],
)
def test_a_reward_is_what_the_tests_wrote_and_nothing_else(
    files: dict[str, bytes], value: float | None
) -> None:
    assert reward_in(files) == value
