"""Which model does a run where none is named: what this machine has, shown, else the built-in."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from wardian.errors import ModelError, ModelRefused
from wardian.local_only import is_elsewhere
from wardian.models.cards import read_card, stamp_of
from wardian.models.catalogue import local_file, resolve_model
from wardian.models.gguf_files import FILE_KINDS
from wardian.settings import Settings, paths
from wardian.types import Model

BUILT_IN = "tiny"
NO_MODEL = "no model is configured, so the built-in one does it (`agent models list`, -m)"


def with_model(settings: Settings, notice: Callable[[Sequence[str]], None]) -> Settings:
    """The settings with a model, and what was found said aloud where none was named."""
    if settings.base_url is not None:
        if settings.model is None:
            notice([NO_MODEL])
        return settings
    if settings.model is not None:
        return as_measured(settings)
    # Who names a model does not wait for what looks for one.
    from wardian.cli.model_finding import with_found

    return as_measured(with_found(settings, notice))


def as_measured(settings: Settings) -> Settings:
    """Style and window as the model's card has them, where the user did not say."""
    model = settings.model or ""
    card = read_card(paths(os.environ).models, model, stamp_of(file_of(model)))
    if not card:
        return settings
    style = settings.call_style
    if style == "auto" and card.get("style") in ("text", "code"):
        style = str(card["style"])
    context = settings.context_tokens or card.get("context_tokens")
    return replace(settings, call_style=style, context_tokens=context)


def file_of(model: str) -> Path | None:
    """The file of a model that is one, and is here."""
    if model != "tiny" and not model.startswith(FILE_KINDS):
        return None
    try:
        return local_file(model, os.environ)
    except ModelError:
        return None


def configured_model(settings: Settings) -> Model:
    """The model the settings name, those after it that they name too. Raises: WardianError."""

    def resolved(spelling: str, base_url: str | None) -> Model:
        try:
            return resolve_model(
                spelling,
                base_url=base_url,
                environ=os.environ,
                context_tokens=settings.context_tokens,
                call_style=settings.call_style,
                adapter=settings.adapter,
            )
        except ModelRefused as error:
            if settings.local:  # it lacks a key, so it is a provider's
                raise is_elsewhere(spelling) from error
            raise

    first = resolved(settings.model or BUILT_IN, settings.base_url)
    others = [name.strip() for name in settings.fallback_models.split(",") if name.strip()]
    if not others:
        return first
    from wardian.models.router import RoutedModel

    return RoutedModel([first, *(resolved(name, None) for name in others)])
