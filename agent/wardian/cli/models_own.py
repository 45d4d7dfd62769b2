"""`agent models add`, `use`, `rollback`, `history`: one's own models, and which is in service."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.models_hub import say
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.models.catalogue import resolve_model
from wardian.models.choices import Change, Choice, Choices
from wardian.models.registry import Registered, Registry, name_of, registry
from wardian.settings import paths
from wardian.train.packages import check_engine

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add(
    source: Annotated[
        Path,
        typer.Argument(help="What `agent train` wrote, a folder of weights, or a GGUF file."),
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Its name (default: SOURCE's).")] = "",
    quant: Annotated[
        str, typer.Option(metavar="QUANT", help="F32, F16, BF16, Q8_0, Q4_K_M, …")
    ] = "F16",
    parent: Annotated[
        str, typer.Option(metavar="MODEL", help="The model it was trained from.")
    ] = "",
    base: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the weights an adapter is for.")
    ] = None,
    as_adapter: Annotated[
        bool, typer.Option("--as-adapter", help="Keep an adapter apart, on top of --parent.")
    ] = False,
) -> int:
    """Register a trained model under a name, as a GGUF file that computes what its weights do."""
    check_engine()
    # torch and transformers are behind this
    from wardian.train.register import How, register

    how = How(name=name, quantisation=quant, parent=parent, base=base, as_adapter=as_adapter)
    model = register(source, registry(os.environ), how, seen=say)
    agreement = model.lineage.get("conversion", {}).get("agreement")
    if agreement:
        say(
            f"It computes what its source does: divergence {agreement['mean_divergence']:.2g} nats "
            f"a token, the likeliest token is the same in {agreement['same_choice']:.1%}."
        )
    write(sys.stdout, f"{model.spelling}\n")
    say(
        f"Try it with: agent run -m {model.spelling}, "
        f"or put it in service if it is better: agent models promote {model.spelling}"
    )
    return ExitCode.DONE


def use(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="As `agent models list` spells it.")
    ],
) -> int:
    """Keep a model as the one that runs use when none is named."""
    resolve_model(model, environ=os.environ)
    change = choices().use(model)
    say(f"Runs now use {model}, unless told otherwise.")
    _say_gone(change)
    say_overruled()
    return ExitCode.DONE


def rollback() -> int:
    """Put the model back in service that was there before the last `use` or `promote`."""
    change = choices().roll_back()
    say(f"Runs now use {described(change.after)} again, in place of {described(change.before)}.")
    say_overruled()
    return ExitCode.DONE


def history(*, as_json: AsJson = False) -> int:
    """List which models were in service, and why each was put there."""
    done = choices().history()
    if as_json:
        print_json([_facts(change) for change in done])
        return ExitCode.DONE
    rows = [(c.at[:19].replace("T", " "), c.how, described(c.after), _why(c)) for c in done]
    print_table(("WHEN (UTC)", "BY", "MODEL", "WHY"), rows, "No model was ever chosen.")
    return ExitCode.DONE


def choices() -> Choices:
    places = paths(os.environ)
    return Choices(places.config_file, places.models)


def described(choice: Choice) -> str:
    return str(choice) if choice.model else "what is found where none is chosen"


def say_overruled() -> None:
    """The choice is the user's setting, which a variable overrules."""
    if named := os.environ.get("WARDIAN_MODEL"):
        say(f"WARDIAN_MODEL is set to {named} and overrules this.")


def _say_gone(change: Change) -> None:
    for key in ("adapter", "base_url"):
        old = getattr(change.before, key)
        if old and getattr(change.after, key) is None:
            say(f"{key} = {old} went out of force with the model before.")


def _facts(change: Change) -> dict[str, Any]:
    return {
        "at": change.at,
        "how": change.how,
        "before": change.before.model,
        "after": change.after.model,
        "evidence": dict(change.evidence),
    }


def _why(change: Change) -> str:
    return str(change.evidence.get("verdict", ""))


def own_facts(name: str) -> dict[str, object]:
    """How a model of one's own came to be, for `agent models show`. Raises: ModelUnavailable."""
    own = registry(os.environ)
    model = own.get(name)
    return {
        "in_service": choices().now().model == model.spelling,
        "created": model.created,
        "sha256": model.sha256,
        "trained_from": list(_ancestors(own, model)),
        "lineage": dict(model.lineage),
    }


def lineage_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lineage in a few lines."""
    lineage: dict[str, Any] = facts["lineage"]
    rows = [
        ("in service", "yes" if facts["in_service"] else "no"),
        ("created", str(facts["created"])),
        ("trained from", " ← ".join(facts["trained_from"]) or "-"),
    ]
    training: dict[str, Any] = lineage.get("training") or {}
    if training:
        rows.append(("method", f"{training['method']}, recipe {training['recipe_sha256'][:12]}"))
        rows.append(("trained by", f"wardian {training.get('wardian')}{_at(training)}"))
    rows += [
        ("data", f"{data['path']} {data.get('sha256', 'is gone')[:12]}")
        for data in training.get("data", [])
    ]
    conversion: dict[str, Any] = lineage.get("conversion") or {}
    if agreement := conversion.get("agreement"):
        near = f"{agreement['mean_divergence']:.2g} nats a token from its weights"
        rows.append(("converted", f"{conversion['quantisation']}, {near}"))
    if added := lineage.get("added"):
        rows.append(("added from", str(added["path"])))
    decisions: list[dict[str, Any]] = lineage.get("promotions") or []
    return rows + [("promotion", f"{one['at'][:10]}: {one['verdict']}") for one in decisions]


def remove_own(name: str) -> int:
    """Delete a model of one's own; gives the bytes freed. Raises: ConfigurationError."""
    own = registry(os.environ)
    model = own.get(name)
    if choices().now().model == model.spelling:
        raise ConfigurationError(
            f"{model.spelling} is in service.", "Put another there first: agent models rollback"
        )
    users = [n for n in own.names() if _needs(own.get(n), model)]
    if users:
        raise ConfigurationError(
            f"{model.spelling} is what {', '.join(users)} are put on.", "Remove those first."
        )
    return own.remove(name)


def _needs(other: Registered, model: Registered) -> bool:
    return other.is_adapter and other.parent == model.spelling


def _at(made: Mapping[str, Any]) -> str:
    return f" at {made['commit'][:12]}" if made.get("commit") else ""


def _ancestors(own: Registry, model: Registered) -> Iterator[str]:
    """The parent, its parent, and so on, as far as they are registered here."""
    seen: set[str] = set()
    while model.parent and model.parent not in seen:
        seen.add(model.parent)
        yield model.parent
        name = name_of(model.parent)
        if name is None or name not in own.names():
            return
        model = own.get(name)
