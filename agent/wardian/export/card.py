"""A dataset's card: what is in it, where it comes from, and what was done to it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version

from wardian._version import __version__
from wardian.errors import StorageError
from wardian.export.filters import Filters
from wardian.export.rows import Row
from wardian.export.splitting import Split
from wardian.export.writing import Exported

SCHEMA = "wardian.dataset/1"


def card_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.card.json")


def card(done: Exported, *, format_name: str, filters: Filters, split: Split, secrets: int) -> Row:
    """`secrets` is how many registered values were looked for."""
    given = {name: value for name, value in asdict(filters).items() if value}
    if filters.since:
        given["since"] = filters.since.isoformat()
    return {
        "schema": SCHEMA,
        "format": format_name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"wardian": __version__, "python": python_version()},
        "files": done.files,
        "counts": {
            "rows": done.rows,
            "duplicates": done.duplicates,
            "runs_read": done.read,
            "runs_used": len(done.run_ids),
            "left_out": dict(sorted(done.left_out.items())),
        },
        "filters": given,
        "split": dict(split.shares),
        "models": dict(sorted(done.models.items())),
        "registered_secrets_searched": secrets,
        "run_ids": sorted(done.run_ids),
    }


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
