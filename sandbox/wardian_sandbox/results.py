"""Answers of the supervisor as results: facts and claims, each of the type and size it may have.

An answer that is neither makes a BadFrame; our supervisor gives none such.
"""

import base64
import binascii
from typing import Any

from wardian_sandbox.inner.claims import MAX_FIGURE_BYTES, MAX_FIGURES
from wardian_sandbox.inner.frames import BadFrame, parse
from wardian_sandbox.inner.values import as_list, as_object
from wardian_sandbox.kinds import PNG, reference
from wardian_sandbox.types import Artefact, Ending, ExecResult, FileFailure, Limit

MAX_CODE_CHARACTERS = 40
MAX_DATA_VALUES = 50_000
SANE_SECONDS = 1e9


def exec_result(facts: dict[str, Any]) -> ExecResult:
    """What came of a cell or a command. Raises: BadFrame."""
    try:
        seconds = float(facts["seconds"])
        if not 0 <= seconds < SANE_SECONDS:
            raise ValueError("a call of no length")
        return ExecResult(
            ending=Ending(facts["ending"]),
            exit_code=_number(facts.get("exit_code", -1)),
            exit_code_claimed=_flag(facts["claimed"]),
            output=_text(facts["output"]),
            dropped_bytes=_number(facts["dropped"]),
            value=_maybe_text(facts.get("value")),
            data=_data(facts.get("json")),
            error=_maybe_text(facts.get("error")),
            limits_hit=tuple(Limit(_text(name)) for name in as_list(facts.get("limits", []))),
            figures=tuple(_figures(facts.get("figures", []))),
            left_running=_number(facts.get("left_running", 0)),
            state_lost=_flag(facts["state_lost"]),
            seconds=seconds,
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise BadFrame(f"an answer that is none: {problem!r}") from problem


def file_result(answer: dict[str, Any]) -> dict[str, Any] | FileFailure:
    """What came of a file operation. Raises: BadFrame."""
    try:
        if "ok" in answer:
            return as_object(answer["ok"])
        failure = as_object(answer["failure"])
        code = _text(failure["code"])[:MAX_CODE_CHARACTERS]
        return FileFailure(code=code, message=_text(failure["message"]))
    except (KeyError, TypeError) as problem:
        raise BadFrame(f"an answer that is none: {problem!r}") from problem


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value


def _maybe_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number was expected")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false was expected")
    return value


def _data(text: object) -> Any:
    """The JSON a worker claims for its value; None if it is not what it should be."""
    if text is None:
        return None
    try:
        wrapped = parse(b'{"data":' + _text(text).encode() + b"}", MAX_DATA_VALUES)
    except BadFrame:
        return None
    return wrapped["data"] if wrapped.keys() == {"data"} else None


def _figures(encoded: object) -> list[Artefact]:
    texts = as_list(encoded)
    if len(texts) > MAX_FIGURES:
        raise ValueError("too many figures")
    figures: list[Artefact] = []
    for number, text in enumerate(texts, 1):
        try:
            content = base64.b64decode(_text(text), validate=True)
        except binascii.Error as problem:
            raise ValueError("a figure that is not base64") from problem
        if len(content) > MAX_FIGURE_BYTES + 1:
            raise ValueError("too large a figure")
        if content.startswith(PNG):
            name = f"figure-{number}.png"
            figures.append(Artefact(reference=reference(name, content), content=content))
    return figures
