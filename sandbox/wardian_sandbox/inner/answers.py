"""What the host is told about a call that is over: facts, and claims marked as such.

Facts, which the supervisor saw itself: ending, exit_code unless `claimed` is true, output, dropped,
limits, left_running, state_lost, seconds. Claims of the worker: value, error, json, figures, and
the exit_code of a cell that ran to its end, for which `claimed` is true.
"""

from __future__ import annotations

import base64
import errno

from wardian_sandbox.inner.bodies import NOT_STARTED
from wardian_sandbox.inner.calls import Call, PythonCall
from wardian_sandbox.inner.children import exit_code
from wardian_sandbox.inner.claims import checked
from wardian_sandbox.inner.frames import BadFrame, parse


def of_code(call: Call, state_lost: bool) -> dict[str, object]:
    """The answer to a cell or a command."""
    facts: dict[str, object] = {"claimed": False, "state_lost": state_lost}
    if call.status is not None:
        facts["ending"], facts["exit_code"] = exit_code(call.status)
    if isinstance(call, PythonCall) and call.claim is not None:
        facts.update(ending="exited", exit_code=1, claimed=True)
        facts.update(checked(call.claim, call.sink.limit))
        facts["left_running"] = call.left_running
        if call.incoming.figures:
            facts["figures"] = [base64.b64encode(one).decode() for one in call.incoming.figures]
    if call.forced is not None:
        facts["ending"] = call.forced
    facts["limits"] = sorted(call.hit)
    facts["output"], facts["dropped"] = call.sink.text()
    facts["seconds"] = call.seconds()
    return facts


def of_file(call: Call) -> dict[str, object]:
    """The answer to a file operation: what its process wrote, if it could finish."""
    if call.forced is None and call.status == 0 and call.sink.total <= call.sink.limit:
        try:
            return parse(call.sink.raw())
        except BadFrame:
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
    return {
        "ending": "exited",
        "exit_code": NOT_STARTED,
        "output": text,
        "dropped": 0,
        "claimed": False,
        "state_lost": False,
        "seconds": 0.0,
    }


def _failure(message: str) -> dict[str, object]:
    return {"failure": {"code": "failed", "message": message}}
