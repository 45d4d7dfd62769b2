"""`agent import`, and what its runs are good for on the command line."""

import json
from pathlib import Path

from tests.command import bare_environment, command
from tests.importing.test_importing import TALK


def test_an_imported_run_is_shown_exported_and_not_gone_on_with(tmp_path: Path) -> None:
    agent = command(bare_environment() | {"WARDIAN_HOME": str(tmp_path / "home")}, tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"messages": TALK}) + "\n{\n")
    done = agent("import", "log.jsonl", "--format", "openai", "--tag", "theirs", "--json")
    assert done.returncode == 0, done.stderr
    [run_id] = json.loads(done.stdout)["run_ids"]
    assert "1 run of 2 rows imported" in done.stderr
    shown = agent("runs", "show", run_id).stdout
    assert 'read: path="a"' in shown
    assert "A word." in shown
    assert "imported, by a model that is not named\n" in shown
    assert "·  ·" not in shown
    exported = agent("export", "--format", "trl-sft", "--all", "--tag", "theirs", "-o", "o.jsonl")
    assert exported.returncode == 0, exported.stderr
    for verb in ("replay", "resume"):
        refused = agent(verb, run_id)
        assert refused.returncode == 3
        assert "imported" in refused.stderr
    assert agent("import", "log.jsonl", "--format", "pickle").returncode == 2
    assert agent("import", "gone.jsonl", "--format", "openai").returncode == 8
    (tmp_path / "none.jsonl").write_text("{\n")
    assert agent("import", "none.jsonl", "--format", "openai").returncode == 1
