"""Why the web was not reached, in words for the model and with the line a person would add."""

import json
from collections.abc import Iterable
from typing import Any

from wardian_sandbox.egress.addresses import METADATA
from wardian_sandbox.egress.names import show
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.egress.rules import Rules
from wardian_sandbox.types import Egress, EgressEvent, JobFailure, JobResult
from wardian_tools.types import Confidentiality, Output, ResultStatus
from wardian_tools.web.address import WebAddress

LOCAL = "localhost"
"""Source: RFC 6761, 6.3."""
CREDENTIALS = "It gives whoever asks the credentials of this machine."
POLICY_CODES = ("not_listed", "port", "address")


def failed(code: str, sentence: str, **facts: Any) -> Output:
    """A result that says what was not possible."""
    return Output(
        content=sentence,
        status=ResultStatus.ERROR,
        confidentiality=Confidentiality.PUBLIC,
        data={"code": code, **facts},
    )


def refused_beforehand(address: WebAddress, egress: Egress) -> Output | None:
    """The refusal, where the policy's list alone says so: nothing is started for it."""
    rules = Rules(egress, is_web=True)
    try:
        if not isinstance(address.host, str):
            rules.check_address(address.host, address.host, address.port)
        rules.check_target(address.host, address.port)
    except Refused as refused:
        return denied(refused.code, refused.sentence, *_listable(address))
    return None


def _listable(address: WebAddress) -> tuple[str, ...]:
    """How the list names it; an address only with its port, so that no more is opened."""
    if not isinstance(address.host, str):
        return (show(address.host, address.port),)
    if address.host == LOCAL or address.host.endswith(f".{LOCAL}"):
        # The name alone would lead to an address that is not on the list.
        return address.rule, f"127.0.0.1:{address.port}"
    return (address.rule,)


def denied(code: str, reason: str, rule: str, *leads_to: str) -> Output:
    """What the policy does not let be reached, and the line that would."""
    if code == "address":
        warning = f" {CREDENTIALS}" if METADATA in reason else ""
        sentence = f"{reason}{warning} If that server is meant, a person can list the address:"
    else:
        sentence = f"The policy does not let web tools reach {rule}. A person can allow it:"
    line = f"hosts = {json.dumps([rule, *leads_to])}"
    return Output(
        content=f"{sentence} in the policy file, under [network], {line} (added to what is there).",
        status=ResultStatus.DENIED,
        confidentiality=Confidentiality.PUBLIC,
        data={"code": "host_refused", "host": rule, "add": line},
    )


def by_proxy(events: Iterable[EgressEvent], address: WebAddress) -> Output | None:
    """What the proxy said of this host during the job; None where it let it pass."""
    for event in events:
        if (event.host, event.port) != (str(address.host), address.port):
            continue
        if event.code in POLICY_CODES:
            listed = event.reason.partition(" leads to ")[2].partition(",")[0]
            by_address = event.code == "address" and listed
            rule = f"{_bracketed(listed)}:{address.port}" if by_address else address.rule
            return denied(event.code, event.reason, rule)
        return failed("unreachable", f"{address} cannot be reached. {event.reason}")
    return None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def by_failure(result: JobResult, what: str, seconds: float) -> Output | None:
    """What a job that gave nothing died of; None where it gave something."""
    match result.failure:
        case None:
            return None
        case JobFailure.SLOW:
            return failed("slow", f"{what} took longer than {seconds:g} seconds.")
        case JobFailure.MEMORY:
            return failed("too_large", f"{what} needs more memory than it is given.")
        case JobFailure.CRASHED:
            detail = f" ({result.detail})" if result.detail else ""
            return failed("unreadable", f"{what} could not be read: its reader failed{detail}.")
