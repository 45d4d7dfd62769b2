"""Values out of JSON, taken by type."""

from __future__ import annotations


def as_object(value: object) -> dict[str, object]:
    """Raises: TypeError."""
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON has no keys but strings


def as_list(value: object) -> list[object]:
    """Raises: TypeError."""
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value  # pyright: ignore[reportUnknownVariableType] - anything is an object


def as_texts(value: object) -> list[str]:
    """Raises: TypeError."""
    return [str(item) for item in as_list(value)]


def as_number(value: object) -> int:
    """Raises: TypeError."""
    if not isinstance(value, int):
        raise TypeError("a whole number was expected")
    return value


def maybe_object(value: object) -> dict[str, object] | None:
    """It, if it is an object."""
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType] - as above
    return None


def maybe_list(value: object) -> list[object] | None:
    """It, if it is a list; a tuple as one."""
    if isinstance(value, (list, tuple)):
        return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - as above
    return None
