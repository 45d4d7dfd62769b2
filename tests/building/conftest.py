"""Tools as an agent would write them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from wardian.building.checking import Draft
from wardian.building.store import BuiltTools
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement

SLUGIFY = '''\
import re

from wardian import tool


@tool(effects=())
def slugify(title: str, separator: str = "-") -> str:
    """Turn a title into a slug.

    Args:
        title: The title.
        separator: What stands between words.
    """
    if not title.strip():
        raise ValueError("the title is empty")
    return separator.join(re.findall("[a-z0-9]+", title.lower()))
'''
TESTS = """\
from tool import slugify


def test_words_are_joined():
    assert slugify("Two Words") == "two-words"
"""


def draft(body: str, tests: str, *, effects: str = "()", name: str = "probe") -> Draft:
    """A tool `probe(text: str) -> str` with that body."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    source = (
        f"from wardian import tool\n\n\n@tool(effects={effects})\n"
        f'def {name}(text: str) -> str:\n    """Probe."""\n{indented}\n'
    )
    return Draft(source=source.encode(), tests=f"from tool import {name}\n\n{tests}".encode())


@pytest.fixture
def slugify() -> Draft:
    return Draft(source=SLUGIFY.encode(), tests=TESTS.encode())


@pytest.fixture
def tools(tmp_path: Path) -> BuiltTools:
    return BuiltTools(tmp_path / "tools")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Path | None, Confinement], Awaitable[SupervisedSandbox]]:
    """Boxes around a folder, or around the workspace `tmp_path/workspace`."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    async def open_one(folder: Path | None, within: Confinement) -> SupervisedSandbox:
        return await open_sandbox("auto", folder or workspace, within)

    return open_one
