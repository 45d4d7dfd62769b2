"""Writes constraints.txt: the newest versions that pyproject.toml allows, as pip resolves them.

Run as `make pins` in an installed checkout, then run the tests before committing the result.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "local,api,train,dev,privacy"
BOUNDS = ["typer<0.29"]
"""Beyond those of pyproject.toml, which must not hinder who embeds the library: typer 0.29 imports
pydantic and builds a validator for each option, at every start of the command line."""
HEADER = """\
# The versions the tests run with; `make pins` writes this file. pyproject.toml has the bounds.
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        wanted = [f"{ROOT}[{EXTRAS}]", *BOUNDS]
        subprocess.run([*pip, "--quiet", "--report", report, *wanted], check=True)
        resolved = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins = sorted(pin(item["metadata"]) for item in resolved)
    lines = [line for line in pins if not line.startswith("wardian==")]
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


def pin(metadata: dict[str, str]) -> str:
    """`name==version`, the name normalised, the version without a local label such as `+cpu`."""
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    return f"{name}=={metadata['version'].split('+')[0]}"


if __name__ == "__main__":
    main()
