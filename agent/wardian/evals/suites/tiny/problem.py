"""What one training or test task consists of: a prompt, a workspace, a check, and an expert."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wardian.evals.suites.experts import Expert


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a right answer and a right workspace look like; plain data, see `checks`."""

    kind: str
    """equals, number, contains, file, beyond, greeting"""
    value: Any = None
    """equals: text; number: the number; contains: texts that must all stand in the answer"""
    without: tuple[str, ...] = ()
    """Texts that must not stand in the answer."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Workspace files that must hold exactly this text at the end (final newlines aside)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A task, how to tell that it was solved, and how to solve it."""

    family: str
    prompt: str
    files: Mapping[str, str]
    check: Check
    expert: Callable[[], Expert]
