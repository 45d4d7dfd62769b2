"""What the sandbox raises. A command that fails is a result, never one of these.

SandboxError
├── InvalidRequest       no image, package or file can be called what was asked for
├── SandboxUnavailable   this machine cannot enforce the sandbox that was asked for
└── SandboxLost          the sandbox died
    └── ProtocolBroken   what came out of it was not our supervisor's: somebody forges
"""


def last_line(said: str) -> str:
    """What of a process's last words tells why it ended: a message holds no traceback."""
    return ([line.strip() for line in said.splitlines() if line.strip()] or [""])[-1]


class SandboxError(Exception):
    """Root of what this package raises: one sentence of cause, one of remedy."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class InvalidRequest(SandboxError):
    """What was asked for cannot be: a name that Docker or Debian does not know, a missing file."""


class SandboxUnavailable(SandboxError):
    """The machine lacks what the sandbox needs (no bwrap, user namespaces forbidden)."""


class SandboxLost(SandboxError):
    """The sandbox ended while it was in use; its state is gone."""


class ProtocolBroken(SandboxLost):
    """A frame that is malformed, or that nobody asked for: the sandbox was ended for it."""
