"""The user's folders, their settings file, and their keys."""

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.settings import (
    Secret,
    api_key,
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
        "from dataclasses import astuple; from wardian.settings import paths;"
        "print(*astuple(paths({})), sep='\\n')"
    )
    env = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    env |= {"XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.split("\n") == [
        f"{tmp_path}/.config/wardian/config.toml",
        f"{tmp_path}/.config/wardian/policies",
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


def test_a_key_comes_from_the_providers_own_variable() -> None:
    environ = {"OPENAI_API_KEY": " sk-1 \n", "HF_TOKEN": "hf-1", "MY_HOST_API_KEY": "x"}
    found = [api_key(name, environ) for name in ("openai", "huggingface", "my-host")]
    assert [secret.reveal() for secret in found if secret] == ["sk-1", "hf-1", "x"]
    assert api_key("anthropic", environ) is None


@dataclasses.dataclass
class Holder:
    key: Secret


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Holder(Secret("sk-very-secret")))


def test_a_secret_is_not_shown() -> None:
    secret = Secret("sk-very-secret")
    holder = Holder(secret)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{holder}",
        f"{dataclasses.asdict(holder)}",
    ):
        assert "very" not in shown


def test_a_key_is_taken_from_the_keyring_when_there_is_one(tmp_path: Path) -> None:
    package = tmp_path / "keyring"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from keyring.errors import KeyringError\n"
        "def get_password(service, name):\n"
        "    if name == 'locked': raise KeyringError('locked')\n"
        "    return {('wardian', 'openai'): 'sk-ring'}.get((service, name))\n"
    )
    (package / "errors.py").write_text("class KeyringError(Exception): pass\n")
    program = (
        "from wardian.settings import api_key\n"
        "print(api_key('openai', {}).reveal(), api_key('none', {}), api_key('locked', {}),"
        " api_key('openai', {'OPENAI_API_KEY': 'sk-variable'}).reveal())"
    )
    env = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path]), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False
    )
    assert (done.stdout, done.stderr) == ("sk-ring None None sk-variable\n", "")
