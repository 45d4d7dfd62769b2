"""What names a model file for good."""

import hashlib
from pathlib import Path
from typing import Any

WHOLE_HASH_BYTES = 256 * 2**20
"""Up to this size all of a file is hashed (a sixth of a second); of a larger one the first and the
last `EDGE_HASH_BYTES`, which hold its metadata and its last tensors, and its size."""
EDGE_HASH_BYTES = 16 * 2**20


def file_hash(path: Path, size: int) -> dict[str, Any]:
    with path.open("rb") as file:
        if size <= WHOLE_HASH_BYTES:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        digest = hashlib.sha256(file.read(EDGE_HASH_BYTES))
        file.seek(size - EDGE_HASH_BYTES)
        digest.update(file.read())
    return {"sha256_head_tail": digest.hexdigest(), "size_bytes": size}


def version_of(distribution: str) -> str | None:
    # Only a run with a model file asks; the import costs a tenth of a whole start.
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
