"""API keys: from the environment or the system keyring, never shown, never stored."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import ConfigurationError

KEYRING_SERVICE = "wardian"


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """A key and where it comes from. Read anew for each request, so a rotated key is seen."""

    source: str
    """What to tell the user: a variable's name, or `keyring entry NAME`"""
    read: Callable[[], str]

    def reveal(self) -> str:
        """The key, fit for a header. Raises: ConfigurationError, which does not show it."""
        key = self.read().strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"The key from {self.source} holds characters no API key has.",
                "Set it again, without quotes, spaces or line breaks.",
            )
        return key

    def __repr__(self) -> str:
        return f"ApiKey(source={self.source!r})"


def find_key(variable: str, environ: Mapping[str, str]) -> ApiKey | None:
    """The key named `variable`: from `environ`, else from the keyring where that is installed."""
    if environ.get(variable, "").strip():
        return ApiKey(variable, lambda: environ.get(variable, ""))
    held = _read_keyring(variable)
    return ApiKey(f"keyring entry {variable}", lambda: held) if held else None


def _read_keyring(variable: str) -> str:
    """What the system keyring holds for us; "" when there is none, or no keyring at all."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    try:
        held: object = keyring.get_password(KEYRING_SERVICE, variable)
    except Exception:  # noqa: BLE001 - back ends raise anything: no D-Bus, locked, headless
        return ""
    return held if isinstance(held, str) else ""
