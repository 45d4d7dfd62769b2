"""`agent runs html`, `search` and `stats` as a user types them."""

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian import Agent, RunStore, ScriptedModel

Command = Callable[..., subprocess.CompletedProcess[str]]
HOSTILE = "needle \x1b[31mred \u202eevil </script>"


@pytest.fixture
def run_id(environment: dict[str, str]) -> str:
    store = RunStore(Path(environment["WARDIAN_HOME"]) / "runs")
    agent = Agent(ScriptedModel([f"answer {HOSTILE}"]), store=store)
    return agent.run_sync(f"task with the key s3cr3t-s3cr3t {HOSTILE}").run_id


def test_a_page_is_readable_by_its_owner_only_and_holds_no_secret_registered_since(
    agent: Command, workspace: Path, run_id: str
) -> None:
    known = {"MY_TOKEN": "s3cr3t-s3cr3t"}
    done = agent("runs", "html", "last", env=known)
    assert (done.returncode, done.stdout) == (0, f"{run_id}.html\n")
    target = workspace / f"{run_id}.html"
    content = target.read_text(encoding="utf-8")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "needle" in content
    assert "s3cr3t" not in content


def test_a_page_that_cannot_be_written_says_where_it_should_go(agent: Command, run_id: str) -> None:
    done = agent("runs", "html", run_id, "-o", "no/such/folder.html")
    assert done.returncode == 8
    assert "-o" in done.stderr


def test_a_search_names_run_step_and_place_and_shows_nothing_raw(
    agent: Command, run_id: str
) -> None:
    done = agent("runs", "search", "--exact", "NEEDLE \x1b[31mRED", "--limit", "2")
    rows = done.stdout.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [[run_id, "-", "task"], [run_id, "1", "reply"]]
    assert r"needle \x1b[31mred \u202eevil </script>" in done.stdout
    assert "\x1b" not in done.stdout


def test_words_are_found_in_any_order_and_shown_with_nothing_raw(
    agent: Command, run_id: str
) -> None:
    done = agent("runs", "search", 'EVIL "script" needl*')
    rows = done.stdout.splitlines()
    assert {tuple(row.split()[:3]) for row in rows[1:]} == {
        (run_id, "-", "task"),
        (run_id, "1", "reply"),
        (run_id, "-", "answer"),
    }
    assert r"needle \x1b[31mred \u202eevil </script>" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_table_of_steps_says_what_each_took(agent: Command, run_id: str) -> None:
    assert agent("runs", "stats", run_id).stdout.splitlines()[1].split()[-1] == "stop"
    [step] = json.loads(agent("runs", "stats", run_id, "--json").stdout)
    assert (step["step"], step["calls"], step["status"]) == (1, 0, "stop")
    assert step["completion_tokens"] > 0
