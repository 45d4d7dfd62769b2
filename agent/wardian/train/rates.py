"""The learning rate of each step of SFT, DPO and KTO."""

import math
from typing import Any

from wardian.train.recipe import Recipe


def schedule(optimizer: Any, recipe: Recipe, steps: int) -> Any:
    """As torch has it, over so many steps."""
    from torch.optim.lr_scheduler import LambdaLR

    training = recipe.training
    warmup = math.ceil(training.warmup_share * steps)
    return LambdaLR(optimizer, lambda done: rate_share(training.schedule, done, warmup, steps))


def rate_share(kind: str, done: int, warmup: int, steps: int) -> float:
    """Of the highest rate, once so many steps are done.

    No step has the rate 0: the first of w steps of warm-up has 1 / w of it.
    """
    if done < warmup:
        return (done + 1) / warmup
    part = min(1.0, (done - warmup) / max(1, steps - warmup))
    match kind:
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * part))
        case "linear":
            return 1.0 - part
        case _:
            return 1.0
