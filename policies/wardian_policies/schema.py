"""TOML files of ours: read, with every fault named by line and the nearest key.

A schema maps a key (`"tools.allow"`) to what its value must be. The files hold scalars and lists
of strings, so this is shorter than a validation library and is not felt at start-up.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from wardian_policies.errors import PolicyError, PolicyFileError
from wardian_policies.positions import Location, line_numbers

MAX_FILE_BYTES = 1 << 20
MAX_NUMBER = 1 << 53
"""Beyond it whole numbers are not exact as floats; it also excludes inf and nan."""
UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a value must be."""

    description: str
    """Completes `must be …`."""
    accepts: Callable[[Any], bool]
    from_text: Callable[[str], Any] = str
    """Reads the value from an environment variable or an argument; ValueError if it cannot."""
    kept: Callable[[Any], Any] = lambda value: value
    """The accepted value as the program uses it."""
    check_item: Callable[[str], object] = lambda item: None
    """Of a list: looks at one element. Raises: PolicyError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A TOML file whose keys and values fit their schema."""

    path: Path
    values: dict[str, Any]
    """By dotted key; only what the file sets."""
    lines: dict[str, int]
    """By dotted key; an array's elements as `key[0]`, `key[1]`, …"""

    def line(self, key: str, index: int | None = None) -> int | None:
        return self.lines.get(key if index is None else f"{key}[{index}]")

    def fault(self, key: str, cause: str, remedy: str, index: int | None = None) -> PolicyFileError:
        return PolicyFileError(self.path, self.line(key, index), cause, remedy)


def read(path: Path, schema: Mapping[str, Kind]) -> Document:
    """The file's values. Raises: PolicyFileError naming the first fault and its line."""
    return parse(path, read_text(path), schema)


def parse(path: Path, text: str, schema: Mapping[str, Kind]) -> Document:
    """The values of a text that stands, or is to stand, at `path`. Raises: as `read`."""
    try:
        data = tomllib.loads(text)
        lines = {dotted(location): line for location, line in line_numbers(text).items()}
    except tomllib.TOMLDecodeError as error:
        place, cause = toml_fault(str(error), text)
        raise PolicyFileError(path, place, cause, "Mend the TOML.") from error
    except RecursionError as error:
        raise PolicyFileError(path, None, "It is nested too deeply.", "Flatten it.") from error
    document = Document(path=path, values={}, lines=lines)
    for key, value in flat(data, schema):
        check(document, key, value, schema)
        document.values[key] = schema[key].kept(value)
    return document


def read_text(path: Path) -> str:
    """The file as text. Raises: PolicyFileError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        cause = f"it cannot be read ({error.strerror or error})."
        raise PolicyFileError(path, None, cause, "Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PolicyFileError(path, line, "it is not UTF-8 text.", "Save it as UTF-8.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise PolicyFileError(path, None, "it is larger than 1 MiB.", "Name a smaller file.")
    return text


def toml_fault(message: str, text: str) -> tuple[int, str]:
    """The line and the cause in a message of `tomllib`."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if found is None:
        return 1, sentence(message)
    line = int(found[1]) if found[1] else len(text.splitlines()) or 1
    return line, sentence(message[: found.start()])


def sentence(text: str) -> str:
    return f"it is not TOML: {text[:1].lower()}{text[1:]}."


def flat(
    table: Mapping[str, Any], schema: Mapping[str, Kind], above: Location = ()
) -> Iterable[tuple[str, Any]]:
    """Dotted keys and values; a table is entered only where the schema has keys below it."""
    for name, value in table.items():
        key = dotted((*above, name))
        below = any(known.startswith(key + ".") for known in schema)
        if below and isinstance(value, dict):
            yield from flat(value, schema, (*above, name))  # pyright: ignore[reportUnknownArgumentType] — JSON
        else:
            yield key, value


def dotted(location: Location) -> str:
    """A location as a person writes it."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += ("." if key else "") + (f'"{part}"' if "." in part else part)
    return key


def check(document: Document, key: str, value: object, schema: Mapping[str, Kind]) -> None:
    if key not in schema:
        below = sorted({last_part(known) for known in schema if known.startswith(key + ".")})
        if below:
            cause = f"{key} must be a table, not {shown(value)}."
            raise document.fault(key, cause, f"Write [{key}] with {', '.join(below)} below it.")
        raise document.fault(key, f"{key!r} is not a known key.", nearest(key, schema))
    if not schema[key].accepts(value):
        cause = f"{key} must be {schema[key].description}, not {shown(value)}."
        raise document.fault(key, cause, "Change its value.")
    for index, item in enumerate(cast("list[str]", value) if isinstance(value, list) else ()):
        try:
            schema[key].check_item(item)
        except PolicyError as error:
            raise document.fault(key, error.cause, error.remedy, index) from error


def nearest(key: str, known: Iterable[str]) -> str:
    """A remedy that names the most similar known key, or all of them."""
    known = list(known)
    tables = {one.rpartition(".")[0] for one in known} - {""}
    # The last part alone too, so that a key under the wrong table is found.
    by_name = {last_part(one): one for one in reversed(known)}
    close = get_close_matches(key, [*known, *tables], 1, 0.7) or [
        by_name[name] for name in get_close_matches(last_part(key), by_name, 1, 0.7)
    ]
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(known)}."


def last_part(key: str) -> str:
    return key.rpartition(".")[2]


def shown(value: object) -> str:
    """A value in a message, bounded."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def text(description: str = "a text that is not empty") -> Kind:
    return Kind(
        description=description,
        accepts=lambda value: isinstance(value, str) and bool(value.strip()),
    )


def texts(
    check_item: Callable[[str], object] = lambda item: None, kept: Callable[[str], str] = str
) -> Kind:
    """A list; each element is checked, and kept as `kept` makes it."""
    return Kind(
        description="a list of texts",
        accepts=is_texts,
        kept=lambda value: tuple(map(kept, value)),
        check_item=check_item,
    )


def boolean() -> Kind:
    return Kind(description="true or false", accepts=lambda value: isinstance(value, bool))


def choice(*names: str, kept: Callable[[str], str] = str) -> Kind:
    quoted = ", ".join(f'"{name}"' for name in names)
    return Kind(description=f"one of {quoted}", accepts=lambda value: value in names, kept=kept)


def whole(least: int = 1) -> Kind:
    return Kind(
        description=f"a whole number of at least {least}",
        accepts=lambda value: is_number(value) and isinstance(value, int) and value >= least,
        from_text=int,
    )


def number() -> Kind:
    return Kind(
        description="a number of at least 0",
        accepts=lambda value: is_number(value) and value >= 0,
        from_text=float,
        kept=float,
    )


def positive() -> Kind:
    return Kind(
        description="a number above 0",
        accepts=lambda value: is_number(value) and value > 0,
        from_text=float,
        kept=float,
    )


def or_unlimited(kind: Kind) -> Kind:
    """The kind, or the word that lifts the limit and is kept as None."""
    return Kind(
        description=f'{kind.description}, or "{UNLIMITED}"',
        accepts=lambda value: value == UNLIMITED or kind.accepts(value),
        from_text=lambda text: text if text == UNLIMITED else kind.from_text(text),
        kept=lambda value: None if value == UNLIMITED else kind.kept(value),
    )


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= MAX_NUMBER


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )
