"""ATIF with its pictures beside it, where its validator looks for them: `FILE.images/SHA256.png`.

The format names pictures by path. A row holds them as `data:` addresses until it is written, so
that whatever looks at rows sees all of them.
"""

import base64
import binascii
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wardian.export.parts import Part
from wardian.export.rows import Row

MARK = b'"path": "data:'


class AtifFile(Part):
    """A document a line."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        super().__init__(path)
        self.images = path.with_name(f"{path.name}.images")
        self._drafts: Path | None = None

    def write(self, line: bytes) -> None:
        if MARK in line:
            row: Row = json.loads(line)
            for source in sources(row):
                source["path"] = self._placed(source["path"])
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        super().write(line)

    def keep(self) -> Row:
        if self._drafts:
            self.images.mkdir(mode=0o700, exist_ok=True)
            for draft in self._drafts.iterdir():
                draft.replace(self.images / draft.name)
        self._forget()
        return super().keep()

    def drop(self) -> None:
        self._forget()
        super().drop()

    def _placed(self, address: str) -> str:
        """The picture's path from the file; what is no picture after all stays as it is."""
        head, _, data = address.partition(";base64,")
        with suppress(binascii.Error, ValueError):
            content = base64.b64decode(data, validate=True)
            name = f"{hashlib.sha256(content).hexdigest()}.{head.rpartition('/')[2]}"
            if self._drafts is None:
                self._drafts = Path(tempfile.mkdtemp(prefix=".images.", dir=self.images.parent))
            draft = self._drafts / name
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            return f"{self.images.name}/{name}"
        return address

    def _forget(self) -> None:
        if self._drafts:
            shutil.rmtree(self._drafts, ignore_errors=True)
            self._drafts = None


def sources(row: Row) -> Iterator[Row]:
    """Those of the pictures in a document's messages."""
    for step in row["steps"]:
        for part in step["message"] if isinstance(step["message"], list) else ():
            if str(part.get("source", {}).get("path", "")).startswith("data:"):
                yield part["source"]
