"""A bound on a whole number, without importing what would validate it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Between:
    """`Annotated[int, Between(1, 10)]`: as pydantic's `Field(ge=1, le=10)`, at no import cost."""

    at_least: int
    at_most: int | None = None

    def as_schema(self) -> dict[str, int]:
        """The bounds as JSON schema keywords."""
        highest = {} if self.at_most is None else {"maximum": self.at_most}
        return {**highest, "minimum": self.at_least}

    def __get_pydantic_core_schema__(
        self, source: type, handler: Callable[[type], dict[str, Any]]
    ) -> dict[str, Any]:
        """Source: pydantic, "Custom types", handling third-party types by annotation."""
        bounds = {"ge": self.at_least, "le": self.at_most}
        return handler(source) | {key: value for key, value in bounds.items() if value is not None}
