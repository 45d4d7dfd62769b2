"""`agent data show`: rows with what is trained on marked."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json
from wardian.cli.sanitise import visible
from wardian.cli.terminal import Terminal, terminal, write
from wardian.data.rows import Dataset
from wardian.data.showing import Part, Piece, parts, spread, vocabulary_of
from wardian.errors import ExitCode

GREEN, DIM, BOLD, PLAIN = "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
OPEN, CLOSE = "{+", "+}"
"""Around what is trained on, where there is no colour; as wdiff marks what is added"""


def show_data(
    dataset: Annotated[Path, typer.Argument(metavar="FILE", help="What `data build` wrote.")],
    *,
    count: Annotated[
        int, typer.Option("-n", "--rows", min=0, metavar="N", help="How many rows.")
    ] = 3,
    model: Annotated[
        Path | None,
        typer.Option(metavar="GGUF", help="Where the model that sampled the rows is now."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> int:
    """Print what is in a dataset, and rows of it with what is trained on in green or {+so+}."""
    found = Dataset.open(dataset)
    found.check_unchanged()
    if as_json:
        print_json(found.card)
        return ExitCode.DONE
    screen = terminal(sys.stdout)
    write(sys.stdout, "\n".join(_summary(found.card)) + "\n")
    vocabulary = vocabulary_of(found, model) if count else None
    if count and found.card["model"] and vocabulary is None:
        name = found.card["model"]["name"]
        write(sys.stderr, f"the file of {name} is not there as it was: ids are shown\n")
    for number, row in spread(found, count):
        write(sys.stdout, f"\n{_bold(f'row {number}', screen)}\n")
        for part in parts(row, vocabulary):
            write(sys.stdout, _part(part, screen))
    return ExitCode.DONE


def _summary(card: dict[str, Any]) -> list[str]:
    counts = card["counts"]
    tasks, runs = counted(counts["tasks"], "task"), counted(counts["runs_used"], "run")
    lines = [f"{counted(counts['rows'], 'row')} for {card['goal']} of {tasks}, from {runs}"]
    if counts["tokens"]:
        share = counts["trained_tokens"] / counts["tokens"]
        lines.append(
            f"{counts['tokens']} tokens, {counts['trained_tokens']} of them trained on "
            f"({share:.0%}); the longest has {counts['longest_tokens']}"
        )
    for name in ("families", "labels", "rewards", "step_rewards", "signs"):
        if card[name]:
            listed = ", ".join(f"{key or '(none)'} {count}" for key, count in card[name].items())
            lines.append(f"{name.replace('_', ' ')}: {listed}")
    if card["model"]:
        lines.append(f"sampled by {card['model']['name']}")
    lines += [f"note: {remark}" for remark in card["remarks"]]
    return [visible(line) for line in lines]


def _part(part: Part, screen: Terminal) -> str:
    body = "".join(_piece(piece, screen) for piece in part.pieces)
    return f"{_bold(visible(part.title), screen)}\n{body.rstrip()}\n"


def _piece(piece: Piece, screen: Terminal) -> str:
    text = visible(piece.text)
    if not screen.colour:
        return f"{OPEN}{text}{CLOSE}" if piece.is_trained else text
    return f"{GREEN if piece.is_trained else DIM}{text}{PLAIN}"


def _bold(text: str, screen: Terminal) -> str:
    return f"{BOLD}{text}{PLAIN}" if screen.colour else f"-- {text}"
