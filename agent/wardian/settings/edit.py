"""Change one setting in the user's file, leaving the rest as it stands."""

from pathlib import Path

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
    if key not in SCHEMA:
        raise ConfigurationError(f"{key!r} is not a setting.", nearest(key, SCHEMA))
    kept = value_of(SCHEMA[key], value, key)
    path = path.resolve()  # a link, as dotfile collections have, stays one
    make_folder(path.parent)
    try:
        text = ""
        if path.exists():
            read(path, SCHEMA)
            text = read_text(path)
    except PolicyFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error
    replace_file(path, with_value(text, key, UNLIMITED if kept is None else kept))


def with_value(text: str, key: str, value: object) -> str:
    """The TOML text with the key set."""
    import tomlkit

    document = tomlkit.parse(text)
    document[key] = value
    return tomlkit.dumps(document)
