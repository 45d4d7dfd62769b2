"""What is in the wheel, and that the tests test it."""

import os
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import wardian
import wardian_policies
import wardian_sandbox
import wardian_tools

PACKAGES = (wardian, wardian_policies, wardian_tools, wardian_sandbox)
MAX_MODEL_BYTES = 10_000_000


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    path = os.environ.get("WARDIAN_TESTED_WHEEL")
    if not path:
        pytest.skip("no built wheel: these run under `make test`")
    return zipfile.ZipFile(path)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_tests_import_the_built_wheel(wheel: zipfile.ZipFile, package: ModuleType) -> None:
    unpacked = Path(str(wheel.filename)).parent.parent / "wheel"
    assert package.__file__ is not None
    assert Path(package.__file__).is_relative_to(unpacked)


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "wardian",
        "wardian_policies",
        "wardian_tools",
        "wardian_sandbox",
    }


@pytest.mark.parametrize("package", [package.__name__ for package in PACKAGES])
def test_each_package_says_that_it_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


@pytest.mark.parametrize("preset", ["default", "strict", "ci"])
def test_the_wheel_holds_the_policy_preset(wheel: zipfile.ZipFile, preset: str) -> None:
    assert f"wardian_policies/presets/{preset}.toml" in wheel.namelist()


def test_the_wheel_holds_a_model_of_at_most_ten_megabytes(wheel: zipfile.ZipFile) -> None:
    models = [info for info in wheel.infolist() if info.filename.endswith(".gguf")]
    assert [Path(info.filename).name for info in models] == ["tiny.gguf"]
    assert models[0].file_size <= MAX_MODEL_BYTES


def test_the_wheel_holds_the_licence_and_no_leftovers(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [n for n in names if "__pycache__" in n or n.startswith("tests") or ".venv" in n]
