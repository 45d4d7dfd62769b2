"""What the policies package raises.

PolicyError
└── PolicyFileError   a policy file cannot be read or says something impossible
"""

from pathlib import Path


class PolicyError(Exception):
    """Root of what this package raises: one sentence of cause, one of remedy."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class PolicyFileError(PolicyError):
    """The file's text is not a policy; the cause begins with `file:line:`."""

    def __init__(self, path: Path | str, line: int | None, cause: str, remedy: str = "") -> None:
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {cause}", remedy)
