"""Where each setting comes from, and what is said of one that does not fit."""

import subprocess
import sys
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.settings import (
    Settings,
    budgets_in_force,
    load_settings,
    paths,
    policy_in_force,
    workspace_of,
)
from wardian.settings.trust import leading_files, trust
from wardian_policies import Budgets


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"WARDIAN_HOME": str(tmp_path / "home")}


def write_config(environ: dict[str, str], text: str) -> Path:
    file = paths(environ).config_file
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_without_any_source_every_value_is_the_default(environ: dict[str, str]) -> None:
    settings = load_settings({}, environ)
    assert settings == Settings()
    assert {origin for _, _, origin in settings.rows()} == {"default"}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(environ: dict[str, str]) -> None:
    file = write_config(environ, 'model = "file"\n\nseed = 1\ntemperature = 1\n')
    environ |= {"WARDIAN_MODEL": "variable", "WARDIAN_SEED": "2"}
    settings = load_settings({"model": "flag", "seed": None}, environ)
    assert (settings.model, settings.origin("model")) == ("flag", "flag")
    assert (settings.seed, settings.origin("seed")) == (2, "environment WARDIAN_SEED")
    assert (settings.temperature, settings.origin("temperature")) == (1.0, f"{file}:4")
    assert (settings.policy, settings.origin("policy")) == ("default", "default")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('modle = "x"', 1, "Did you mean 'model'?"),
        ("\nseed = -1", 2, "a whole number of at least 0"),
        ("[budgets]\nsteps = 1", 1, "not a known key"),
        ('sandbox = "none"', 1, "only as the flag --sandbox none"),
        ('base_url = "localhost"', 1, "begins with http"),
        ('workspace_mode = "link"', 1, 'one of "mount", "copy"'),
        ('model = ""', 1, "a model's name"),
        ("model = ", 1, "it is not TOML"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_line(
    environ: dict[str, str], text: str, line: int, said: str
) -> None:
    file = write_config(environ, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, environ)
    assert caught.value.cause.startswith(f"{file}:{line}: ")
    assert said in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WARDIAN_MODLE", "tiny", "Did you mean 'WARDIAN_MODEL'?"),
        ("WARDIAN_SEED", "many", "WARDIAN_SEED must be a whole number"),
        ("WARDIAN_TEMPERATURE", "nan", "a number of at least 0"),
        ("WARDIAN_SANDBOX", "none", "only as the flag --sandbox none"),
        ("WARDIAN_MAX_STEPS", "0", 'at least 1, or "unlimited"'),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    environ: dict[str, str], name: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        load_settings({}, environ | {name: value})
    assert said in str(caught.value)


def test_an_empty_variable_is_not_set(environ: dict[str, str]) -> None:
    assert load_settings({}, environ | {"WARDIAN_MODEL": ""}).model is None


def test_running_without_a_sandbox_is_said_by_flag(environ: dict[str, str]) -> None:
    assert load_settings({"sandbox": "none"}, environ).sandbox == "none"


def test_an_unknown_flag_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'max_steps'"):
        load_settings({"max_step": 3}, environ)


def test_what_was_set_replaces_the_policys_budgets_and_nothing_else(
    environ: dict[str, str],
) -> None:
    write_config(environ, 'max_tokens = 1000\nmax_seconds = "unlimited"')
    settings = load_settings({"max_steps": 99}, environ)
    policy = Budgets(steps=5, tool_calls=7, tokens=10, wall_seconds=60.0)
    wanted = Budgets(steps=99, tool_calls=7, tokens=1000, wall_seconds=None)
    assert settings.budgets(policy) == wanted
    assert {key: value for key, value, _ in settings.rows()}["max_seconds"] == "unlimited"


def test_a_policy_path_in_the_file_is_seen_from_the_file(environ: dict[str, str]) -> None:
    file = write_config(environ, 'policy = "policies/mine.toml"')
    assert load_settings({}, environ).policy == str(file.parent / "policies/mine.toml")


def test_a_projects_settings_are_not_read_and_this_is_said(
    environ: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / ".wardian").mkdir(parents=True)
    (project / ".wardian/config.toml").write_text('model = "hostile"')
    settings = load_settings({}, environ, project)
    assert settings.model is None
    assert len(settings.notices) == 1
    assert settings.notices[0].startswith(f".wardian/config.toml in {project} is not read")
    assert load_settings({}, environ, tmp_path).notices == ()


def test_default_settings_load_neither_a_validation_nor_a_toml_writing_library(
    environ: dict[str, str],
) -> None:
    program = (
        "import sys, os; from wardian.settings import load_settings;"
        "load_settings({'model': 'tiny'}, os.environ);"
        "print({'pydantic', 'tomlkit', 'keyring', 'platformdirs'} & set(sys.modules))"
    )
    search = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environ | search,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


PROJECT = "max_steps = {steps}\n"


def held(environ: dict[str, str], project: Path, policy: str = "default") -> tuple[object, str]:
    trust(project, leading_files(workspace_of(project, environ)), environ)
    settings = load_settings({}, environ, project)
    in_force = policy_in_force(policy, environ, workspace_of(project, environ))
    return budgets_in_force(settings, in_force)["max_steps"]


@pytest.mark.parametrize(
    ("mine", "theirs", "value", "origin"),
    [
        ("", 100, 50, "preset default"),
        ("", 7, 7, "project {project}/.wardian/config.toml:1"),
        ("max_steps = 20", 100, 20, "{file}:1"),
        ("max_steps = 20", 7, 7, "project {project}/.wardian/config.toml:1"),
        ('max_steps = "unlimited"', 70, 70, "project {project}/.wardian/config.toml:1"),
    ],
)
def test_the_lowest_budget_holds_and_is_shown_with_its_origin(
    environ: dict[str, str], tmp_path: Path, mine: str, theirs: int, value: int, origin: str
) -> None:
    file = write_config(environ, mine)
    project = tmp_path / "project"
    (project / ".wardian").mkdir(parents=True)
    (project / ".wardian/config.toml").write_text(PROJECT.format(steps=theirs))
    assert held(environ, project) == (value, origin.format(project=project, file=file))


def test_a_folders_policy_that_lowers_a_budget_is_its_origin(
    environ: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / ".wardian").mkdir(parents=True)
    policy = project / ".wardian/policy.toml"
    policy.write_text("[budgets]\nsteps = 4\n")
    assert held(environ, project) == (4, f"{policy}:2")


def test_what_is_said_for_this_run_holds_over_a_folders_budget(
    environ: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / ".wardian").mkdir(parents=True)
    (project / ".wardian/config.toml").write_text(PROJECT.format(steps=7))
    environ["WARDIAN_MAX_STEPS"] = "90"
    assert held(environ, project) == (90, "environment WARDIAN_MAX_STEPS")
