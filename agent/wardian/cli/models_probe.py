"""`agent models probe`: measure a model, show what came of it, keep its card."""

import asyncio
import datetime as dt
import os
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.model_choice import file_of
from wardian.cli.models_hub import say
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.models.cards import keep_card, read_card, stamp_of
from wardian.models.catalogue import resolve_model
from wardian.models.probe import RECALL_TOKENS, TRIALS, Card, probe
from wardian.settings import load_settings, paths


def probe_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As `agent models list` has it.")],
    *,
    trials: Annotated[int, typer.Option(min=1, max=6, help="Tasks of each kind.")] = TRIALS,
    recall: Annotated[
        int, typer.Option(min=1000, metavar="TOKENS", help="The longest prompt to try.")
    ] = RECALL_TOKENS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Measure calls, JSON, recall, speed and memory, and keep the result for later runs.

    A model of a provider is asked some twenty times, which costs what it costs.
    """
    settings = load_settings({"model": model}, os.environ)
    say(f"probing {model}: this takes from seconds to minutes")
    card = asyncio.run(_measure(model, settings.context_tokens, trials, recall))
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    path = keep_card(paths(os.environ).models, asdict(card), stamp_of(file_of(model)), now)
    if as_json:
        print_json({**asdict(card), "measured": now, "card": str(path)})
        return ExitCode.DONE
    print_table(("model", card.model), _rows(card), "")
    if not any((card.native_calls, card.text_calls, card.code_calls)):
        say("No way of calling worked: this model can answer, but hardly act.")
    for failure in card.failures:
        say(f"not measured: {failure}")
    write(sys.stderr, f"kept in {path}\n")
    return ExitCode.DONE


async def _measure(model: str, context_tokens: int | None, trials: int, recall: int) -> Card:
    resolved = resolve_model(
        model, environ=os.environ, context_tokens=context_tokens, call_style="native"
    )
    try:
        return await probe(resolved, trials=trials, recall_tokens=recall, say=say)
    finally:
        await resolved.close()


def measured(model: str) -> dict[str, object]:
    """What a card holds, for `agent models show`."""
    facts = read_card(paths(os.environ).models, model, stamp_of(file_of(model)))
    shown: dict[str, object] = {f"measured_{key}": facts[key] for key in _SHOWN if key in facts}
    return shown | ({"measured_at": facts["measured"]} if facts else {})


_SHOWN = (
    "style",
    "native_calls",
    "json_answers",
    "result_use",
    "recalled_tokens",
    "decode_tokens_per_second",
)


def _rows(card: Card) -> list[tuple[str, str]]:
    return [
        ("calls, its own way", _share(card.native_calls)),
        ("calls, told in words", _share(card.text_calls)),
        ("calls, as code", _share(card.code_calls)),
        ("JSON answers", _share(card.json_answers)),
        ("use of results", _share(card.result_use)),
        ("calling style", card.style),
        ("context", _tokens(card.context_tokens)),
        ("recall", _tokens(card.recalled_tokens)),
        ("reads", _rate(card.prefill_tokens_per_second)),
        ("writes", _rate(card.decode_tokens_per_second)),
        ("memory", "-" if card.memory_bytes is None else f"{card.memory_bytes / 1e6:,.0f} MB"),
        ("took", f"{card.seconds:.1f} s"),
    ]


def _share(value: float | None) -> str:
    return "not tried" if value is None else f"{value:.0%}"


def _tokens(value: Any) -> str:
    return "not said" if value is None else f"{value:,} tokens"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} tokens/s"
