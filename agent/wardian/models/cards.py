"""Cards of probed models, kept beside the models; a later run takes style and window from them."""

import hashlib
import json
from pathlib import Path
from typing import Any, cast


def card_path(folder: Path, model: str) -> Path:
    return folder / "cards" / f"{hashlib.sha256(model.encode()).hexdigest()[:16]}.json"


def keep_card(folder: Path, facts: dict[str, Any], stamp: str, measured: str) -> Path:
    """Write what `probe.probe` measured. `stamp` tells the model's file from a later one."""
    path = card_path(folder, str(facts["model"]))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({**facts, "stamp": stamp, "measured": measured}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read_card(folder: Path, model: str, stamp: str) -> dict[str, Any]:
    """The card's facts; empty where there is none, or the file has changed since."""
    try:
        value: Any = json.loads(card_path(folder, model).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    facts = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return facts if facts.get("model") == model and facts.get("stamp") == stamp else {}


def stamp_of(path: Path | None) -> str:
    """Size and time of a model's file; empty for a model without one."""
    if path is None:
        return ""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size}-{stat.st_mtime_ns}"
