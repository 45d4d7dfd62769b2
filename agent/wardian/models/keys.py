"""API keys: from the environment or the system keyring, never shown, never stored."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import ConfigurationError

KEYRING_SERVICE = "wardian"
"""`keyring set wardian openai` stores OpenAI's key."""

_VARIABLES = {
    "gemini": "GEMINI_API_KEY",
    "google": "GEMINI_API_KEY",
    "hf": "HF_TOKEN",
    "huggingface": "HF_TOKEN",
    "llama-server": "LLAMA_API_KEY",
    "perplexity": "PERPLEXITYAI_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
}
"""Providers whose variable is not PROVIDER_API_KEY."""


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """A key and where it comes from. Read anew for each request, so a rotated key is seen."""

    source: str
    """What to tell the user: a variable's name, or the keyring entry's"""
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


def key_variable(provider: str) -> str:
    """The environment variable that holds a provider's key: `OPENAI_API_KEY`."""
    return _VARIABLES.get(provider, provider.upper().replace("-", "_") + "_API_KEY")


def find_key(provider: str, environ: Mapping[str, str]) -> ApiKey | None:
    """The provider's key: from `environ`, else from the keyring where `keyring` is installed."""
    variable = key_variable(provider)
    if environ.get(variable, "").strip():
        return ApiKey(variable, lambda: environ.get(variable, ""))
    held = _read_keyring(provider)
    return ApiKey(f"the keyring's entry {provider!r}", lambda: held) if held else None


def _read_keyring(provider: str) -> str:
    """What the keyring holds for the provider; "" when it has nothing, or there is none."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    try:
        held: object = keyring.get_password(KEYRING_SERVICE, provider)
    except Exception:  # noqa: BLE001 - back ends raise anything: no D-Bus, locked, headless
        return ""
    return held if isinstance(held, str) else ""
