"""`agent runs diff`: two runs beside each other, step by step."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json, print_table
from wardian.cli.reading import as_read, known_values
from wardian.cli.sanitise import one_line, visible
from wardian.cli.stored import store
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.reruns.aligning import Alignment, Difference, Pair, align
from wardian.runs import Trajectory
from wardian.viewing.steps import Step, steps_of

HEADERS = ("A", "B", "CALLS", "TOKENS A", "TOKENS B", "S A", "S B", "DIFFERENCE")
SHOWN_CHARS = 200
CONTEXT_CHARS = 40
Steps = dict[int, Step]


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A run's id, its end, or `last`.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another run's.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show two runs beside each other: which steps are the same, what differs, what each took.

    Exit code 1 says that they differ in more than times and tokens.
    """
    known, values = store(), known_values()
    one, other = (as_read(known.load(name), values) for name in (first, second))
    steps = _numbered(one), _numbered(other)
    found = align(one, other)
    if as_json:
        print_json(_facts(one, other, found, steps))
    else:
        _print(found, steps)
    return ExitCode.DONE if found.is_same else ExitCode.NOT_ACHIEVED


def _print(found: Alignment, steps: tuple[Steps, Steps]) -> None:
    for condition in found.conditions:
        write(sys.stdout, f"{_said(condition)}\n")
    if found.shared:
        write(sys.stdout, f"{counted(found.shared, 'step')} before the fork are the same ones\n")
    print_table(HEADERS, [_row(pair, steps) for pair in found.pairs], "Neither has a step.")
    if found.first and found.first.difference:
        pair = found.first
        where = f"step {pair.first} of A, {pair.second} of B"
        write(sys.stdout, f"first difference, {where}: {_said(pair.difference)}\n")
    elif found.first:
        pair = found.first
        alone = f"step {pair.first} of A" if pair.second is None else f"step {pair.second} of B"
        write(sys.stdout, f"first difference: {alone} has no step like it in the other\n")
    if found.end:
        write(sys.stdout, f"end: {_said(found.end)}\n")
    if found.is_same:
        write(sys.stdout, "the same but for times, tokens and identifiers\n")


def _row(pair: Pair, steps: tuple[Steps, Steps]) -> tuple[str, ...]:
    one, other = (
        known.get(number) if number else None
        for known, number in zip(steps, (pair.first, pair.second), strict=True)
    )
    shown = one or other
    if pair.is_same:
        what = "="
    else:
        what = pair.difference.what if pair.difference else "only A" if other is None else "only B"
    return (
        str(pair.first or "-"),
        str(pair.second or "-"),
        _calls(shown) if shown else "",
        *(str(step.usage.total_tokens) if step else "-" for step in (one, other)),
        *(f"{_seconds(step):.2f}" if step else "-" for step in (one, other)),
        what,
    )


def _said(difference: Difference | None) -> str:
    if difference is None:
        return ""
    first, second = _text(difference.first), _text(difference.second)
    # Long texts are shown from a little before where they part.
    same = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    begin = max(0, (same if same is not None else min(len(first), len(second))) - CONTEXT_CHARS)
    a, b = (
        ("…" if begin else "") + one_line(text[begin : begin + SHOWN_CHARS], SHOWN_CHARS)
        for text in (first, second)
    )
    return f"{visible(difference.what)}\n  A: {a}\n  B: {b}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return "(nested too deeply)"


def _facts(
    one: Trajectory, other: Trajectory, found: Alignment, steps: tuple[Steps, Steps]
) -> dict[str, Any]:
    return {
        "a": one.run_id,
        "b": other.run_id,
        "same": found.is_same,
        "shared": found.shared,
        "conditions": [_plain(condition) for condition in found.conditions],
        "steps": [
            {
                "a": _took(steps[0].get(pair.first or 0)),
                "b": _took(steps[1].get(pair.second or 0)),
                "same": pair.is_same,
                "difference": _plain(pair.difference) if pair.difference else None,
            }
            for pair in found.pairs
        ],
        "end": _plain(found.end) if found.end else None,
    }


def _plain(difference: Difference) -> dict[str, Any]:
    try:
        return {
            "what": difference.what,
            "a": json.loads(json.dumps(difference.first, default=str)),
            "b": json.loads(json.dumps(difference.second, default=str)),
        }
    except (RecursionError, ValueError):
        return {"what": difference.what, "a": None, "b": None}


def _took(step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    return {
        "step": step.number,
        "calls": _calls(step),
        "model_seconds": step.model_seconds,
        "calls_seconds": step.calls_seconds,
        **asdict(step.usage),
    }


def _numbered(run: Trajectory) -> Steps:
    return {step.number: step for step in steps_of(run.events) if step.number}


def _calls(step: Step) -> str:
    names = [call.name for event in step.replies for call in event.reply.message.calls]
    return ", ".join(names) or "(answer)"


def _seconds(step: Step) -> float:
    return step.model_seconds + step.calls_seconds
