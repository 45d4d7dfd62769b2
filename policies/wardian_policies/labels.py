"""What a run holds: the first source of each label among the results it has read.

Labels only rise. What a model writes after it has read something may depend on it, so the labels of
a run are the join of those of all it has read, and a call is judged by them whatever its arguments
look like.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from wardian_tools.types import Confidentiality, Effect, Integrity

MCP_SEPARATOR = "__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A result that a run has read, and its labels."""

    tool: str
    """Its tool; or `context`, `earlier`, for what stood there at the start"""
    step: int
    call_id: str
    integrity: Integrity
    confidentiality: Confidentiality
    outside: bool = False
    """Does it come from the web or from a tool server?"""

    def __str__(self) -> str:
        return f"{self.tool} (step {self.step})" if self.step else self.tool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """The labels of a run so far, each with the result that first brought it."""

    untrusted: Source | None = None
    """Text that may hold somebody else's instructions"""
    outside: Source | None = None
    """Such text from the web or from a tool server"""
    private: Source | None = None
    """Data that others should not see"""
    local: Source | None = None
    """Data that the policy keeps on this machine"""

    def joined(self, source: Source) -> "FlowState":
        """With one more result. Never fewer labels than before."""
        untrusted = source.integrity is Integrity.UNTRUSTED
        private = source.confidentiality is not Confidentiality.PUBLIC
        local = source.confidentiality is Confidentiality.LOCAL
        return FlowState(
            untrusted=self.untrusted or (source if untrusted else None),
            outside=self.outside or (source if untrusted and source.outside else None),
            private=self.private or (source if private else None),
            local=self.local or (source if local else None),
        )

    def with_state(self, other: "FlowState") -> "FlowState":
        """The join of two runs' labels."""
        names = [item.name for item in fields(self)]
        return FlowState(**{name: getattr(self, name) or getattr(other, name) for name in names})

    @property
    def integrity(self) -> Integrity:
        return Integrity.UNTRUSTED if self.untrusted else Integrity.TRUSTED

    @property
    def confidentiality(self) -> Confidentiality:
        if self.local:
            return Confidentiality.LOCAL
        return Confidentiality.PRIVATE if self.private else Confidentiality.PUBLIC

    def as_json(self) -> dict[str, Any]:
        return {name: source for name, source in asdict(self).items() if source}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Raises: ValueError, TypeError or KeyError for anything `as_json` did not write."""
        return cls(**{name: source_of(facts) for name, facts in value.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a call is judged by besides itself."""

    flow: FlowState = field(default_factory=FlowState)
    is_local: bool = True
    """Will a model on this machine read the result?"""
    restores: bool = False
    """Did the call hold pseudonyms, so that it carries personal data?"""


AT_FIRST = Situation()
"""Nothing was read, and all happens on this machine."""


def source_of(facts: Mapping[str, Any]) -> Source:
    labels: dict[str, Any] = {
        "integrity": Integrity(facts["integrity"]),
        "confidentiality": Confidentiality(facts["confidentiality"]),
    }
    return Source(**{**facts, **labels})


def comes_from_outside(name: str, effects: frozenset[str] | frozenset[Effect]) -> bool:
    """Is what this tool gives somebody else's text: of the web, or of a tool server?"""
    return Effect.EGRESS in effects or MCP_SEPARATOR in name
