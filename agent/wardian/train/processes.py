"""Several processes, a GPU each, under `accelerate launch`: the first one writes and speaks.

Not covered: GRPO, whose attempts are made by one engine; several machines.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

from wardian.errors import ConfigurationError
from wardian.train.libraries import library


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def first_before_others() -> Generator[None]:
    """What the first process does in the block the others find done."""
    if count() == 1:
        yield
        return
    import torch

    state = library("accelerate").PartialState
    with state(cpu=not torch.cuda.is_available()).main_process_first():
        yield


def check_alone() -> None:
    """Raises: ConfigurationError."""
    if count() > 1:
        raise ConfigurationError(
            "GRPO trains in one process.", "Run it without `accelerate launch`, on one GPU."
        )


def keep_to_one_gpu() -> None:
    """Without a launcher TRL refuses a machine with several GPUs: take the first of them."""
    if count() == 1:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
