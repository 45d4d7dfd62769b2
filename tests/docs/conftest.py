"""A reader's machine: an empty folder, `agent` on the PATH, and places of its own to keep files."""

import os
import sys
from pathlib import Path

import pytest

import wardian
import wardian_policies
import wardian_sandbox
import wardian_tools

SHIM = """\
#!{python} -P
import sys
from wardian.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    """The environment to run a document's commands in; its HOME is an empty folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    shim = programs / "agent"
    shim.write_text(SHIM.format(python=sys.executable), encoding="utf-8")
    shim.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in {"LANG", "LC_ALL", "TZ"}}
    packages = (wardian, wardian_policies, wardian_tools, wardian_sandbox)
    roots = {str(Path(package.__file__ or "").parent.parent) for package in packages}
    return kept | {
        "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "WARDIAN_HOME": str(home / "wardian"),
        "PYTHONPATH": ":".join(sorted(roots)),
        "COLUMNS": "100",
    }
