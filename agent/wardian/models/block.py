"""Keeps tests off real models: inside `block_real_models()` asking one raises.

Covers: every model of this package that computes or sends something (`ChatModel`,
`LitellmModel`, `LlamaModel`), in every thread and event loop of the process.
Does not cover: models of other packages, and child processes.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from wardian.errors import RealModelBlocked


class _Blocks:
    """How many blocks are in force; process-wide, since a context variable set by a fixture
    reaches neither other threads nor the loop an async test runner started earlier."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0


_blocks = _Blocks()


@contextmanager
def block_real_models() -> Generator[None]:
    """While entered, asking a real model raises `RealModelBlocked`. May be nested.

    As a fixture for a whole suite:

        @pytest.fixture(autouse=True)
        def no_real_models():
            with wardian.block_real_models():
                yield
    """
    with _blocks.lock:
        _blocks.depth += 1
    try:
        yield
    finally:
        with _blocks.lock:
            _blocks.depth -= 1


def check_real_model_allowed(name: str) -> None:
    """Called first by every real model. Raises: RealModelBlocked."""
    if _blocks.depth:
        raise RealModelBlocked(
            f"The model {name!r} was asked while real models are blocked.",
            "Use ScriptedModel or FunctionModel here, or leave block_real_models() first.",
        )
