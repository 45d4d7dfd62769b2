"""What a dataset is to be like."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from wardian.data.choosing import Caps
from wardian.data.rows import Goal
from wardian.errors import ConfigurationError

ANY = "any"


class Form(StrEnum):
    """What rows are made of."""

    AUTO = "auto"
    """Tokens where they were recorded, text where none were"""
    TOKENS = "tokens"
    TEXT = "text"


class Scope(StrEnum):
    """How much of two attempts a pair compares."""

    STEP = "step"
    """The first replies that differ, one message a side: what TRL's trainers can learn from as
    they are"""
    RUN = "run"
    """All that followed them; results in between are masked, which the trainer must honour"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is made of which runs."""

    goal: Goal
    threshold: float = 1.0
    """A reward of so much or more is good"""
    margin: float = 0.5
    """A pair's rewards differ by so much or more; for `kto`, bad is so much below good"""
    reward: str = ""
    """The verifier whose rewards count, or `user`; empty is whichever spoke last"""
    suites: tuple[str, ...] = ()
    """Names or paths; where there are any, only attempts at their tasks count"""
    against: tuple[str, ...] = ()
    """Further suites whose dev and test splits are kept out, beside `suites` and the built-in"""
    role: str = ""
    """Of a sub-agent; empty is runs that people asked for. Its runs earn what their caller's did"""
    form: Form = Form.AUTO
    scope: Scope = Scope.STEP
    caps: Caps = field(default_factory=Caps)
    near: float = 0.9
    """Rows that have this share of their words in common count as one; 1 finds equal ones only"""
    max_tokens: int | None = None
    """Longer rows are left out"""
    weights: str = ""
    """Beginning of the hash of the weights that sampled; `any` takes all that share a tokenizer"""
    difficulty: tuple[float, float] = (0.0, 1.0)
    """For `grpo`: the share of attempts that solved a task lies between these, not at them"""
    with_suspicious: bool = False
    """Rewards that a verifier wants a person to look at"""
    consent: str = ""
    """Whose leave there is to use the runs, in words for the card"""
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.difficulty
        if not 0 <= low < high <= 1:
            raise ConfigurationError(
                f"A difficulty between {low:g} and {high:g} is none.",
                "Write two shares, the lower one first: 0.1:0.9.",
            )
        if not 0 < self.near <= 1:
            raise ConfigurationError(
                f"{self.near:g} is no share of words.", "Choose between 0 and 1, such as 0.9."
            )

    def as_json(self) -> dict[str, Any]:
        """Without `consent`, which a card has a place of its own for."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del plain["consent"]
        return plain
