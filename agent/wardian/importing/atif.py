"""ATIF documents, ours and others': see `wardian.export.atif`.

A document has to be what the format's own package takes. What ours says beyond the format, under
`extra.wardian`, is read back: ends, tags, ratings, malformed calls, how calls ended.
Source: ATIF v1.8, as the package `atif` 1.8.0 validates it; earlier versions have fewer fields.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from itertools import takewhile
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.events import Labelled, Rated, Recorded
from wardian.importing.reading import Unreadable
from wardian.importing.turns import NOT_HERE, Log, Turn, call_of, image_of, tool_of
from wardian.types import Image, Role, Stop, TokenRecord, Usage
from wardian_tools.types import ResultStatus, ToolCall

ROLES = {"system": Role.SYSTEM, "user": Role.USER, "agent": Role.ASSISTANT}
STATUSES = {status.value for status in ResultStatus}
STOPS = {stop.value for stop in Stop}
REASON_CHARS = 200


def atif_log(row: object) -> Log:
    """Raises: Unreadable; ConfigurationError where the package is not installed."""
    document = _validated(row)
    steps: list[Any] = document.steps
    if not any(step.source == "agent" for step in steps):
        raise Unreadable("no agent acts in it")
    turns: list[Turn] = []
    ids: list[int] = []
    for step in steps:
        turns += _turns(step, ids, document.agent.model_name or "")
    ours = _ours(document.extra)
    stop = ours.get("stop")
    return Log(
        turns=tuple(turns),
        model=document.agent.model_name or "",
        tools=tuple(filter(None, map(tool_of, document.agent.tool_definitions or []))),
        tags=tuple(str(tag) for tag in _list(ours.get("tags"))),
        origin={
            "agent": document.agent.name,
            "agent_version": document.agent.version,
            "schema_version": document.schema_version,
            **({"session_id": document.session_id} if document.session_id else {}),
            **({"trajectory_id": document.trajectory_id} if document.trajectory_id else {}),
        },
        stop=Stop(stop) if stop in STOPS else None,
        more=tuple(_afterwards(document.extra or {}, ours)),
    )


def _validated(row: object) -> Any:
    try:
        package: Any = import_module("atif")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Reading ATIF needs the package atif, which is not installed.",
            "Install the extra: pip install 'wardian[data]'.",
        ) from error
    try:
        return package.Trajectory.model_validate(row)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except ValueError as error:
        faults: Any = getattr(error, "errors", None)
        first: Any = faults()[0] if faults else {"loc": (), "msg": "it cannot be read"}
        where = ".".join(map(str, first["loc"]))
        what = str(first["msg"])[:REASON_CHARS]
        raise Unreadable(f"it is no ATIF ({where or 'document'}: {what})") from error


def _turns(step: Any, ids: list[int], model: str) -> list[Turn]:
    """A step's message, then its observations. `ids` are those of the prompt and reply before."""
    role, moment = ROLES[step.source], _moment(step.timestamp)
    content, images = _content(step.message)
    ours = _ours(step.extra)
    calls = tuple(_calls(step, ours)) if role is Role.ASSISTANT else ()
    is_copied = bool(step.is_copied_context)
    message = Turn(
        role=role,
        content=content,
        reasoning=step.reasoning_content or "",
        calls=calls,
        images=images if role is Role.USER else (),
        is_copied=is_copied,
        usage=_usage(step.metrics),
        model=(step.model_name or model) if role is Role.ASSISTANT else "",
        tokens=_tokens(step.metrics, ids) if role is Role.ASSISTANT else None,
        moment=moment,
    )
    results: list[Any] = step.observation.results if step.observation else []
    return [message, *(_result(one, calls, is_copied, moment) for one in results)]


def _calls(step: Any, ours: Mapping[str, Any]) -> list[ToolCall]:
    made: list[Any] = step.tool_calls or []
    calls = [call_of(one.tool_call_id, one.function_name, one.arguments) for one in made]
    for one in map(_dict, _list(ours.get("malformed_calls"))):
        call = call_of(str(one.get("id", "")), str(one.get("name", "")), "")
        text, problem = str(one.get("arguments_text", "")), str(one.get("problem", ""))
        calls.append(
            ToolCall(id=call.id, name=call.name, arguments_text=text, problem=problem or "unread")
        )
    return calls


def _result(
    result: Any, calls: tuple[ToolCall, ...], is_copied: bool, moment: datetime | None
) -> Turn:
    """What a call gave; what belongs to no call is a note."""
    ours = _ours(result.extra)
    content, _ = _content(result.content)
    call_id = result.source_call_id or str(ours.get("call_id", ""))
    if not call_id and len(calls) == 1:
        call_id = calls[0].id
    if not any(call.id == call_id for call in calls):
        return Turn(role=Role.USER, content=content, is_copied=is_copied, moment=moment)
    status = str(ours.get("status", ""))
    return Turn(
        role=Role.TOOL,
        content=content,
        call_id=call_id,
        status=ResultStatus(status) if status in STATUSES else ResultStatus.OK,
        is_copied=is_copied,
        moment=moment,
    )


def _content(content: Any) -> tuple[str, tuple[Image, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    texts: list[str] = []
    images: list[Image] = []
    for part in content:
        image = image_of(part.source.path) if part.type == "image" else None
        if part.type == "text":
            texts.append(part.text)
        elif image:
            images.append(image)
        else:
            texts.append(NOT_HERE)
    return "\n".join(texts), tuple(images)


def _usage(metrics: Any) -> Usage:
    if metrics is None:
        return Usage()
    return Usage(
        prompt_tokens=max(0, metrics.prompt_tokens or 0),
        completion_tokens=max(0, metrics.completion_tokens or 0),
        cached_tokens=max(0, metrics.cached_tokens or 0),
        cost_usd=metrics.cost_usd,
    )


def _tokens(metrics: Any, before: list[int]) -> TokenRecord | None:
    """Ids as the run recorded them: what was added to the prompt and reply before."""
    if metrics is None or not metrics.completion_token_ids or not metrics.prompt_token_ids:
        return None
    prompt, sampled = list(metrics.prompt_token_ids), list(metrics.completion_token_ids)
    logprobs = list(metrics.logprobs or [])
    if len(logprobs) != len(sampled):
        return None  # they could not be told apart from made-up ones
    kept = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, prompt, strict=False))
    )
    ours = _ours(metrics.extra)
    constrained = [bool(one) for one in _list(ours.get("constrained"))]
    before[:] = prompt + sampled
    return TokenRecord(
        prompt_suffix_ids=tuple(prompt[kept:]),
        kept_ids=kept,
        sampled_ids=tuple(sampled),
        logprobs=tuple(logprobs),
        constrained=tuple(constrained)
        if len(constrained) == len(sampled)
        else (False,) * len(sampled),
        constraint_sha256=str(ours.get("constraint_sha256", "")),
        model_sha256=str(ours.get("model_sha256", "")),
        template_sha256=str(ours.get("template_sha256", "")),
    )


def _afterwards(extra: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Recorded]:
    found: list[Recorded] = []
    for one in map(_dict, _list(ours.get("ratings"))):
        step = one.get("step")
        if isinstance(step, int) and isinstance(one.get("good"), bool):
            found.append(Rated(step=step, good=one["good"], note=str(one.get("note", ""))))
    labels = {str(name): str(value) for name, value in _dict(ours.get("labels")).items()}
    reward = _dict(extra.get("reward")).get("value", extra.get("reward"))
    if isinstance(reward, int | float) and not isinstance(reward, bool):
        labels.setdefault("reward", str(reward))
    return [*found, *(Labelled(name=name, value=value) for name, value in labels.items())]


def _moment(timestamp: str | None) -> datetime | None:
    if not timestamp:
        return None
    moment = datetime.fromisoformat(timestamp)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def _ours(extra: object) -> dict[str, Any]:
    return _dict(_dict(extra).get("wardian"))


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
