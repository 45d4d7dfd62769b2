"""llama.cpp's C functions and llguidance's core, without the Python layers above them.

`import llama_cpp` also imports its chat formats, its disk cache and its server types, and
`import llguidance` a grammar converter and its command line: together over 0.2 s before the first
token. Only the compiled parts are used here, so only they are imported. Both are untyped, hence
`Any`; every call of them is in this package.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def llama() -> Any:
    """The module of llama.cpp's C functions. Raises: ImportError."""
    return _submodule("llama_cpp", "llama_cpp")


def llguidance() -> Any:
    """The compiled module of llguidance. Raises: ImportError."""
    return _submodule("llguidance", "_lib")


def _submodule(package: str, module: str) -> Any:
    name = f"{package}.{module}"
    if name in sys.modules:
        return sys.modules[name]
    if package in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{package} is not installed")
    bare = ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations)
    bare.__spec__ = spec
    sys.modules[package] = bare
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[package]  # whoever imports the package itself gets all of it
