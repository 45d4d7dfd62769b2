"""Trained weights on disk, looked at and loaded: a whole model, or a LoRA adapter and its base."""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, ModelUnavailable

EXTRA = "Install it with: pip install 'wardian[train]'."
LARGEST_FLOAT32_BYTES = 8 * 2**30
"""Up to this size a model is compared in float32, above it in its own precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model of transformers in memory, its adapter merged into it."""

    folder: Path
    """Of the whole model, the adapter's base where there is one"""
    adapter: Path | None
    model: Any
    tokenizer: Any

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.model.config.to_dict()
        return found


def is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def base_of(adapter: Path) -> Path:
    """The folder of the model an adapter was made for. Raises: ModelUnavailable."""
    described = read_json(adapter / "adapter_config.json")
    named = str(described.get("base_model_name_or_path") or "")
    base = Path(named).expanduser()
    if not named or not (base / "config.json").is_file():
        raise ModelUnavailable(
            f"The adapter {adapter} was made for {named or 'a model it does not name'}, "
            "which is no folder here.",
            "Name the folder of its base model: --base FOLDER.",
        )
    return base


def read_json(path: Path) -> dict[str, Any]:
    """Raises: ModelUnavailable."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise ModelUnavailable(
            f"{path.parent} holds no trained model: it has no {path.name}.",
            "Name the folder that the training wrote.",
        ) from e
    except (OSError, ValueError) as e:
        raise ModelUnavailable(f"{path} cannot be read ({e}).", "Train or copy it again.") from e
    if not isinstance(value, dict):
        raise ModelUnavailable(f"{path} is no JSON object.", "Train or copy it again.")
    return cast("dict[str, Any]", value)


def load_source(folder: Path, *, base: Path | None = None) -> Source:
    """Load the model in `folder`, or the adapter there merged into its base.

    Nothing is fetched, and no code of the model's own is run. Raises: WardianError.
    """
    adapter = folder if is_adapter(folder) else None
    whole = (base or base_of(folder)) if adapter else folder
    read_json(whole / "config.json")
    model = _model(whole)
    if adapter:
        model = _merged(model, adapter)
    model.eval()
    return Source(
        folder=whole, adapter=adapter, model=_precise(model), tokenizer=_tokenizer(folder, whole)
    )


def _model(folder: Path) -> Any:
    """Raises: ModelUnavailable, ConfigurationError."""
    transformers = _transformers()
    from safetensors import SafetensorError

    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as e:
        raise ModelUnavailable(
            f"The model in {folder} cannot be loaded ({_first_line(e)}).", "Train or copy it again."
        ) from e


def _merged(model: Any, adapter: Path) -> Any:
    """Raises: ConfigurationError, ModelUnavailable."""
    from safetensors import SafetensorError

    try:
        import peft
    except ImportError as e:
        raise ConfigurationError("peft, which merges adapters, is not installed.", EXTRA) from e
    try:
        with warnings.catch_warnings():
            # peft asks transformers for what its next version names otherwise
            warnings.simplefilter("ignore", FutureWarning)
            kind: Any = peft.PeftModel  # its types are partly unknown
            return kind.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as e:
        raise ModelUnavailable(
            f"The adapter {adapter} does not go with its base model ({_first_line(e)}).",
            "Name the model it was trained on: --base FOLDER.",
        ) from e


def _precise(model: Any) -> Any:
    """In float32 where that is small enough: half precision on a CPU adds errors of its own."""
    parameters = sum(p.numel() for p in model.parameters())
    return model.float() if parameters * 4 <= LARGEST_FLOAT32_BYTES else model


def _tokenizer(folder: Path, whole: Path) -> Any:
    """The one saved with the training, else the base model's. Raises: ModelUnavailable."""
    transformers = _transformers()
    place = folder if (folder / "tokenizer_config.json").is_file() else whole
    try:
        return transformers.AutoTokenizer.from_pretrained(
            place, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as e:
        raise ModelUnavailable(
            f"The tokenizer in {place} cannot be loaded ({_first_line(e)}).",
            "Copy the base model's tokenizer files beside the weights.",
        ) from e


def _transformers() -> Any:
    """Raises: ConfigurationError."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import transformers
    except ImportError as e:
        raise ConfigurationError(
            "transformers, which loads trained weights, is not installed.", EXTRA
        ) from e
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
