"""What this machine has to answer with, where no model is named: looked for, chosen, and said."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from wardian.cli.model_choice import BUILT_IN, NO_MODEL
from wardian.models.catalogue import keyed_providers
from wardian.models.detection import Found, FoundModel, look_around
from wardian.models.gguf_files import FILE_KINDS, model_folders
from wardian.settings import Settings, paths

SHOWN = 3


def with_found(settings: Settings, notice: Callable[[Sequence[str]], None]) -> Settings:
    """The settings with the model that was chosen; what was found is said aloud."""
    places = [paths(os.environ).models, *model_folders(os.environ)]
    found = look_around(os.environ, places, keyed_providers(os.environ))
    notice(sentences(found))
    chosen = found.choice
    if chosen is None:
        return replace(settings, model=BUILT_IN)
    is_served = not chosen.spelling.startswith(FILE_KINDS)
    told = chosen.context_tokens if is_served else None
    context = settings.context_tokens or told
    return replace(settings, model=chosen.spelling, context_tokens=context)


def sentences(found: Found) -> list[str]:
    """What was found and what was chosen of it, for people."""
    chosen = found.choice
    others = [m for m in found.models if m is not chosen]
    said = [NO_MODEL]
    if chosen is not None:
        said = [f"no model is configured; found {_named(chosen)}, which does it (-m chooses)"]
    if others:
        said.append(f"also found: {_listed(others)}")
    if found.keys:
        said.append(f"keys are set for {', '.join(found.keys)}, used only when asked (-m)")
    return said


def _listed(models: Sequence[FoundModel]) -> str:
    more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
    return ", ".join(m.spelling for m in models[:SHOWN]) + more


def _named(model: FoundModel) -> str:
    is_file = model.spelling.startswith(FILE_KINDS)
    return model.spelling if is_file else f"{model.spelling} at {model.where}"
