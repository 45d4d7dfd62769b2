"""What training raises beside the package's own errors, and how an error of torch is told.

WardianError
├── TrainingStopped     1   it cannot become better: not a number, collapse, hacked rewards
└── OutOfMemory         4   the model, the batch or the lengths do not fit
"""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wardian.errors import ExitCode, StorageError, WardianError

FULL_BYTES = 64 << 20
"""With less room than this a write that failed has failed for want of room."""
_NO_ROOM = ("no space left", "disk quota exceeded", "os error 28", "os error 122")
_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough mem")


class TrainingStopped(WardianError):
    """Going on would make the model worse; what was saved before is kept."""

    exit_code = ExitCode.NOT_ACHIEVED


class OutOfMemory(WardianError):
    """The message names the settings to lower."""

    exit_code = ExitCode.MODEL


@contextmanager
def told(out: Path, micro_batch: int, max_tokens: int, *, lora: bool) -> Generator[None]:
    """Errors of torch and of the disk as sentences. Raises: OutOfMemory, StorageError."""
    try:
        yield
    except WardianError:
        raise
    except (RuntimeError, MemoryError, OSError) as error:
        if is_full(error, out):
            raise StorageError(
                f"The disk of {out} is full, so a checkpoint could not be written.",
                "Free some space and run the command again: it goes on from the last whole one.",
            ) from error
        if is_memory(error):
            raise OutOfMemory(
                f"Memory ran out with {micro_batch} rows of at most {max_tokens} tokens at once.",
                advice(micro_batch, lora=lora),
            ) from error
        raise
    except Exception as error:
        # safetensors raises its own kind, which is none of the above.
        if is_full(error, out):
            raise StorageError(
                f"The disk of {out} is full, so the model could not be written.",
                "Free some space and run the command again: it goes on from the last whole one.",
            ) from error
        raise


def advice(micro_batch: int, *, lora: bool) -> str:
    """What to lower, the harmless things first."""
    steps: list[str] = []
    if micro_batch > 1:
        steps.append(f"training.micro_batch_size (now {micro_batch})")
    else:
        steps.append("training.max_tokens")
    others = "set training.gradient_checkpointing = true"
    if not lora:
        others += ', or tuning.method = "lora"'
    return f"Lower {' or '.join(steps)}; if that is not enough, {others}."


def is_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(part in text for part in _NO_MEMORY)


def is_full(error: BaseException, out: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error).lower()
    if any(part in text for part in _NO_ROOM):
        return True
    # torch's own writer only says that it failed to write.
    return "writing file" in text and shutil.disk_usage(out).free < FULL_BYTES
