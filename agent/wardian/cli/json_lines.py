"""The stream of `agent run --json`: one object a line, `{"v": 1, "event": …}`.

Each event of `wardian.events` under its own kind, with less than the trajectory holds of it; the
last line is always `result`, also after an error. New keys may appear under the same version.
"""

import json
from dataclasses import asdict
from typing import Any

from wardian.cli.outcome import Outcome
from wardian.events import (
    CallDecided,
    CallFinished,
    CallStarted,
    EgressDecided,
    Event,
    ModelAsked,
    ModelReplied,
    Noted,
    Recorded,
    RunFinished,
    RunStarted,
    SandboxOpened,
)
from wardian.types import CallDelta, ReasoningDelta, Stop, TextDelta, Usage
from wardian_policies.types import Allow, Deny, Rule
from wardian_tools.types import ToolCall

VERSION = 1


def line(event: str, **fields: Any) -> str:
    """One line without its newline: ASCII only, no control characters."""
    text = json.dumps({"v": VERSION, "event": event, **fields}, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


def error_fields(kind: str, cause: str, remedy: str) -> dict[str, str]:
    return {"kind": kind, "cause": cause, "remedy": remedy}


def result_line(
    outcome: Outcome,
    error: dict[str, str] | None = None,
    exit_code: int | None = None,
    value: Any = None,
) -> str:
    """The last line. Keys of what never came to be are null, so that readers need no cases."""
    started, finished = outcome.started, outcome.finished
    return line(
        "result",
        exit_code=outcome.exit_code if exit_code is None else int(exit_code),
        stop=finished.stop if finished else Stop.FAILED,
        answer=finished.answer if finished else "",
        value=value,
        error=error,
        run_id=started.run_id if started else None,
        steps=finished.steps if finished else 0,
        tool_calls=finished.tool_calls if finished else 0,
        usage=usage_fields(finished.usage if finished else Usage()),
        seconds=round(finished.seconds, 6) if finished else 0.0,
        path=str(outcome.path) if outcome.path else None,
        changes=list(finished.changes) if finished else [],
        spent=finished.spent if finished else {},
    )


def event_line(event: Event) -> str | None:
    """The line of one event; None for the last one, which becomes `result`."""
    match event:
        case RunFinished():
            return None
        case TextDelta(text=text):
            return line("text_delta", text=text)
        case ReasoningDelta(text=text):
            return line("reasoning_delta", text=text)
        case CallDelta():
            return line(
                "call_delta", index=event.index, name=event.name, arguments=event.arguments_text
            )
        case _:
            return line(event.kind, **recorded_fields(event))


def recorded_fields(event: Recorded) -> dict[str, Any]:
    match event:
        case RunStarted():
            return {
                "run_id": event.run_id,
                "model": event.model,
                "tools": [tool["name"] for tool in event.tools],
                "policy": {key: event.policy.get(key) for key in ("name", "sha256")},
                "sandbox": event.sandbox,
                "workspace": event.workspace,
            }
        case ModelAsked():
            return {"step": event.step}
        case ModelReplied(reply=reply):
            return {
                "step": event.step,
                "text": reply.message.content,
                "reasoning": reply.message.reasoning,
                "calls": [call_fields(call) for call in reply.message.calls],
                "finish": reply.finish,
                "usage": usage_fields(reply.usage),
                "seconds": round(event.seconds, 6),
            }
        case CallDecided():
            return {"step": event.step, "call": call_fields(event.call), **decision_fields(event)}
        case CallStarted():
            return {"step": event.step, "call_id": event.call_id, "name": event.name}
        case CallFinished(result=result):
            return {
                "step": event.step,
                "call_id": result.call_id,
                "name": result.name,
                "status": result.status,
                "content": result.content,
                "data": result.data,
                "seconds": round(result.seconds, 6),
            }
        case EgressDecided(egress=egress):
            return {"step": event.step, **asdict(egress), "seconds": round(egress.seconds, 6)}
        case SandboxOpened():
            return {"step": event.step, "sandbox": event.sandbox}
        case Noted():
            return {"step": event.step, "text": event.text}
        case _:
            return asdict(event)


def call_fields(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments if call.arguments is not None else call.arguments_text
    return {"id": call.id, "name": call.name, "arguments": arguments, "problem": call.problem}


def decision_fields(event: CallDecided) -> dict[str, Any]:
    match event.decision:
        case Allow(rule=rule):
            return {"decision": "allow", **rule_fields(rule)}
        case Deny(reason=reason, rule=rule):
            return {"decision": "deny", "reason": reason, **rule_fields(rule)}
        case ask:
            return {
                "decision": "ask",
                "question": ask.question,
                "answer": event.answer,
                **({"edit": event.edit} if event.edit is not None else {}),
                **({"saved": event.saved} if event.saved else {}),
                **rule_fields(ask.rule),
            }


def rule_fields(rule: Rule) -> dict[str, str]:
    return {"rule": rule.text, "rule_source": rule.source}


def usage_fields(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
    }
