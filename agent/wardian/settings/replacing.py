"""Files of the user's that are written whole or not at all."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from wardian.errors import ConfigurationError


def replace_file(path: Path, text: str) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()
        cause = f"{path} cannot be written ({error.strerror})."
        raise ConfigurationError(cause, "Check its permissions and the space left.") from error
