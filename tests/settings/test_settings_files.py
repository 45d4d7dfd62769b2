"""The user's folders and their settings file."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.settings import (
    config_set,
    load_settings,
    make_folder,
    paths,
)


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    home = paths({"WARDIAN_HOME": str(tmp_path)})
    for place in dataclasses.asdict(home).values():
        assert place.is_relative_to(tmp_path)


def test_without_it_the_systems_usual_folders_are_used(tmp_path: Path) -> None:
    program = (
        "from wardian.settings import paths; p = paths({});"
        "print(p.config_file, p.policies, p.trusted, p.runs, p.cache, p.models, sep='\\n')"
    )
    env = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    env |= {"XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.split("\n") == [
        f"{tmp_path}/.config/wardian/config.toml",
        f"{tmp_path}/.config/wardian/policies",
        f"{tmp_path}/data/wardian/trusted.json",
        f"{tmp_path}/data/wardian/runs",
        f"{tmp_path}/.cache/wardian",
        f"{tmp_path}/data/wardian/models",
        "",
    ]


def test_a_made_folder_is_the_owners_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a" / "b")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert make_folder(folder) == folder


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="set WARDIAN_HOME"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(ConfigurationError, match="not a folder"):
        make_folder(tmp_path / "file")


def test_setting_a_key_keeps_comments_and_order(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\nseed = 1  # lucky\n\nmodel = "tiny"\n')
    config_set(file, "seed", "2")
    config_set(file, "max_steps", "unlimited")
    assert file.read_text() == (
        '# mine\nseed = 2  # lucky\n\nmodel = "tiny"\nmax_steps = "unlimited"\n'
    )


def test_a_settings_file_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.toml"
    config_set(file, "model", "tiny")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["config.toml"]
    assert load_settings({}, {"WARDIAN_HOME": str(file.parent)}).model == "tiny"


def test_a_linked_settings_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text("")
    (tmp_path / "config.toml").symlink_to("dotfiles")
    config_set(tmp_path / "config.toml", "seed", 3)
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "dotfiles").read_text() == "seed = 3\n"


@pytest.mark.parametrize(
    ("before", "key", "value", "said"),
    [
        ("", "modle", "x", "Did you mean 'model'?"),
        ("", "seed", "x", "a whole number"),
        ("", "sandbox", "none", "only as the flag"),
        ("seed = ", "seed", "1", "config.toml:1: it is not TOML"),
        ("sed = 1", "seed", "1", "Did you mean 'seed'?"),
    ],
)
def test_a_change_that_does_not_fit_leaves_the_file(
    tmp_path: Path, before: str, key: str, value: str, said: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(before)
    with pytest.raises(ConfigurationError) as caught:
        config_set(file, key, value)
    assert said in str(caught.value)
    assert file.read_text() == before
