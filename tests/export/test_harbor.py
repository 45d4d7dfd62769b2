"""Harbor's own validator, of the Harbor that is installed beside us, takes our ATIF documents."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.export.conftest import rows
from tests.export.test_formats import READ, judged
from tests.runs.conftest import House
from tests.runs.test_preferences import WRITE, forked

from wardian import Task
from wardian.types import Image, ImageData

HARBOR = shutil.which("harbor")
pytestmark = pytest.mark.skipif(not HARBOR, reason="harbor (Python 3.12 or later) is not installed")
CHECK = """
import json, sys
from pathlib import Path
from harbor.utils.trajectory_validator import TrajectoryValidator

found = {}
for path in map(Path, sys.argv[1:]):
    validator = TrajectoryValidator()
    validator.validate(path)
    found[path.name] = validator.errors
print(json.dumps(found))
"""


def faults(folder: Path) -> dict[str, list[str]]:
    """By file. Harbor runs with the interpreter that it is installed for."""
    assert HARBOR
    python = Path(HARBOR).read_text().splitlines()[0].removeprefix("#!").strip()
    paths = sorted(str(path) for path in folder.glob("*.json"))
    done = subprocess.run(
        [python, "-I", "-c", CHECK, *paths], capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_documents_of_every_kind_are_valid(house: House) -> None:
    folder = house.workspace.parent
    judged(house)
    house.run(READ, tags=("mine",))
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    run = house.run(WRITE).run_id
    forked(house, [*WRITE[:1], "Otherwise."], run, step=2)
    cut = house.run(READ).run_id
    house.cut_after(cut, "call_started")
    content = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
    image = Image(mime="image/png", data=ImageData(content))
    house.agent(["A picture."]).run_sync(Task(prompt="What is it?", images=(image,)))
    made, _ = rows(house, "atif")
    assert len(made) == 8
    for number, row in enumerate(made):
        (folder / f"{number}.json").write_text(json.dumps(row))
    broken = json.loads(json.dumps(made[0]))
    broken["steps"][0]["step_id"] = 7
    (folder / "broken.json").write_text(json.dumps(broken))
    found = faults(folder)
    assert found.pop("broken.json")
    assert found == {f"{number}.json": [] for number in range(8)}
