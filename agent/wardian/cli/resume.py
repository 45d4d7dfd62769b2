"""`agent resume`: go on with a run where it stopped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.agent import Agent
from wardian.approval import Approve
from wardian.beginning import Settled, undecided
from wardian.cli.approve import Person
from wardian.cli.interrupts import Interrupts
from wardian.cli.preview import whole
from wardian.cli.reading import as_read
from wardian.cli.render import Renderer
from wardian.cli.run import asks, perform
from wardian.cli.run_options import (
    AnswerFile,
    ApproveWhen,
    Json,
    MaxCost,
    MaxSteps,
    MaxTokens,
    MaxToolCalls,
    ModelName,
    Plain,
    Quiet,
    SandboxName,
    Timeout,
    Url,
    check_writable,
)
from wardian.cli.sanitise import one_line, visible
from wardian.cli.session import Opening
from wardian.cli.stored import Chosen, only, store, stored_agent
from wardian.cli.task_input import UsageError
from wardian.cli.view import View
from wardian.events import Settlement
from wardian.reruns.resuming import resume as resume_run
from wardian.runs import Trajectory
from wardian.runs.log import RunLog
from wardian.runs.resume import Continuation, Uncertain, uncertain_calls

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, or `last`.")
]
Settle = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CALL=HOW",
        help="Of a call that may have taken effect: again, failed, or result:TEXT.",
    ),
]
SHOWN_CHARS = 500
"""Of a call, where there is no terminal to ask on"""
CHOICES = "a = run it again   f = its outcome is not known   r TEXT = it gave TEXT   Enter = stop"


def register(app: typer.Typer) -> None:
    app.command("resume", epilog="Example: agent resume last")(resume)


def resume(
    run: RunName,
    *,
    settle: Settle = None,
    model: ModelName = None,
    base_url: Url = None,
    sandbox: SandboxName = None,
    max_steps: MaxSteps = None,
    max_tool_calls: MaxToolCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    timeout: Timeout = None,
    approve: ApproveWhen = None,
    output: AnswerFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> int:
    """Go on with a run where it stopped: no finished step is asked or run again.

    Limits count from the run's beginning. Calls that may or may not have taken effect are shown and
    decided by you; without a terminal, by --settle, else the command ends with exit code 6.
    """
    check_writable(output)
    trajectory = store().load(run)
    continuation = Continuation.of(trajectory)
    settled = parse_settled(settle or [], [one.call.id for one in continuation.uncertain])
    chosen = Chosen(
        model=model,
        base_url=base_url,
        sandbox=sandbox.value if sandbox else None,
        budgets=only(
            steps=max_steps,
            tool_calls=max_tool_calls,
            tokens=max_tokens,
            cost_usd=max_cost,
            wall_seconds=timeout,
        ),
    )
    RunLog.reopen(trajectory.path.parent).close()  # one that goes on is said before any question
    stored = stored_agent(trajectory, chosen)
    view = View(as_json=as_json, quiet=quiet, plain=plain, answer_file=output)
    view.notices([f"run {trajectory.run_id} in {stored.started.workspace}", *stored.notices])

    async def open_(
        agent: Agent[Any], person: Person | None, renderer: Renderer, interrupts: Interrupts
    ) -> Opening:
        decided = dict(settled)
        waiting = waiting_for_word(trajectory, decided)
        if waiting and not person:
            shown = one_line(waiting[0].call.arguments_text, SHOWN_CHARS)
            raise undecided(waiting[0], trajectory.run_id, shown)
        if person:
            decided |= await ask_of(waiting, person, renderer, interrupts)
        rerun = await resume_run(agent, trajectory.run_id, decided)
        return Opening(rerun.follow(), stored.started)

    def make_agent(ask: Approve | None) -> Agent[Any]:
        return stored.make(ask)

    may_ask = asks(approve, as_json=as_json)
    return perform(make_agent, open_, view, may_ask, Path(stored.started.workspace))


def parse_settled(options: Sequence[str], call_ids: Sequence[str]) -> dict[str, Settled]:
    """`CALL=again|failed|result:TEXT` by call; `all` is each that no option names.

    Raises: UsageError.
    """
    named: dict[str, Settled] = {}
    for option in options:
        matching = [one for one in ("all", *call_ids) if option.startswith(f"{one}=")]
        if not matching:
            waiting = ", ".join(call_ids) or "none do"
            raise UsageError(
                f"--settle {option!r} names no call that waits: {waiting}.",
                "Write CALL=again, CALL=failed, CALL=result:TEXT, or all=….",
            )
        call_id = max(matching, key=len)  # ids may hold what looks like an answer
        named[call_id] = settled_as(option.removeprefix(f"{call_id}="))
    for_all = named.pop("all", None)
    return (dict.fromkeys(call_ids, for_all) if for_all else {}) | named


def settled_as(how: str) -> Settled:
    """Raises: UsageError."""
    kind, colon, text = how.partition(":")
    if kind == "result" and colon:
        return Settled(settlement=Settlement.SUPPLIED, result=text)
    if how in ("again", "failed"):
        return Settled(settlement=Settlement(how))
    raise UsageError(
        f"--settle …={how!r} does not say what becomes of a call.",
        "Write CALL=again, CALL=failed, or CALL=result:TEXT.",
    )


def waiting_for_word(trajectory: Trajectory, decided: Mapping[str, Settled]) -> list[Uncertain]:
    """The calls that only a person can decide, as their owner may see them."""
    return [
        one
        for one in (uncertain_calls(as_read(trajectory)) if trajectory.uncertain else ())
        if not one.started.repeatable and one.call.id not in decided
    ]


async def ask_of(
    waiting: Sequence[Uncertain],
    person: Person,
    renderer: Renderer,
    interrupts: Interrupts,
) -> dict[str, Settled]:
    """What the person says of each call that only they can decide; none for those left open."""
    found: dict[str, Settled] = {}
    for one in waiting:
        renderer.say(
            f"? {visible(one.call.name)} was cut off; it may have taken effect or not:",
            "bold yellow",
        )
        for line in whole(one.call):
            renderer.say(f"    {line}")
        if answer := await answered(person, renderer, interrupts):
            found[one.call.id] = answer
    return found


async def answered(person: Person, renderer: Renderer, interrupts: Interrupts) -> Settled | None:
    while True:
        line = await person.answer(interrupts, lambda: renderer.say(f"  {CHOICES}", "bold"))
        match (line or "").split(" ", 1):
            case ["a"]:
                return Settled(settlement=Settlement.AGAIN)
            case ["f"]:
                return Settled(settlement=Settlement.FAILED)
            case ["r", text]:
                return Settled(settlement=Settlement.SUPPLIED, result=text)
            case [""]:
                return None
            case _:
                renderer.say("  Please answer a, f, or r and a text.")
