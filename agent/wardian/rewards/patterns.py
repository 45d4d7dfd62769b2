"""Patterns that a task brings, in RE2's syntax."""

from wardian.rewards.types import GradingFailed
from wardian_policies.linear import Pattern, compile_pattern


def compiled(pattern: str) -> Pattern:
    """Raises: GradingFailed."""
    try:
        return compile_pattern(pattern)
    except ValueError as problem:
        raise GradingFailed(
            f"The pattern {pattern!r} is not in RE2's syntax: {problem}.", "Mend the task."
        ) from problem
