"""A dataset's card: what is in it, where it comes from, and what was done to it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import Any, cast

from wardian._version import __version__
from wardian.errors import StorageError
from wardian.export.filters import Filters
from wardian.export.rows import Row
from wardian.export.splitting import Split
from wardian.export.writing import Exported
from wardian_policies.redaction.values import KnownValues

SCHEMA = "wardian.dataset/1"
MARK = "(a registered secret)"


def card_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.card.json")


def card(
    done: Exported,
    *,
    format_name: str,
    filters: Filters,
    split: Split,
    secrets: Mapping[str, str] | None = None,
    near_duplicates: float | None = None,
    decontaminated: Sequence[str] = (),
    consent: str = "",
) -> Row:
    """`decontaminated` names the evaluations whose texts no row gives away.

    A text in it that holds one of `secrets` gives way to a mark.
    """
    secrets = secrets or {}
    content: Row = {
        "schema": SCHEMA,
        "format": format_name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"wardian": __version__, "python": python_version()},
        "files": done.files,
        "counts": {
            "rows": done.rows,
            "duplicates": done.duplicates,
            "near_duplicates": done.near_duplicates,
            "contaminated": done.contaminated,
            "runs_read": done.read,
            "runs_used": len(done.run_ids),
            "left_out": dict(sorted(done.left_out.items())),
        },
        "filters": filters.given(),
        "split": dict(split.shares),
        "near_duplicates_from": near_duplicates,
        "decontaminated_against": list(decontaminated),
        "consent": {"statement": consent, "runs_refused": done.refused},
        "models": dict(sorted(done.models.items())),
        "registered_secrets_searched": len(secrets),
        "run_ids": sorted(done.run_ids),
    }
    marked: Row = _marked(content, KnownValues(secrets)) if secrets else content
    return marked


def _marked(value: object, known: KnownValues) -> Any:
    if isinstance(value, str):
        return MARK if known.find(value) else value
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return {_marked(key, known): _marked(item, known) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_marked(item, known) for item in cast("list[object]", value)]
    return value


def write_card(content: Row, output: Path) -> Path:
    """Raises: StorageError."""
    path = card_path(output)
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another place."
        ) from error
    return path
