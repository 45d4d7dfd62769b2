"""API keys: from the environment, or from the system's keyring where `keyring` is installed."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

VARIABLES = {"huggingface": "HF_TOKEN", "hf": "HF_TOKEN", "google": "GEMINI_API_KEY"}
"""Providers whose variable is not PROVIDER_API_KEY."""
KEYRING_SERVICE = "wardian"


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be shown. Covers repr, str and formatting; `reveal` gives it out."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "Secret(…)"


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
