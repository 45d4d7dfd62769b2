"""The policy's vocabulary: what it decides, and about what."""

from dataclasses import dataclass
from enum import StrEnum

from wardian_sandbox.types import Confinement


class Verdict(StrEnum):
    """What a rule says of the calls it names; each is stricter than the one before."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where a decision comes from, so that a person can find and change it."""

    text: str
    """The rule as written: `ask shell(git push*)`."""
    source: str
    """`preset default`, or the file's path with its line: `/home/u/policy.toml:12`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The call may run, inside these bounds. The only decision that carries a `Confinement`."""

    within: Confinement
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The call may not run; the model is told the reason."""

    reason: str
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person decides. `granted` is what the call gets if the answer is yes."""

    question: str
    rule: Rule
    granted: Allow
    unattended: str = ""
    """Why the call is denied where nobody can be asked; empty ends the run there."""


Decision = Allow | Deny | Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What a whole run may consume; None is no limit. Reaching one is exit code 5."""

    steps: int | None = 50
    """model replies"""
    tool_calls: int | None = 200
    tokens: int | None = None
    """prompt + completion tokens over all replies"""
    cost_usd: float | None = None
    wall_seconds: float | None = 3600.0
