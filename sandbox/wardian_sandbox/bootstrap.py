"""How the supervisor gets into a box: its modules, and the program that starts them."""

import functools
import importlib.util
import io
import marshal
import zipfile
from importlib.abc import InspectLoader
from pathlib import Path

from wardian_sandbox import inner

PACKAGE = Path(inner.__file__).parent.parent
"""The folder that holds `inner`."""
BUNDLE = "modules.zip"
BOOTSTRAP = """
import gc, marshal, sys, types
from _frozen_importlib_external import MAGIC_NUMBER  # importlib.util takes a millisecond

class Compiled:
    "Finds and loads the modules that came compiled for this Python."

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in codes:
            return type(sys.__spec__)(name, Compiled, is_package=name == "wardian_sandbox.inner")

    @staticmethod
    def create_module(spec):
        pass

    @staticmethod
    def exec_module(module):
        exec(codes[module.__name__], module.__dict__)

gc.disable()  # imports leave nothing to collect, and ever more to look at
place = sys.argv[1]
try:
    with open(f"{place}.{MAGIC_NUMBER.hex()}", "rb") as file:
        codes = marshal.load(file)
    sys.meta_path.insert(0, Compiled)
except OSError:
    pass  # then from the sources
package = types.ModuleType("wardian_sandbox")  # not the package itself, which is not in the box
package.__path__ = [place]
sys.modules[package.__name__] = package
from wardian_sandbox.inner.main import main
gc.freeze()
gc.enable()
main(sys.argv[2])
"""
"""Its arguments: a bundle or a folder with `inner`, and the control channel's name."""
BARE = ("-I", "-S")
"""Of the interpreter that becomes PID 1: installed packages, and the code that their .pth files run
at every start, are for the worker alone."""


@functools.cache
def bundle() -> dict[str, bytes]:
    """Name → content of two files: a zip file with the sources of `inner`, and beside it what this
    Python compiles them to, named by its bytecode's number: an image may have another Python.

    Two files and not one a module, which would cost a box's start a sixth of its time.
    """
    sources = io.BytesIO()
    codes: dict[str, object] = {}
    with zipfile.ZipFile(sources, "w") as file:
        for path in sorted((PACKAGE / "inner").glob("*.py")):
            file.writestr(zipfile.ZipInfo(f"inner/{path.name}"), path.read_bytes())
            name = "wardian_sandbox.inner" + ("" if path.stem == "__init__" else f".{path.stem}")
            codes[name] = _code(name)
    compiled = f"{BUNDLE}.{importlib.util.MAGIC_NUMBER.hex()}"
    return {BUNDLE: sources.getvalue(), compiled: marshal.dumps(codes)}


def _code(name: str) -> object:
    """Through the loader, since that keeps what it compiled between processes."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    return spec.loader.get_code(name)
