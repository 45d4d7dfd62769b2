"""How requests are put: `phrasings.txt`, by section."""

from functools import cache
from importlib.resources import files


@cache
def _sections() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in (
        files("wardian.evals.suites.tiny").joinpath("phrasings.txt").read_text("utf-8").splitlines()
    ):
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            found[name] = []
        elif line:
            found[name].append(line)
    return {name: tuple(lines) for name, lines in found.items()}


def phrasings(section: str) -> tuple[str, ...]:
    """The lines of a section: templates with (a|b) for alternatives and {name} for values."""
    return _sections()[section]
