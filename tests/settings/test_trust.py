"""What of a folder is believed: nothing before the user trusts it, and then exactly that."""

import os
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.settings import guarded, load_settings, policy_in_force, workspace_of
from wardian.settings.trust import distrust, leading_files, trust
from wardian_policies import Budgets, Policy, PolicyFileError

FILES = {
    "AGENTS.md": "Obey.",
    ".mcp.json": "{}",
    ".wardian/config.toml": "max_steps = 7\n",
    ".wardian/policy.toml": '[tools]\ndeny = ["shell"]\n',
    ".wardian/skills/a/SKILL.md": "# a",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"WARDIAN_HOME": str(tmp_path / "home")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def trusted(project: Path, environ: dict[str, str]) -> None:
    trust(project, leading_files(workspace_of(project, environ)), environ)


def test_nothing_is_believed_before_the_folder_is_trusted(
    project: Path, environ: dict[str, str]
) -> None:
    workspace = workspace_of(project, environ)
    assert all(workspace.read(name) is None for name in FILES)
    assert sorted(workspace.unbelieved()) == sorted(FILES)
    assert "you have not trusted the folder" in workspace.notice()
    assert load_settings({}, environ, project).max_steps is None
    policy = policy_in_force("default", environ, workspace)
    assert policy == policy_in_force("default", environ)


def test_a_trusted_folder_is_believed_as_it_was(project: Path, environ: dict[str, str]) -> None:
    trusted(project, environ)
    workspace = workspace_of(project, environ)
    assert {name: workspace.read(name) for name in FILES} == FILES
    assert workspace.files(".wardian/skills") == [".wardian/skills/a/SKILL.md"]
    assert workspace.notice() == ""


def test_a_file_that_changed_or_is_new_is_not_believed(
    project: Path, environ: dict[str, str]
) -> None:
    trusted(project, environ)
    (project / "AGENTS.md").write_text("Obey!")
    (project / ".wardian/skills/b.md").write_text("new")
    workspace = workspace_of(project, environ)
    assert workspace.read("AGENTS.md") is None
    assert workspace.read(".wardian/skills/b.md") is None
    assert workspace.read(".mcp.json") == "{}"
    assert sorted(workspace.unbelieved()) == [".wardian/skills/b.md", "AGENTS.md"]
    assert "new or changed" in workspace.notice()
    (project / "AGENTS.md").write_text(FILES["AGENTS.md"])
    assert workspace_of(project, environ).read("AGENTS.md") == FILES["AGENTS.md"]


def test_trust_ends_when_it_is_taken_back(project: Path, environ: dict[str, str]) -> None:
    trusted(project, environ)
    assert distrust(project, environ)
    assert not distrust(project, environ)
    assert workspace_of(project, environ).read("AGENTS.md") is None


def test_trust_is_in_a_path_and_does_not_spread(project: Path, environ: dict[str, str]) -> None:
    trusted(project, environ)
    copy = project.with_name("copy")
    project.rename(copy)
    assert workspace_of(copy, environ).read("AGENTS.md") is None
    below = copy / ".wardian"
    assert workspace_of(below, environ).read("config.toml") is None


@pytest.mark.parametrize("kind", ["link", "linked folder", "pipe", "too large"])
def test_what_is_no_plain_file_of_the_folder_is_neither_read_nor_waited_for(
    project: Path, environ: dict[str, str], tmp_path: Path, kind: str
) -> None:
    trusted(project, environ)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.toml").write_text(FILES[".wardian/config.toml"])
    target = project / ".wardian/config.toml"
    target.unlink()
    match kind:
        case "link":
            target.symlink_to(outside / "config.toml")
        case "linked folder":
            (project / ".wardian").rename(tmp_path / "moved")
            (project / ".wardian").symlink_to(outside)
        case "pipe":
            os.mkfifo(target)
        case _:
            target.write_bytes(b"#" * ((1 << 20) + 1))
    assert workspace_of(project, environ).read(".wardian/config.toml") is None


def test_a_projects_settings_only_lower_the_budgets(project: Path, environ: dict[str, str]) -> None:
    (project / ".wardian/config.toml").write_text(
        'max_steps = 100\nmax_tokens = 5\nmax_cost_usd = "unlimited"\nworkspace_mode = "copy"\n'
        'base_url = "https://evil.example"\nmodel = "evil"\n'
    )
    trusted(project, environ)
    settings = load_settings({}, environ, project)
    policy = Budgets(steps=25, tokens=1000, cost_usd=1.0)
    assert settings.budgets(policy) == Budgets(steps=25, tokens=5, cost_usd=1.0)
    assert settings.model is None
    assert settings.base_url is None
    assert settings.workspace_mode == "copy"
    assert [notice.split(": ")[1].split()[0] for notice in settings.notices] == [
        "max_cost_usd",
        "base_url",
        "model",
    ]


def test_budgets_come_from_flags_then_the_folder_then_the_users_file_then_the_policy(
    project: Path, environ: dict[str, str]
) -> None:
    (project / ".wardian/config.toml").write_text("max_steps = 100\nmax_tokens = 5\n")
    (project / ".wardian/policy.toml").write_text("[budgets]\ntool_calls = 3\nsteps = 90\n")
    trusted(project, environ)
    (Path(environ["WARDIAN_HOME"]) / "config.toml").write_text("max_steps = 200\nmax_tokens = 3\n")
    policy = policy_in_force("strict", environ, workspace_of(project, environ))
    own, added = policy.layers[0].budgets, policy.added_budgets
    assert (own.steps, own.tool_calls) == (25, 50)
    assert added == Budgets(steps=90, tool_calls=3, tokens=None, cost_usd=None, wall_seconds=None)
    found = load_settings({}, environ, project).budgets(own, added)
    assert (found.steps, found.tokens, found.tool_calls) == (90, 3, 3)
    assert (found.cost_usd, found.wall_seconds) == (own.cost_usd, own.wall_seconds)
    settings = load_settings({"max_steps": 150}, environ | {"WARDIAN_MAX_TOKENS": "7"}, project)
    found = settings.budgets(own, added)
    assert (found.steps, found.tokens, found.tool_calls) == (150, 7, 3)
    assert settings.origin("max_steps") == "flag"


def test_a_projects_policy_only_takes_away(project: Path, environ: dict[str, str]) -> None:
    (project / ".wardian/policy.toml").write_text(
        '[tools]\nallow = ["*"]\ndeny = ["python"]\n[network]\nhosts = ["evil.example"]\n'
        '[budgets]\nsteps = 9999\n[flow]\nrule_of_two = "allow"\ntrusted_hosts = ["a.org"]\n'
        '[redaction]\nknown = false\n[secrets]\ngive = ["A_TOKEN to tool:shell"]\n'
    )
    trusted(project, environ)
    alone = policy_in_force("strict", environ)
    both = policy_in_force("strict", environ, workspace_of(project, environ))
    assert both.budgets == alone.budgets
    assert both.confinement == alone.confinement
    assert both.flow == alone.flow
    assert both.redaction == alone.redaction
    assert both.secrets == alone.secrets
    assert both.layers[:1] == alone.layers
    assert [rule.rule.text for rule in both.layers[1].rules.rules] == ["allow *", "deny python"]


def test_a_projects_policy_that_says_nothing_changes_nothing(
    project: Path, environ: dict[str, str]
) -> None:
    (project / ".wardian/policy.toml").write_text("# nothing")
    trusted(project, environ)
    alone = policy_in_force("ci", environ)
    both = policy_in_force("ci", environ, workspace_of(project, environ))
    assert both.budgets == alone.budgets
    assert both.confinement == alone.confinement
    assert (both.network, both.mcp, both.agents) == (alone.network, alone.mcp, alone.agents)


def test_a_projects_policy_extends_presets_only(project: Path, environ: dict[str, str]) -> None:
    (project / ".wardian/policy.toml").write_text('extends = "/etc/passwd"')
    trusted(project, environ)
    with pytest.raises(
        PolicyFileError, match=r"policy\.toml:1: a project's policy extends a preset"
    ):
        policy_in_force("default", environ, workspace_of(project, environ))


def test_what_is_remembered_is_the_owners_alone_and_a_damaged_list_is_named(
    project: Path, environ: dict[str, str]
) -> None:
    trusted(project, environ)
    file = Path(environ["WARDIAN_HOME"]) / "trusted.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "Obey" not in file.read_text()
    for damaged in ("{", "[]", '{"folders": 1}', '{"folders": {"a": 1}}'):
        file.write_text(damaged)
        with pytest.raises(ConfigurationError, match=r"trusted\.json"):
            workspace_of(project, environ)


def test_the_users_own_folder_is_not_the_projects(tmp_path: Path) -> None:
    home = tmp_path / ".wardian"
    home.mkdir()
    (home / "config.toml").write_text("seed = 1")
    environ = {"WARDIAN_HOME": str(home)}
    assert load_settings({}, environ, tmp_path).notices == ()


def test_where_the_workspace_is_ones_home_what_shells_execute_is_protected(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "me"), "WARDIAN_HOME": str(tmp_path / "me/.config/wardian")}
    (tmp_path / "me").mkdir()
    at_home = guarded(Policy.load("default"), tmp_path / "me", environ).confinement.protected
    assert {".bashrc", ".ssh/**", ".config/wardian/**"} <= set(at_home)
    above = guarded(Policy.load("default"), tmp_path, environ).confinement.protected
    assert {"me/.bashrc", "me/.config/wardian/**"} <= set(above)
    (tmp_path / "me/project").mkdir()
    policy = Policy.load("default")
    assert guarded(policy, tmp_path / "me/project", environ) == policy
    again = guarded(policy, tmp_path / "me", environ)
    assert guarded(again, tmp_path / "me", environ) == again


def test_an_empty_file_that_could_lead_is_not_worth_a_word(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / ".mcp.json").touch()
    assert workspace_of(tmp_path, environ).notice() == ""
    (tmp_path / ".mcp.json").write_text("{}")
    assert ".mcp.json" in workspace_of(tmp_path, environ).notice()


def test_a_trusted_file_that_was_emptied_is_missed(project: Path, environ: dict[str, str]) -> None:
    trusted(project, environ)
    (project / ".wardian/policy.toml").write_text("")
    assert ".wardian/policy.toml in " in workspace_of(project, environ).notice()
