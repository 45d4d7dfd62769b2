"""What wardian raises, and the exit code each becomes. What a model got wrong is an event.

WardianError
├── ConfigurationError      3   a setting is unknown, malformed, or contradicts another
├── ModelError              4   the model or its provider cannot answer
│   ├── ModelUnavailable        not found, not reachable, not installed, damaged
│   ├── ModelRefused            the provider said no: key, quota, bad request
│   └── ContextOverflow     5   the prompt is longer than the model's context
├── ApprovalNeeded          6   a call needs a person and nobody can be asked
├── PrivateContent          6   what a run holds may not go to the model it would ask
├── StorageError            8   the trajectory cannot be written or read
│   ├── NewerRun                a later version of wardian wrote the run
│   ├── RunNotFound             no stored run has that id
│   └── RunInUse                another process has it
└── RealModelBlocked        4   a test blocked real models and one was used
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The documented exit codes of `agent`."""

    DONE = 0
    NOT_ACHIEVED = 1
    USAGE = 2
    CONFIGURATION = 3
    MODEL = 4
    LIMIT = 5
    APPROVAL = 6
    SANDBOX = 7
    STORAGE = 8
    INTERRUPTED = 130


class WardianError(Exception):
    """Root of what this package raises: one sentence of cause, one of remedy."""

    exit_code = ExitCode.NOT_ACHIEVED

    def __init__(self, cause: str, remedy: str = "") -> None:
        if cause.endswith("..") and cause[-3:-2] not in (".", "/", " "):
            cause = cause[:-1]  # what another said, quoted at the end, brought its own full stop
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class ConfigurationError(WardianError):
    """A setting is unknown, malformed, or contradicts another."""

    exit_code = ExitCode.CONFIGURATION


class ModelError(WardianError):
    """The model or its provider cannot answer."""

    exit_code = ExitCode.MODEL


class ModelUnavailable(ModelError):
    """Not found, not reachable, not installed, or damaged."""


class ModelRefused(ModelError):
    """The provider answered and said no: key, quota, or a request it will not take."""

    def __init__(self, cause: str, remedy: str = "", *, status: int | None = None) -> None:
        super().__init__(cause, remedy)
        self.status = status


class ContextOverflow(ModelError):
    """The prompt does not fit the model's context. Ends a run by `Stop.CONTEXT`."""

    exit_code = ExitCode.LIMIT


class RealModelBlocked(ModelError):
    """`block_real_models()` is in force and a real model was asked."""


class ApprovalNeeded(WardianError):
    """A call needs a person's yes and nobody can be asked."""

    exit_code = ExitCode.APPROVAL


class PrivateContent(WardianError):
    """What a run holds may, by its policy, not go to the model it would ask."""

    exit_code = ExitCode.APPROVAL


class StorageError(WardianError):
    """The trajectory cannot be written or read."""

    exit_code = ExitCode.STORAGE


class NewerRun(StorageError):
    """A later version of wardian wrote the run, in a format that this one does not read."""


class RunNotFound(StorageError):
    """No stored run has that id."""


class RunInUse(StorageError):
    """Another process has the run."""
