"""Versions of built tools, and drafts: kept, rolled back, refused where they were changed."""

import pytest

from wardian.building.checking import Draft
from wardian.building.loading import load_built
from wardian.building.store import BuiltTools, ToolChanged, digest
from wardian.errors import ConfigurationError


def test_versions_are_kept_rolled_back_and_removed(tools: BuiltTools, slugify: Draft) -> None:
    second = Draft(source=slugify.source + b"# second\n", tests=slugify.tests)
    tools.keep("slugify", slugify, task="first")
    tools.keep("slugify", second, task="second")
    assert tools.read("slugify")[0] == second
    assert tools.roll_back("slugify").current == 1
    assert tools.read("slugify")[0] == slugify
    with pytest.raises(ConfigurationError, match="no earlier version"):
        tools.roll_back("slugify")
    assert tools.roll_back("slugify", 2).current == 2
    assert tools.keep("slugify", slugify, task="third").current == 3
    tools.remove("slugify")
    assert tools.all() == []
    assert not (tools.root / "slugify").exists()


@pytest.mark.parametrize("name", ["tool.py", "test_tool.py"])
def test_a_changed_file_is_refused_whichever_it_is(
    name: str, tools: BuiltTools, slugify: Draft
) -> None:
    tools.keep("slugify", slugify, task="x")
    path = tools.root / "slugify" / "1" / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ToolChanged, match="not what you approved"):
        tools.read("slugify")
    loaded, notices = load_built(tools)
    assert (loaded, len(notices)) == ([], 1)


def test_text_moved_from_one_file_to_the_other_has_another_hash() -> None:
    assert digest(Draft(source=b"ab", tests=b"c")) != digest(Draft(source=b"a", tests=b"bc"))


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"tools": {"../x": {"current": 1, "versions": []}}}', '{"tools": {"x": 3}}'],
    ids=["torn", "list", "outside", "number"],
)
def test_a_damaged_list_of_tools_is_an_error_with_a_remedy(index: str, tools: BuiltTools) -> None:
    tools.root.mkdir()
    (tools.root / "index.json").write_text(index)
    with pytest.raises(ConfigurationError, match="build your tools again"):
        tools.all()


def test_a_draft_is_listed_until_it_is_kept_or_removed(tools: BuiltTools, slugify: Draft) -> None:
    tools.keep_draft("slugify", slugify, "task")
    tools.keep_draft("other", slugify, "task")
    assert tools.drafts() == ["other", "slugify"]
    tools.keep("slugify", slugify, task="task")
    tools.remove("other")
    assert tools.drafts() == []
    assert [one.name for one in tools.all()] == ["slugify"]


def test_no_draft_is_read_from_elsewhere(tools: BuiltTools, slugify: Draft) -> None:
    tools.keep_draft("slugify", slugify, "x")
    tools.keep("drafts", slugify, task="x")
    assert tools.draft("slugify") == (slugify, "x")
    for name in ("../drafts/1", "..", "", "slugify/../slugify"):
        with pytest.raises(ConfigurationError, match="There is no draft"):
            tools.draft(name)
