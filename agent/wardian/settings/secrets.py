"""API keys: from the environment, or from the system's keyring where `keyring` is installed."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import NoReturn, Self

VARIABLES = {"huggingface": "HF_TOKEN", "hf": "HF_TOKEN", "google": "GEMINI_API_KEY"}
"""Providers whose variable is not PROVIDER_API_KEY."""
KEYRING_SERVICE = "wardian"


class Secret:
    """A value that must not be shown. Covers repr, str, formatting and `dataclasses.asdict` of
    what holds it, and refuses to be pickled; `reveal` gives it out.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret is not pickled. Reveal it where it is needed.")


def key_variable(provider: str) -> str:
    """The environment variable that holds a provider's key: `OPENAI_API_KEY`."""
    return VARIABLES.get(provider, provider.upper().replace("-", "_") + "_API_KEY")


def api_key(provider: str, environ: Mapping[str, str]) -> Secret | None:
    """The provider's key, or None. The environment comes first; the keyring is optional."""
    value = environ.get(key_variable(provider), "").strip() or from_keyring(provider)
    return Secret(value) if value else None


def from_keyring(provider: str) -> str | None:
    """What `keyring set wardian PROVIDER` stored; None without a keyring."""
    if importlib.util.find_spec("keyring") is None:
        return None
    keyring = importlib.import_module("keyring")
    errors = importlib.import_module("keyring.errors")
    try:
        value: str | None = keyring.get_password(KEYRING_SERVICE, provider)
    except errors.KeyringError:
        return None  # no keyring runs in this session, or it stays locked
    return value
