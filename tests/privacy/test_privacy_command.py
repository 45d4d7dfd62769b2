"""`agent privacy`: the report and the path of taint, as a person and as a program reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "a-secret-of-the-environment-1"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
        "WARDIAN_HOME": str(tmp_path / "wardian"),
        "MY_SERVICE_TOKEN": SECRET,
        "SHORT_TOKEN": "1234",
    }


def agent(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "wardian", *arguments],
        cwd=environment["HOME"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_report_names_secrets_and_never_shows_them(environment: dict[str, str]) -> None:
    done = agent(environment, "privacy", "report", "--samples", "2")
    assert done.returncode == 0, done.stderr
    for wanted in ("P0", "P1", "P2", "P3", "MY_SERVICE_TOKEN", "RECALL", "GitHub token"):
        assert wanted in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert "SHORT_TOKEN is too short" in done.stderr


def test_the_report_as_json_says_the_same_of_the_same_seed(environment: dict[str, str]) -> None:
    command = ["privacy", "report", "--samples", "2", "--seed", "5", "--json"]
    first, second = (json.loads(agent(environment, *command).stdout) for _ in range(2))
    assert first == second
    assert first["registered"] == ["MY_SERVICE_TOKEN"]
    known = [rate for rate in first["rates"] if rate["layer"] == "known"]
    assert {rate["share"] for rate in known} == {1.0}


def test_the_path_of_taint_of_a_run_is_shown(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    assert agent(environment, "run", "-q", "How many lines are in a.txt?").returncode == 0
    shown = agent(environment, "privacy", "flow", "last")
    assert shown.stdout.splitlines()[0].split()[0] == "STEP"
    (row,) = json.loads(agent(environment, "privacy", "flow", "last", "--json").stdout)
    assert row["step"] == 1
    assert row["is_first"]
    assert row["integrity"] == "untrusted"


def test_the_report_says_what_is_kept_as_it_is_and_what_code_sees(
    environment: dict[str, str],
) -> None:
    done = agent(environment, "privacy", "report", "--samples", "1")
    assert "copies of workspace files" in done.stdout
    assert "and its code does not see it" in " ".join(done.stdout.split())
