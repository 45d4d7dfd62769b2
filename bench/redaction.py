"""Redaction: megabytes a second by layer and by text, and its share of a run's time.

python bench/redaction.py
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from wardian import Agent
from wardian.models.scripted import ScriptedModel
from wardian.screening import RedactingScreen
from wardian_policies.redaction.pseudonyms import Pseudonyms
from wardian_policies.redaction.redactor import Detectors, Redactor
from wardian_tools import Effect, tool

MB = 1_000_000
KNOWN = {f"SECRET_{n}": random.Random(n).randbytes(15).hex() for n in range(20)}
LAYERS = {
    "20 known values": lambda: Redactor(KNOWN),
    "and structure": lambda: Redactor(KNOWN, Detectors(structure=True)),
    "and token rules": lambda: Redactor(KNOWN, Detectors(structure=True, rules=True)),
    "and personal data": lambda: Redactor(
        KNOWN, Detectors(structure=True, rules=True, personal=True), Pseudonyms(b"k" * 32)
    ),
}


def texts() -> dict[str, str]:
    library = "".join(p.read_text(errors="replace") for p in sorted(Path(re_folder()).glob("*.py")))
    words = library.split()
    random.Random(1).shuffle(words)
    return {
        "code (Python's library)": library[:MB],
        "words of it, shuffled": " ".join(words)[:MB],
        "hexadecimal": random.Random(2).randbytes(MB // 2).hex(),
        "hostile: \\u0041…": "\\u0041" * (MB // 6),
        "hostile: %41…": "%41" * (MB // 3),
        "hostile: eyJaa….": "eyJaaaaaaaaaaaaaaaa." * (MB // 20),
        "hostile: password=…": "password=a1" * (MB // 11),
        "hostile: numbers": " ".join(str(n) for n in range(10**6, 10**6 + MB // 8)),
    }


def re_folder() -> str:
    return str(Path(random.__file__).parent)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def throughput() -> None:
    shown = texts()
    print(f"{'MB/s':<26}" + "".join(f"{name:>20}" for name in LAYERS))
    for name, text in shown.items():
        rates: list[str] = []
        for make in LAYERS.values():
            redactor = make()
            redactor.text("warm up password=a1 eyJ jane@example.org")
            rates.append(f"{len(text) / MB / seconds(partial(redactor.text, text)):>20.1f}")
        print(f"{name:<26}" + "".join(rates))


def growth() -> None:
    """5 MB of the slowest hostile texts against 1 MB: linear is 5."""
    make = LAYERS["and personal data"]
    for name, text in texts().items():
        if name.startswith("hostile"):
            small = seconds(partial(make().text, text))
            large = seconds(partial(make().text, text * 5))
            print(f"{name:<26} 1 MB {small:6.2f} s   5 MB {large:6.2f} s   x{large / small:.1f}")


@tool(effects={Effect.READS})
def page() -> str:
    """20 kB of text."""
    return PAGE


PAGE = ("the quick brown fox = jumps(over) the lazy dog 1234\n" * 400)[:20_000]
STEPS = 40


@contextmanager
def timed_screen(total: list[float]) -> Iterator[None]:
    original = RedactingScreen.hidden

    def hidden(self: RedactingScreen, value: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(self, value)
        finally:
            total.append(time.perf_counter() - began)

    RedactingScreen.hidden = hidden  # type: ignore[method-assign] # measures the real one
    try:
        yield
    finally:
        RedactingScreen.hidden = original  # type: ignore[method-assign] # as it was


def share() -> None:
    """Of a run of 40 steps that reads 20 kB each and waits for no model: the worst there is."""

    class Elsewhere(ScriptedModel):
        @property
        def is_local(self) -> bool:
            return False

    with tempfile.TemporaryDirectory() as folder:
        model = Elsewhere([*([("page", {})] for _ in range(STEPS)), "done"])
        agent = Agent(model, tools=[page], workspace=folder, store=False)
        total: list[float] = []
        with timed_screen(total):
            whole = seconds(lambda: asyncio.run(agent.run("Read")))
    each = 1000 * sum(total) / STEPS
    print(
        f"a step with 20 kB read: {each:.1f} ms redacting, of {1000 * whole / STEPS:.1f} ms in all"
    )
    print(f"of a step in which a model takes 2 s: {each / 20:.2f} %")


if __name__ == "__main__":
    throughput()
    growth()
    share()
