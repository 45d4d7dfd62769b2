"""`agent data build`: recorded runs to rows that a trainer reads."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.export import RunNames, registered
from wardian.cli.listing import print_json
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.data import Caps, Choice, Dataset, Form, Goal, Scope, build
from wardian.errors import ExitCode
from wardian.export import Filters, Split

Names = list[str] | None


def build_data(
    runs: RunNames = None,
    *,
    goal: Annotated[Goal, typer.Option("--for", help="What to train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    every: Annotated[bool, typer.Option("--all", help="Every recorded run.")] = False,
    filters: Filters,
    suite: Annotated[
        Names, typer.Option(metavar="SUITE", help="Only attempts at tasks of this suite.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="X", help="A reward of X or more is good.")
    ] = 1.0,
    margin: Annotated[
        float, typer.Option(metavar="X", help="So far apart are the rewards of a pair.")
    ] = 0.5,
    reward: Annotated[
        str, typer.Option(metavar="NAME", help="Of this verifier, or `user`; else the last one's.")
    ] = "",
    per_task: Annotated[
        int, typer.Option(min=0, metavar="K", help="The best K attempts of a task; 0 is all.")
    ] = 4,
    per_family: Annotated[
        int, typer.Option(min=0, metavar="N", help="At most N rows of a family; 0 is any.")
    ] = 0,
    max_rows: Annotated[int, typer.Option(min=0, metavar="N", help="At most N; 0 is any.")] = 0,
    balance: Annotated[
        bool, typer.Option("--balance", help="No family has more than the middle one.")
    ] = False,
    max_tokens: Annotated[
        int, typer.Option(min=0, metavar="N", help="Leave longer runs out; 0 is none.")
    ] = 0,
    near_duplicates: Annotated[
        float, typer.Option(metavar="X", help="Rows that share X of their text are one; 1: equal.")
    ] = 0.9,
    rows: Annotated[Form, typer.Option(help="What rows are made of.")] = Form.AUTO,
    pairs: Annotated[
        Scope, typer.Option(help="A pair's sides: one reply, or the rest of the run.")
    ] = Scope.STEP,
    difficulty: Annotated[
        str, typer.Option(metavar="LOW:HIGH", help="Of grpo's tasks, by the share that solved.")
    ] = "0:1",
    weights: Annotated[
        str, typer.Option(metavar="HASH", help="Sampled by these weights; `any` of a tokenizer.")
    ] = "",
    role: Annotated[str, typer.Option(metavar="NAME", help="Runs of this sub-agent.")] = "",
    decontaminate: Annotated[
        Names, typer.Option(metavar="SUITE", help="Keep the dev and test tasks of it out too.")
    ] = None,
    with_suspicious: Annotated[
        bool, typer.Option("--with-suspicious", help="Believe rewards marked for review.")
    ] = False,
    consent: Annotated[
        str, typer.Option(metavar="TEXT", help="For the card: who agreed, and to what.")
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", help="Mixes the order.")] = 0,
    split: Annotated[
        str, typer.Option(metavar="SHARES", help="Into several files: train:0.9,dev:0.1.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> int:
    """Write runs as training data, and beside it FILE.card.json: what is in it, and what is not.

    Tasks that models are evaluated on are kept out. Exit code 1 says that no run gave a row.
    """
    if bool(runs) is every:
        raise UsageError("Say which runs to learn from.", "Name them, or say --all.")
    choice = Choice(
        goal=goal,
        threshold=threshold,
        margin=margin,
        reward=reward,
        suites=tuple(suite or ()),
        against=tuple(decontaminate or ()),
        role=role,
        form=rows,
        scope=pairs,
        caps=Caps(
            per_task=per_task or None,
            per_family=per_family or None,
            rows=max_rows or None,
            balanced=balance,
        ),
        near=near_duplicates,
        max_tokens=max_tokens or None,
        weights=weights,
        difficulty=_shares(difficulty),
        with_suspicious=with_suspicious,
        consent=consent,
        seed=seed,
    )
    known = store()
    ids = known.ids() if every else [known.find(run) for run in runs or ()]
    parts = Split.of(split) if split else Split()
    dataset = build(
        known, ids, choice, output=output, filters=filters, split=parts, secrets=registered()
    )
    if as_json:
        print_json(dataset.card)
    _tell(dataset)
    return ExitCode.DONE


def _tell(dataset: Dataset) -> None:
    card = dataset.card
    for reason, left in card["left_out"].items():
        write(sys.stderr, f"left out, {reason}: {left['count']}\n")
    for remark in card["remarks"]:
        write(sys.stderr, f"note: {remark}\n")
    counts = card["counts"]
    tokens = f", {counts['trained_tokens']} tokens to train on" if counts["tokens"] else ""
    names = ", ".join(str(file["name"]) for file in card["files"])
    runs = counted(counts["runs_used"], "run")
    write(sys.stderr, f"{counted(counts['rows'], 'row')} of {runs}{tokens}, in {names}\n")


def _shares(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"{text!r} is no difficulty.", "Write two shares: 0.1:0.9.") from None
    return low, high
