"""How the supervisor gets into a box: its modules, and the line that starts them."""

import functools
import importlib.util
import marshal
from importlib.abc import InspectLoader
from pathlib import Path

from wardian_sandbox import inner

PACKAGE = Path(inner.__file__).parent.parent
"""The folder that holds `inner`."""

BOOTSTRAP = (
    "import sys,types;"
    "p=types.ModuleType('wardian_sandbox');"  # not the package itself, which is not in the box
    "p.__path__=[sys.argv[1]];"
    "sys.modules[p.__name__]=p;"
    "from wardian_sandbox.inner.main import main;"
    "main(sys.argv[2])"
)
BARE = ("-I", "-S")
"""Of the interpreter that becomes PID 1: installed packages, and the code that their .pth files run
at every start, are for the worker alone."""
UNCHECKED_HASH = (1).to_bytes(4, "little")
"""Flags of a .pyc that is valid whatever the source's time. Source: PEP 552."""


@functools.cache
def inner_files() -> dict[str, bytes]:
    """Path relative to PACKAGE → content: the modules, and what this Python compiles them to.

    An interpreter of another version ignores the compiled ones and takes the source.
    """
    files: dict[str, bytes] = {}
    for source in sorted((PACKAGE / "inner").glob("*.py")):
        content = source.read_bytes()
        files[f"inner/{source.name}"] = content
        compiled = Path(importlib.util.cache_from_source(f"inner/{source.name}"))
        files[f"inner/__pycache__/{compiled.name}"] = _pyc(source.stem, content)
    return files


def _pyc(module: str, content: bytes) -> bytes:
    name = "wardian_sandbox.inner" + ("" if module == "__init__" else f".{module}")
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    # Through the loader, since that keeps what it compiled between processes.
    code = spec.loader.get_code(name)
    digest = importlib.util.source_hash(content)
    return importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + digest + marshal.dumps(code)
