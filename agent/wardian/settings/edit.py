"""Change one setting in the user's file, leaving the rest as it stands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian.settings.keys import SCHEMA
from wardian.settings.load import value_of
from wardian.settings.places import make_folder
from wardian.settings.replacing import replace_file
from wardian_policies import PolicyFileError
from wardian_policies.schema import UNLIMITED, nearest, read, read_text


def config_set(path: Path, key: str, value: object) -> None:
    """Set `key` in the TOML file at `path`, which need not exist; comments and order are kept.

    Text is read as the key's type. Raises: ConfigurationError for an unknown key, a value that
    does not fit, a file that is damaged already, or one that cannot be written.
    """
    config_change(path, {key: value})


def config_change(path: Path, values: Mapping[str, object]) -> None:
    """Set several keys in one step, and take out those whose value is None. Raises: as above."""
    unknown = next((key for key in values if key not in SCHEMA), None)
    if unknown is not None:
        raise ConfigurationError(f"{unknown!r} is not a setting.", nearest(unknown, SCHEMA))
    kept = {key: None if value is None else _kept(key, value) for key, value in values.items()}
    path = path.resolve()  # a link, as dotfile collections have, stays one
    make_folder(path.parent)
    config_values(path)
    text = read_text(path) if path.exists() else ""
    for key, value in kept.items():
        text = without(text, key) if value is None else with_value(text, key, value)
    replace_file(path, text)


def config_values(path: Path) -> dict[str, Any]:
    """What the file sets; nothing where there is none. Raises: ConfigurationError."""
    try:
        return dict(read(path, SCHEMA).values) if path.exists() else {}
    except PolicyFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error


def _kept(key: str, value: object) -> object:
    kept = value_of(SCHEMA[key], value, key)
    return UNLIMITED if kept is None else kept


def with_value(text: str, key: str, value: object) -> str:
    """The TOML text with the key set."""
    import tomlkit

    document = tomlkit.parse(text)
    document[key] = value
    return tomlkit.dumps(document)


def without(text: str, key: str) -> str:
    """The TOML text with the key taken out."""
    import tomlkit

    document = tomlkit.parse(text)
    if key in document:
        del document[key]
    return tomlkit.dumps(document)
