"""From a model's spelling to a model, and the list of what this machine can use.

The kinds of model but the commonest are imported where one is made: a run uses one of them.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from wardian.errors import ConfigurationError, ModelRefused, ModelUnavailable
from wardian.models.call_style import CallStyle
from wardian.models.chat import ChatModel
from wardian.models.gguf_files import (
    FILE_KINDS,
    GgufFile,
    check_gguf,
    find_gguf_files,
    find_in_hugging_face_cache,
    model_folders,
)
from wardian.models.keys import find_key, key_variable
from wardian.models.providers import LITELLM_PROVIDERS, LOCAL_SERVERS, OPENAI_URL, endpoint_of
from wardian.models.registry import Registered, Registry, name_of, registry
from wardian.types import Model

TINY_PATH = Path(__file__).parent / "tiny" / "tiny.gguf"
TINY_REPLY_TOKENS = 768
"""Longer than any reply `tiny` learned to give: one that goes on is going round in circles, and is
stopped while there is room left to tell it so."""

SPELLINGS = (
    "tiny, local:NAME, gguf:PATH, hf:OWNER/NAME:QUANT, ollama/NAME, openai/NAME, or PROVIDER/NAME"
)


def resolve_model(
    spelling: str,
    *,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    context_tokens: int | None = None,
    call_style: str = CallStyle.AUTO,
    adapter: str = "",
) -> Model:
    """The model so spelled. Nothing is loaded or asked over the network yet.

    `base_url` replaces the address of a provider; with it, a bare NAME is that server's model.
    `context_tokens` and `adapter` (LoRA files: PATH or PATH@SCALE, with commas between) are for
    models loaded here. `call_style` is how it is told to call tools.
    Raises: ModelUnavailable, ModelRefused (no key), ConfigurationError.
    """
    style = CallStyle(call_style)
    given = os.environ if environ is None else environ
    model = _resolved(spelling, base_url, given, context_tokens, adapters_named(adapter))
    is_own = style is CallStyle.NATIVE or (style is CallStyle.AUTO and not _may_lack_tools(model))
    if is_own:
        return model
    from wardian.models.styled import StyledModel

    return StyledModel(model, style)


def _may_lack_tools(model: Model) -> bool:
    """A server of one's own serves models that take no tools; a provider's take them."""
    return isinstance(model, ChatModel) and not model.identity["endpoint"].startswith(OPENAI_URL)


def adapters_named(text: str) -> list[tuple[Path, float]]:
    """LoRA files and their scales. Raises: ConfigurationError."""
    found: list[tuple[Path, float]] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        path, _, scale = name.rpartition("@")
        try:
            found.append((Path(path).expanduser(), float(scale)) if path else (Path(name), 1.0))
        except ValueError as e:
            raise ConfigurationError(
                f"{scale!r} is no scale for the adapter {path}.", "Write PATH, or PATH@0.5."
            ) from e
    return found


def _resolved(
    spelling: str,
    base_url: str | None,
    environ: Mapping[str, str],
    context_tokens: int | None,
    adapters: Sequence[tuple[Path, float]],
) -> Model:
    spelling = spelling.strip()
    if spelling == "tiny" or spelling.startswith(FILE_KINDS):
        if base_url:
            raise ConfigurationError(
                f"{spelling!r} is loaded here, but a base URL is set: {base_url}.",
                "Leave out --base-url, or name a model of that server.",
            )
        from wardian.models.llama import LlamaModel

        own = _own(spelling, environ)
        return LlamaModel(
            local_file(spelling, environ),
            name=spelling,
            context_tokens=context_tokens,
            adapters=[*_own_adapter(own, environ), *adapters],
            reply_tokens=reply_tokens_of(spelling, environ),
        )
    if adapters:
        raise ConfigurationError(
            f"An adapter is named, but {spelling!r} is not loaded here.",
            "Name a GGUF file with gguf:PATH, or leave out the adapter.",
        )
    provider, _, model_id = spelling.partition("/")
    if model_id and (provider == "openai" or provider in LOCAL_SERVERS):
        return _chat_model(spelling, provider, model_id, base_url, environ)
    if model_id and provider in LITELLM_PROVIDERS:
        from wardian.models.litellm_model import LitellmModel

        api_key = find_key(provider, environ)
        return LitellmModel(spelling, base_url=base_url, api_key=api_key)
    if base_url and spelling:
        return _chat_model(spelling, "openai", spelling, base_url, environ)
    raise _unknown(spelling)


def _own(spelling: str, environ: Mapping[str, str]) -> Registered | None:
    """Raises: ModelUnavailable for a name that is not registered."""
    name = name_of(spelling)
    return None if name is None else registry(environ).get(name)


def _own_adapter(own: Registered | None, environ: Mapping[str, str]) -> list[tuple[Path, float]]:
    """An adapter of the user's own, and those that its parent has."""
    if own is None or not own.is_adapter:
        return []
    below = _own_adapter(_own(own.parent, environ), environ)
    return [*below, (registry(environ).file(own), 1.0)]


def reply_tokens_of(spelling: str, environ: Mapping[str, str]) -> int | None:
    """The longest reply that a model's family gives; None where there is no such bound."""
    own = _own(spelling, environ)
    return own.reply_tokens if own else TINY_REPLY_TOKENS if spelling == "tiny" else None


def _chat_model(
    spelling: str,
    provider: str,
    model_id: str,
    base_url: str | None,
    environ: Mapping[str, str],
) -> ChatModel:
    endpoint = endpoint_of(provider, base_url, environ)
    api_key = find_key(provider, environ)
    if api_key is None and endpoint.base_url.startswith(OPENAI_URL):
        raise ModelRefused(
            f"The model {spelling!r} needs an API key and {endpoint.key_variable} is not set.",
            f"Set {endpoint.key_variable}, or OPENAI_BASE_URL to a server that needs none.",
        )
    return ChatModel(spelling, endpoint=endpoint, model_id=model_id, api_key=api_key)


def local_file(spelling: str, environ: Mapping[str, str]) -> Path:
    """The GGUF file of `tiny`, `local:NAME`, `gguf:PATH` or `hf:OWNER/NAME:QUANT`, looked at.

    Of an adapter of the user's own, its base's.
    """
    own = _own(spelling, environ)
    if own is not None:
        if own.is_adapter:
            return local_file(own.parent, environ)
        path = registry(environ).file(own)
        check_gguf(path)
        return path
    kind, _, rest = spelling.partition(":")
    if kind == "hf":
        return _cached_file(rest, environ)
    if kind == "gguf" and not rest:
        raise ModelUnavailable("'gguf:' names no file.", "Write gguf:PATH.")
    if kind == "tiny":
        if not TINY_PATH.is_file():
            raise ModelUnavailable(
                f"The built-in model is missing: {TINY_PATH}.", "Install wardian again."
            )
        return TINY_PATH
    path = Path(rest).expanduser().absolute()
    check_gguf(path)
    return path


def _cached_file(reference: str, environ: Mapping[str, str]) -> Path:
    repo, _, quant = reference.partition(":")
    owner, _, name = repo.partition("/")
    if not owner or not name or "/" in name or ".." in repo:
        raise ModelUnavailable(
            f"'hf:{reference}' names no repository.", "Write hf:OWNER/NAME:QUANT."
        )
    held = find_in_hugging_face_cache(repo, quant, environ)
    if held is None:
        raise ModelUnavailable(
            f"The Hugging Face cache has no GGUF file of {repo}{f' in {quant}' if quant else ''}.",
            f"Download it: agent models pull hf:{reference}",
        )
    check_gguf(held.path)
    return held.path


def _unknown(spelling: str) -> ModelUnavailable:
    """What could have been meant."""
    if not spelling:
        return ModelUnavailable("No model is named.", f"Write {SPELLINGS}.")
    if spelling.endswith(".gguf"):
        return ModelUnavailable(
            f"No model is called {spelling!r}.", f"For a file write gguf:{spelling}."
        )
    prefixes = [f"{p}/" for p in ("openai", *LOCAL_SERVERS, *sorted(LITELLM_PROVIDERS))]
    head, slash, tail = spelling.partition("/")
    near = difflib.get_close_matches(
        head + slash, ["tiny", "local:", "gguf:", "hf:", *prefixes], n=3, cutoff=0.6
    )
    meant = [n + tail if n.endswith("/") else n for n in near]
    hint = f"Did you mean {' or '.join(meant)}? " if meant else ""
    return ModelUnavailable(
        f"No model is called {spelling!r}.",
        f"{hint}Models are spelled {SPELLINGS}; `agent models list` shows what is here.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One line of `agent models list`."""

    spelling: str
    """`openai/…` stands for any of the provider's models"""
    source: str
    """`built-in`, `own`, `file`, or `provider`"""
    detail: str
    path: Path | None = None
    size_bytes: int | None = None


def known_models(
    environ: Mapping[str, str] | None = None, paths: Sequence[Path] | None = None
) -> list[KnownModel]:
    """What this machine can use, without asking anybody: the built-in model, GGUF files below
    `paths` (by default where programs keep them), and providers with a key in the environment."""
    environ = os.environ if environ is None else environ
    files = find_gguf_files(model_folders(environ) if paths is None else paths)
    own = registry(environ)
    others = [file for file in files if not file.path.is_relative_to(own.root)]
    return [
        *_built_in(),
        *_known_own(own),
        *(_known_file(file) for file in others),
        *_known_providers(environ),
    ]


def _known_own(own: Registry) -> list[KnownModel]:
    found: list[KnownModel] = []
    for name in own.names():
        with suppress(ModelUnavailable):  # said where it is asked for
            model = own.get(name)
            path = own.file(model)
            made = f"trained from {model.parent}" if model.parent else "added"
            found.append(
                KnownModel(
                    spelling=model.spelling,
                    source="own",
                    detail=f"an adapter for {model.parent}" if model.is_adapter else made,
                    path=path,
                    size_bytes=path.stat().st_size,
                )
            )
    return found


def _built_in() -> list[KnownModel]:
    if not TINY_PATH.is_file():
        return []  # a checkout in which it was not trained yet
    size_bytes = TINY_PATH.stat().st_size
    detail = "the built-in model"
    return [
        KnownModel(
            spelling="tiny",
            source="built-in",
            detail=detail,
            path=TINY_PATH,
            size_bytes=size_bytes,
        )
    ]


def _known_file(file: GgufFile) -> KnownModel:
    return KnownModel(
        spelling=file.spelling,
        source="file",
        detail=str(file.path),
        path=file.path,
        size_bytes=file.size_bytes,
    )


def keyed_providers(environ: Mapping[str, str]) -> list[str]:
    """Providers whose key or address the environment holds."""
    return [model.spelling.removesuffix("/…") for model in _known_providers(environ)]


def _known_providers(environ: Mapping[str, str]) -> list[KnownModel]:
    """Providers whose key or address the environment holds."""
    found: list[KnownModel] = []
    missing = "" if find_spec("litellm") else "; needs pip install 'wardian[api]'"
    for provider in ("openai", *LOCAL_SERVERS, *sorted(LITELLM_PROVIDERS)):
        address = (
            "OLLAMA_HOST"
            if provider == "ollama"
            else provider.upper().replace("-", "_") + "_BASE_URL"
        )
        is_ours = provider not in LITELLM_PROVIDERS
        names = [address, key_variable(provider)] if is_ours else [key_variable(provider)]
        named = [name for name in names if environ.get(name, "").strip()]
        if named:
            detail = f"{' and '.join(named)} set{'' if is_ours else missing}"
            found.append(KnownModel(spelling=f"{provider}/…", source="provider", detail=detail))
    return found
