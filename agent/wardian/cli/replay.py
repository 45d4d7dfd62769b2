"""`agent replay`: do a recorded run again and find the first difference."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from wardian.cli.listing import print_json
from wardian.cli.resume import RunName
from wardian.cli.sanitise import one_line, visible
from wardian.cli.stored import Chosen, damage_notices, store, stored_agent
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.models.replayed import ReplayedModel
from wardian.reruns.comparing import Difference
from wardian.reruns.replaying import replay as replay_run

SHOWN_CHARS = 400


def register(app: typer.Typer) -> None:
    app.command("replay", epilog="Example: agent replay last --live-tools")(replay)


def replay(
    run: RunName,
    *,
    live_tools: Annotated[
        bool,
        typer.Option("--live-tools", help="Run the calls anew, in a sandbox around a copy."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Do a recorded run again with the recorded replies, and say where it first differs.

    Calls give their recorded results unless --live-tools runs them anew, around the workspace as it
    was. Nothing is stored and your folder is left alone. Exit code 1 says that it differs.
    """
    trajectory = store().load(run)
    stored = stored_agent(trajectory, Chosen(), replays=not live_tools)
    nobody = ReplayedModel((), identity={})

    async def perform() -> Any:
        async with stored.make(model=nobody) as agent:
            return await replay_run(agent, trajectory.run_id, live_tools=live_tools)

    for notice in damage_notices(trajectory):
        write(sys.stderr, f"agent: {visible(notice)}\n")
    found = asyncio.run(perform())
    if as_json:
        print_json([asdict(found)])
    elif found.difference is None:
        write(sys.stdout, f"the same: {found.compared} events\n")
    else:
        for line in difference_lines(found.difference):
            write(sys.stdout, line + "\n")
    return ExitCode.NOT_ACHIEVED if found.difference else ExitCode.DONE


def difference_lines(found: Difference) -> list[str]:
    """Where it is, what was recorded, what came instead."""
    where = f"event {found.seq}" if found.seq is not None else "after the last event"
    what = f", {found.what}" if found.what else ""
    return [
        one_line(f"first difference: {where}, step {found.step}, {found.kind}{what}", SHOWN_CHARS),
        f"  recorded: {shown(found.recorded)}",
        f"  replayed: {shown(found.replayed)}",
    ]


def shown(value: Any) -> str:
    if value is None:
        return "(nothing)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return one_line(text, SHOWN_CHARS)
