"""What the host is told about a call that is over: facts, and claims marked as such by name.

Facts are ending, exit_code (but see below), output, dropped, state_lost, seconds. Claims of the
worker are value, error, and the exit_code of a cell that ran to its end.
"""

from __future__ import annotations

import errno
import json

from wardian_sandbox.inner.bodies import NOT_STARTED
from wardian_sandbox.inner.calls import Call, PythonCall
from wardian_sandbox.inner.children import exit_code
from wardian_sandbox.inner.values import as_number, as_object

MARKER_CHARACTERS = 100
"""Room for saying that something was left out."""


def of_code(call: Call, state_lost: bool) -> dict[str, object]:
    """The answer to a cell or a command."""
    facts: dict[str, object] = {"value": None, "error": None, "state_lost": state_lost}
    if call.status is not None:
        facts["ending"], facts["exit_code"] = exit_code(call.status)
    if isinstance(call, PythonCall) and call.claim is not None:
        facts["ending"], facts["exit_code"] = "exited", 1
        facts.update(_checked(call.claim, call.sink.limit + MARKER_CHARACTERS))
    if call.forced is not None:
        facts["ending"] = call.forced
    facts["output"], facts["dropped"] = call.sink.text()
    facts["seconds"] = call.seconds()
    return facts


def _checked(claim: dict[str, object], limit: int) -> dict[str, object]:
    """The parts of a claim that are of the right type and size, and valid Unicode."""
    parts: dict[str, object] = {}
    for name in ("value", "error"):
        text = claim.get(name)
        if isinstance(text, str):
            parts[name] = text[:limit].encode("utf-8", "replace").decode("utf-8")
    if isinstance(claim.get("exit_code"), int):
        parts["exit_code"] = as_number(claim["exit_code"]) & 0xFF
    return parts


def of_file(call: Call) -> dict[str, object]:
    """The answer to a file operation: what its process wrote, if it could finish."""
    if call.forced is None and call.status == 0 and call.sink.total <= call.sink.limit:
        try:
            return as_object(json.loads(call.sink.raw()))
        except (ValueError, TypeError):
            pass
    ends = {"timed_out": "took too long", "cancelled": "was cancelled"}
    reason = ends.get(call.forced or "", "was killed or gave too large a result")
    return _failure(f"the file operation {reason}")


def of_what_did_not_start(operation: object, problem: OSError) -> dict[str, object]:
    """The answer when there was no process or descriptor to be had."""
    reason = "too many processes" if problem.errno == errno.EAGAIN else str(problem.strerror)
    text = f"The sandbox could not start this: {reason}."
    if operation == "file":
        return _failure(text)
    facts: dict[str, object] = {"ending": "exited", "exit_code": NOT_STARTED, "output": text}
    return {
        **facts,
        "dropped": 0,
        "value": None,
        "error": None,
        "state_lost": False,
        "seconds": 0.0,
    }


def _failure(message: str) -> dict[str, object]:
    return {"failure": {"code": "failed", "message": message}}
