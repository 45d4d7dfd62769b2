"""A home whose runs are made by a model that follows a script, to export."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.runs.conftest import House

from wardian import RunStore
from wardian.export import Exported, export

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def house(tmp_path: Path) -> House:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "a.txt").write_text("one\ntwo\n")
    return House(RunStore(tmp_path / "runs"), workspace)


def rows(
    house: House, format_name: str, *names: str, **options: Any
) -> tuple[list[dict[str, Any]], Exported]:
    """The rows of those runs, of all where none is named."""
    output = house.workspace.parent / "rows.jsonl"
    output.unlink(missing_ok=True)
    ids = [house.store.find(name) for name in names] or house.store.ids()[::-1]
    done = export(house.store, ids, format_name=format_name, output=output, **options)
    lines = output.read_text().splitlines() if output.exists() else []
    return [json.loads(line) for line in lines], done
