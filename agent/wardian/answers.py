"""The form of a final answer: free text, or JSON of a type or schema."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, cast

from wardian.errors import ConfigurationError
from wardian.json_schemas import UnusableSchema, validator_of
from wardian.results import T

MAX_PROBLEM_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCheck(Generic[T]):
    """How a run's answer is read."""

    schema: dict[str, Any] | None
    problem: Callable[[str], str | None]
    """What is wrong with an answer, as told to the model, or None."""
    value: Callable[[str], T]
    """The answer's value, once `problem` gave None."""


def answer_check(
    output_type: type[T] | None, output_schema: dict[str, Any] | None
) -> AnswerCheck[T]:
    """The check for a type, a JSON schema, or neither (then the text itself is the value).

    Raises: ConfigurationError for both at once, or a schema that is none.
    """
    if output_type is not None and output_schema is not None:
        raise ConfigurationError("Both output_type and output_schema are given.", "Give one.")
    if output_type is not None:
        return _typed(output_type)
    if output_schema is not None:
        return _schema(output_schema)
    return AnswerCheck(schema=None, problem=lambda _: None, value=lambda text: cast("T", text))


def _typed(output_type: type[T]) -> AnswerCheck[T]:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(output_type)

    def problem(text: str) -> str | None:
        try:
            adapter.validate_json(unfenced(text))
        except ValidationError as error:
            return _told(str(error))
        return None

    return AnswerCheck(
        schema=adapter.json_schema(),
        problem=problem,
        value=lambda text: adapter.validate_json(unfenced(text)),
    )


def _schema(schema: dict[str, Any]) -> AnswerCheck[T]:
    try:
        validator = validator_of(schema)
    except UnusableSchema as error:
        raise ConfigurationError(
            f"The output schema is not a JSON schema that can be used: {error}.",
            "Mend it, or leave it out.",
        ) from error

    def problem(text: str) -> str | None:
        try:
            value = json.loads(unfenced(text))
        except (ValueError, RecursionError) as error:
            return _told(f"not JSON: {error}")
        try:
            found = next(validator.iter_errors(value), None)
        except RecursionError:
            return _told("nested too deeply")
        return _told(f"at {found.json_path}: {found.message}") if found else None

    return AnswerCheck(
        schema=schema, problem=problem, value=lambda text: cast("T", json.loads(unfenced(text)))
    )


def unfenced(text: str) -> str:
    """The text without a Markdown code fence around the whole of it, which models like to add."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text.partition("\n")[2].removesuffix("```").strip()
    return text


def _told(problem: str) -> str:
    return (
        "The answer is not what was asked for: it must be one JSON value of the given schema. "
        f"{problem[:MAX_PROBLEM_CHARS]}"
    )
