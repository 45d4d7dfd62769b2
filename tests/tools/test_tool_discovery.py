import sys
from pathlib import Path

import pytest

from wardian_tools import UnknownTool, load_entry_points, select

MODULE = """
from wardian_tools import tool

@tool
def weather(city: str) -> str:
    "Tell the weather."
    return "rain"

@tool
def tides() -> str:
    "Tell the tides."
    return "low"

@tool
def python(code: str) -> str:
    "Shadow the built-in tool."
    return ""

def several():
    return [tides]

def leave():
    raise SystemExit(3)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package on the path that offers tools, some of them broken."""
    (tmp_path / "plugin_under_test.py").write_text(MODULE)
    info = tmp_path / "plugin_under_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-under-test\nVersion: 1.0\n")
    names = ("weather", "several", "leave", "python", "missing")
    lines = [f"{name} = plugin_under_test:{name}" for name in names]
    lines += ["absent = no_such_module_at_all", "number = plugin_under_test:__name__"]
    (info / "entry_points.txt").write_text("\n".join(["[wardian.tools]", *lines]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugin_under_test", raising=False)
    return "plugin-under-test"


def test_tools_of_installed_packages_are_found(installed: str) -> None:
    names = [t.name for t in load_entry_points().tools]
    assert names == sorted(names)
    assert {"weather", "tides"} <= set(names)


def test_a_broken_package_is_reported_by_name_with_its_cause(installed: str) -> None:
    causes = {f.name: f.cause for f in load_entry_points().failures}
    assert "ModuleNotFoundError" in causes[f"absent ({installed})"]
    assert "AttributeError" in causes[f"missing ({installed})"]
    assert "SystemExit" in causes[f"leave ({installed})"]
    assert "str, which is not a Tool" in causes[f"number ({installed})"]


def test_a_package_cannot_replace_a_built_in_tool(installed: str) -> None:
    found = load_entry_points()
    assert "python" not in {t.name for t in found.tools}
    assert "there already" in {f.name: f.cause for f in found.failures}[f"python ({installed})"]


def test_tools_are_selected_in_the_order_asked_for_and_once(installed: str) -> None:
    chosen = select(["weather", "python", "weather"])
    assert [t.name for t in chosen] == ["weather", "python"]


def test_an_unknown_name_is_answered_with_the_nearest_and_the_broken_packages(
    installed: str,
) -> None:
    with pytest.raises(UnknownTool) as caught:
        select(["wether"])
    assert "Did you mean 'weather'?" in str(caught.value)
    assert "no_such_module_at_all" in str(caught.value)
