"""`import wardian` and `import wardian_sandbox` show what they promise and load nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import wardian
import wardian_sandbox

FACADES = pytest.mark.parametrize("facade", [wardian, wardian_sandbox])


def names_of(facade: ModuleType) -> list[str]:
    names: list[str] = vars(facade)["__all__"]
    return names


@FACADES
def test_the_public_names_are_sorted_and_all_there(facade: ModuleType) -> None:
    names = names_of(facade)
    assert sorted(names, key=lambda n: (n != "__version__", n)) == names
    assert all(getattr(facade, name) is not None for name in names)


@FACADES
def test_the_stub_names_what_the_module_offers(facade: ModuleType) -> None:
    stub = Path(str(facade.__file__)).with_suffix(".pyi")
    imports = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom)]
    shown = {alias.asname: node.module for node in imports for alias in node.names}
    assert sorted(map(str, shown)) == sorted(names_of(facade))
    for name, module in shown.items():
        assert module is not None
        __import__(module)
        assert getattr(facade, str(name)) is getattr(sys.modules[module], str(name))


@FACADES
def test_an_unknown_name_is_an_attribute_error(facade: ModuleType) -> None:
    assert not hasattr(facade, "Agnet")


@FACADES
def test_importing_it_loads_no_heavy_package(facade: ModuleType) -> None:
    code = f"import sys, {facade.__name__}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert facade.__name__ in loaded
    assert loaded.isdisjoint({"pydantic", "httpx2", "rich", "typer", "llama_cpp", "asyncio"})
