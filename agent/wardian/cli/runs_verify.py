"""`agent runs verify`: is what was recorded of runs what it says?"""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json
from wardian.cli.sanitise import one_line, visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode, NewerRun, StorageError
from wardian.reruns.verifying import Drift, Verified, Verifier
from wardian.runs import RunStore

SHOWN = 5
SHOWN_CHARS = 80


def verify(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids, their ends, or `last`.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every recorded run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check runs: every line and content, each token of a local model, each request to a server.

    Each prompt is rendered and tokenised anew with the model's own file and compared with the
    recorded tokens; each request is compared with the hash of what was sent. Exit code 1 says that
    something is not what it should be, 8 that a run is of a newer Wardian and was not read; what
    cannot be checked is named.
    """
    if bool(runs) is every:
        raise UsageError("Say which runs to check.", "Name them, or say --all.")
    known = store()
    ids = known.ids() if every else list(dict.fromkeys(known.find(run) for run in runs or ()))
    done = asyncio.run(_verified(known, ids, quiet=as_json))
    if as_json:
        print_json([{"sound": one.is_sound, **asdict(one)} for one in done])
    elif len(done) > 1:
        drift = sum(len(one.drift) for one in done)
        checked = sum(one.checked + one.requests for one in done)
        replies = f"{checked:,} of {sum(one.replies for one in done):,}"
        prompts = counted(sum(one.prompt_tokens for one in done), "prompt token")
        damaged = counted(sum(bool(one.damage) for one in done), "damaged run")
        newer = sum(one.is_sound is None for one in done)
        unread = f", {counted(newer, 'run')} of a newer Wardian not read" if newer else ""
        write(
            sys.stdout,
            f"{counted(len(done), 'run')}: {replies} replies checked, {prompts},"
            f" {counted(drift, 'drift')}, {damaged}{unread}\n",
        )
    found = {one.is_sound for one in done}
    if False in found:
        return ExitCode.NOT_ACHIEVED
    return ExitCode.STORAGE if None in found else ExitCode.DONE


async def _verified(known: RunStore, ids: list[str], *, quiet: bool) -> list[Verified]:
    verifier, done = Verifier(known), list[Verified]()
    try:
        for run_id in ids:
            try:
                one = await verifier.verify(run_id)
            except NewerRun as error:
                one = Verified(run_id=run_id, newer=str(error))
            except StorageError as error:
                one = Verified(run_id=run_id, damage=[str(error)])
            done.append(one)
            if not quiet:
                _say(one)
    finally:
        await verifier.close()
    return done


def _say(one: Verified) -> None:
    if one.newer:
        write(sys.stdout, f"{one.run_id}  not read: {visible(one.newer)}\n")
        return
    checked = f"{one.checked + one.requests} of {one.replies} replies checked"
    tokens = f", {counted(one.prompt_tokens, 'prompt token')}" if one.checked else ""
    state, sent = ("sound", "as sent") if one.is_sound else ("NOT SOUND", "compared")
    tokens += f", {counted(one.requests, 'request')} {sent}" if one.requests else ""
    write(sys.stdout, f"{one.run_id}  {state}: {checked}{tokens}\n")
    for why, count in one.unchecked.items():
        write(sys.stdout, f"  {count} cannot be checked: {visible(why)}\n")
    for damage in one.damage[:SHOWN]:
        write(sys.stdout, f"  damaged: {one_line(damage, 200)}\n")
    for drift in one.drift[:SHOWN]:
        write(sys.stdout, f"  {_place(drift)}\n")
    more = max(0, len(one.damage) - SHOWN) + max(0, len(one.drift) - SHOWN)
    if more:
        write(sys.stdout, f"  and {more} more\n")


def _place(drift: Drift) -> str:
    where = "" if drift.token is None else f", token {drift.token} of the prompt"
    recorded = one_line(drift.recorded, SHOWN_CHARS)
    rendered = one_line(drift.rendered, SHOWN_CHARS)
    return f'step {drift.step}{where}: recorded "{recorded}", should be "{rendered}"'
