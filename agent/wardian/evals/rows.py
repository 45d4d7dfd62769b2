"""A task's table as it is written: which keys there are, and what each must be."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian_policies.schema import nearest

KEYS: Sequence[str] = (
    "id",
    "family",
    "split",
    "prompt",
    "files",
    "workspace",
    "image",
    "tools",
    "limits",
    "system",
    "verifier",
    "hidden",
    "protected",
    "tags",
    "meta",
    "source",
)


def checked(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values by key, of the right types. Raises: ConfigurationError."""
    from pydantic import ValidationError

    for key in row:
        if key not in KEYS:
            raise ConfigurationError(
                f"{where} has the unknown key {key!r:.80}.", nearest(str(key), KEYS)
            )
    for key in ("id", "prompt"):
        if key not in row:
            raise ConfigurationError(f"{where} has no {key}.", "Add it.")
    try:
        return cast("dict[str, Any]", _validator().validate_python(dict(row)))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{where}: its {key} cannot be used: {first['msg'].lower():.200}.", "Mend the task."
        ) from problem


@cache
def _validator() -> Any:
    """A pydantic validator of a row whose keys are known."""
    from typing import Annotated, Literal

    from annotated_types import Ge, Gt
    from pydantic import ConfigDict, TypeAdapter
    from typing_extensions import TypedDict

    class Limits(TypedDict, total=False):
        __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc] # as pydantic has it for a TypedDict
        max_steps: Annotated[int, Ge(1)]
        max_tool_calls: Annotated[int, Ge(0)]
        max_tokens: Annotated[int, Ge(1)]
        max_cost_usd: Annotated[float, Gt(0)]
        max_seconds: Annotated[float, Gt(0)]

    class Row(TypedDict, total=False):
        id: str
        family: str
        split: Literal["train", "dev", "test"]
        prompt: str
        files: dict[str, str]
        workspace: str
        image: str
        tools: tuple[str, ...] | None
        limits: Limits
        system: str
        verifier: dict[str, Any] | list[dict[str, Any]]
        hidden: dict[str, str] | str
        protected: tuple[str, ...]
        tags: tuple[str, ...]
        meta: dict[str, Any]
        source: str

    return TypeAdapter(Row)
