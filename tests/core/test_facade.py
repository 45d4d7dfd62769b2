"""`import wardian` shows what it promises and loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import wardian

NAMES: list[str] = vars(wardian)["__all__"]


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert sorted(NAMES, key=lambda n: (n != "__version__", n)) == NAMES
    assert all(getattr(wardian, name) is not None for name in NAMES)


def test_the_stub_names_what_the_module_offers() -> None:
    stub = Path(str(wardian.__file__)).with_suffix(".pyi")
    imports = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom)]
    shown = {alias.asname: node.module for node in imports for alias in node.names}
    assert sorted(map(str, shown)) == sorted(NAMES)
    for name, module in shown.items():
        assert module is not None
        __import__(module)
        assert getattr(wardian, str(name)) is getattr(sys.modules[module], str(name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(wardian, "Agnet")


def test_importing_it_loads_no_heavy_package() -> None:
    code = "import sys, wardian; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "wardian" in loaded
    assert loaded.isdisjoint({"pydantic", "httpx2", "rich", "typer", "llama_cpp", "asyncio"})
