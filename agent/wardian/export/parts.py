"""Files being written: under another name until they are whole, readable by their owner only."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from wardian.export.rows import Row


class Draft:
    """One file, with what there is to say of it. Good for whatever writes to a binary stream."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        self.path = path
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.closed = False
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self.draft = Path(draft)
        self.stream: BinaryIO = os.fdopen(handle, "wb")

    def write(self, content: bytes) -> int:
        self.stream.write(content)
        self.sha256.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()
        self.closed = True

    def keep(self) -> Row:
        """Put it in its place."""
        self.close()
        self.draft.replace(self.path)
        return {"name": self.path.name, "sha256": self.sha256.hexdigest(), "bytes": self.size}

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        with suppress(OSError):
            self.close()
        with suppress(OSError):
            self.draft.unlink(missing_ok=True)


class Target(Protocol):
    """One file of a dataset, whatever its form."""

    def write(self, line: bytes) -> None:
        """One row, as a line of JSON. Raises: OSError."""
        ...

    def keep(self) -> Row:
        """Put the whole file in its place and say what it is: name, sha256, bytes, rows."""
        ...

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        ...


class Part:
    """A file of a row a line."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        self.draft = Draft(path)
        self.rows = 0

    def write(self, line: bytes) -> None:
        self.draft.write(line)
        self.rows += 1

    def keep(self) -> Row:
        return self.draft.keep() | {"rows": self.rows}

    def drop(self) -> None:
        self.draft.drop()
