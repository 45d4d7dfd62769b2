"""The options that say which runs are meant, the same for every command that takes many."""

import inspect
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.task_input import UsageError
from wardian.runs.facts import UNFINISHED
from wardian.runs.filters import Filters, Rating
from wardian.types import Stop

STATUSES = (*(stop.value for stop in Stop), UNFINISHED)
Names = list[str] | None


def options(
    *,
    status: Annotated[Names, typer.Option(metavar="END", help="That ended so: `done`, …")] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Of this model, or a pattern: `openai/*`.")
    ] = "",
    tool: Annotated[Names, typer.Option(metavar="NAME", help="That called this tool.")] = None,
    tag: Annotated[Names, typer.Option(metavar="TAG", help="With this tag.")] = None,
    label: Annotated[
        Names, typer.Option(metavar="NAME[=VALUE]", help="With this label, or that value of it.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(metavar="DATE", help="That began then (UTC) or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(metavar="DATE", help="That began before then (UTC).")
    ] = None,
    rated: Annotated[Rating | None, typer.Option(help="That you rated so.")] = None,
    min_reward: Annotated[
        float | None, typer.Option(metavar="X", help="With a reward of X or more.")
    ] = None,
    max_reward: Annotated[
        float | None, typer.Option(metavar="X", help="With a reward of X or less.")
    ] = None,
    min_steps: Annotated[int, typer.Option(min=0, metavar="N", help="Of N steps or more.")] = 0,
    max_steps: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of N steps or fewer.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="That worked in this folder.")
    ] = None,
    parent: Annotated[
        str, typer.Option(metavar="RUN", help="Sub-agents and forks of this run.")
    ] = "",
    text: Annotated[
        str, typer.Option(metavar="WORDS", help="With all these words in one of its texts.")
    ] = "",
) -> Filters:
    """Raises: UsageError."""
    if unknown := set(status or ()) - set(STATUSES):
        raise UsageError(f"{min(unknown)!r} is no end.", f"Ends: {', '.join(STATUSES)}.")
    return Filters(
        status=tuple(status or ()),
        model=model,
        tools=tuple(tool or ()),
        tags=tuple(tag or ()),
        labels=dict(_label(one) for one in label or ()),
        since=since,
        until=until,
        rated=rated,
        min_reward=min_reward,
        max_reward=max_reward,
        min_steps=min_steps,
        max_steps=max_steps,
        workspace=str(workspace.absolute()) if workspace else "",
        parent=parent,
        text=text,
    )


def filtered(command: Callable[..., int]) -> Callable[..., int]:
    """The command with these options in the place of its parameter `filters`."""
    own = inspect.signature(command, eval_str=True).parameters
    more = inspect.signature(options).parameters

    @wraps(command)
    def with_filters(**given: Any) -> int:
        chosen = options(**{name: given.pop(name) for name in more})
        return command(**given, filters=chosen)

    kept = {name: one for name, one in own.items() if name != "filters"}
    parameters = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*kept.values(), *more.values())
    ]
    with_filters.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    with_filters.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_filters


def _label(written: str) -> tuple[str, str | None]:
    name, found, value = written.partition("=")
    if not name:
        raise UsageError(f"{written!r} names no label.", "Write NAME or NAME=VALUE.")
    return name, value if found else None
