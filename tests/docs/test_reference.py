"""What the documents name is there: commands, flags, other pages and their headings."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from wardian.cli.commands import COMMANDS
from wardian.runs.encode import KINDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
REFERENCE = (ROOT / "docs" / "cli.md").read_text()
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """As the web shows headings: without punctuation, in lower case, with hyphens."""
    headings = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    for file, anchor in LINK.findall(page.read_text()):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def command(name: str) -> Any:
    """A command of `agent`, as click knows it."""
    app = typer.Typer()
    import_module(COMMANDS[name][0]).register(app)
    app.callback()(lambda: None)  # a group, also where there is one command
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined] # a group


def below(name: str) -> Iterator[str]:
    yield from getattr(command(name), "commands", {})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`agent {name}\b", REFERENCE) or re.search(rf"`agent.*`{name}", REFERENCE)
    rows = [line for line in REFERENCE.splitlines() if re.search(rf"`agent {name}\b", line)]
    missing = {one for one in below(name) if not any(re.search(rf"\b{one}\b", row) for row in rows)}
    assert missing - {"run"} == set()  # `agent eval SUITE` is `agent eval run SUITE`


def test_every_flag_of_run_is_in_the_reference() -> None:
    given = [one for parameter in command("run").params for one in parameter.opts]
    flags = [one for one in given if one.startswith("--")]
    assert len(flags) > 20
    assert [flag for flag in flags if flag not in REFERENCE] == []


def test_every_kind_of_event_is_described() -> None:
    page = (ROOT / "docs" / "trajectory.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_what_the_readme_says_is_where_is_there() -> None:
    tree = (ROOT / "README.md").read_text().partition("## What is where")[2].split("```")[1]
    named = re.findall(r"(?:^|\s)([a-z_]+(?:/[a-z_*]+)*(?:/|\.py))(?=[\s;:,]|$)", tree)
    assert len(named) > 40
    places = {f"/{path.relative_to(ROOT)}" for path in ROOT.glob("*/wardian*/**/*")}
    for name in named:
        is_there = any(place.endswith(f"/{name.rstrip('/')}") for place in places)
        assert is_there or (ROOT / name).exists(), name
