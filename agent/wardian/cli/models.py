"""`agent models`: what this machine can use, and getting more."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli import models_hub, models_own, models_probe
from wardian.cli.confirm import confirmed
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.models_hub import say, size
from wardian.cli.promote import promote_model
from wardian.errors import ApprovalNeeded, ConfigurationError, ExitCode, ModelUnavailable
from wardian.models.catalogue import KnownModel, known_models, local_file, resolve_model
from wardian.models.detection import FoundModel, find_served, takes_tools
from wardian.models.families import family_of
from wardian.models.gguf_files import (
    FILE_KINDS,
    GgufFile,
    find_in_hugging_face_cache,
    model_folders,
)
from wardian.models.hub import remove_cached
from wardian.models.llamacpp.header import HeaderDamaged, read_header
from wardian.models.registry import name_of, registry
from wardian.settings import load_settings, paths

OWN = ("in_service", "created", "sha256", "trained_from", "lineage")
"""Facts that are told in lines of their own"""
Spelled = Annotated[str, typer.Argument(metavar="MODEL", help="As `agent models list` spells it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("List, get, choose and measure models.")
    group.command("list", epilog="Example: agent models list")(list_models)
    group.command("search", epilog="Example: agent models search qwen3 4b")(models_hub.search)
    group.command("pull", epilog="Example: agent models pull hf:Qwen/Qwen3-4B-GGUF:Q4_K_M")(
        models_hub.pull
    )
    group.command("add", epilog="Example: agent models add training/ --name better")(models_own.add)
    group.command("use", epilog="Example: agent models use tiny")(models_own.use)
    group.command("promote", epilog="Example: agent models promote local:better --suite mine/")(
        promote_model
    )
    group.command("rollback", epilog="Example: agent models rollback")(models_own.rollback)
    group.command("history", epilog="Example: agent models history")(models_own.history)
    group.command("show", epilog="Example: agent models show tiny")(show)
    group.command("rm", epilog="Example: agent models rm hf:Qwen/Qwen3-4B-GGUF:Q4_K_M")(remove)
    group.command("probe", epilog="Example: agent models probe tiny")(models_probe.probe_model)
    app.add_typer(group, name="models")


def list_models(*, as_json: AsJson = False) -> int:
    """List the built-in model, local servers' models, GGUF files, and providers with a key."""
    places = [paths(os.environ).models, *model_folders(os.environ)]
    known = known_models(os.environ, places)
    served = find_served(os.environ)
    in_use = load_settings({}, os.environ).model
    if as_json:
        found = [*(facts(model) for model in known), *(served_facts(m) for m in served)]
        print_json([{**fact, "is_in_use": fact["spelling"] == in_use} for fact in found])
        return ExitCode.DONE
    rows = [(m.spelling, m.source, size(m.size_bytes), m.detail) for m in known]
    rows += [(m.spelling, "server", size(m.size_bytes), _where(m)) for m in served]
    rows = [(*row[:3], f"in use: {row[3]}" if row[0] == in_use else row[3]) for row in rows]
    print_table(
        ("MODEL", "SOURCE", "SIZE", "WHERE"),
        rows,
        "No model is here. Name a file (-m gguf:PATH) or a server (--base-url URL -m NAME).",
    )
    return ExitCode.DONE


def show(model: Spelled, *, as_json: AsJson = False) -> int:
    """Show what a model is: its file's header, or what its server says of it."""
    served = next((m for m in find_served(os.environ) if m.spelling == model), None)
    known = served_facts(served) if served else _described(model)
    if as_json:
        print_json(known)
        return ExitCode.DONE
    told = OWN if name_of(model) else ()
    rows = [(k.replace("_", " "), _shown(v)) for k, v in known.items() if k not in told]
    if told:
        rows += models_own.lineage_rows(known)
    print_table(rows[0], rows[1:] or rows, "")
    return ExitCode.DONE


def remove(
    model: Spelled, *, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> int:
    """Delete a model's file: one that was pulled, trained, or put into Wardian's own folder."""
    own = name_of(model)
    path = registry(os.environ).file(registry(os.environ).get(own)) if own else _removable(model)
    total = path.stat().st_size
    answer = True if yes else confirmed(f"Delete {path} ({size(total)})?")
    if answer is None:
        raise ApprovalNeeded(f"Nobody can be asked whether to delete {path}.", "Give --yes.")
    if not answer:
        say("Nothing was deleted.")
        return ExitCode.APPROVAL
    kind, _, rest = model.partition(":")
    if kind == "hf":
        file = GgufFile(path=path, size_bytes=total, repo=rest.partition(":")[0])
        freed = remove_cached(file, os.environ)
    elif own:
        freed = models_own.remove_own(own)
    else:
        path.unlink()
        freed = total
    say(f"Deleted {model}: {size(freed)} freed.")
    return ExitCode.DONE


def _removable(model: str) -> Path:
    """Raises: ModelUnavailable, ConfigurationError."""
    kind, _, rest = model.partition(":")
    if kind == "hf":
        repo, _, quant = rest.partition(":")
        held = find_in_hugging_face_cache(repo, quant, os.environ)
        if held is None:
            raise ModelUnavailable(f"{model} is not here.", "`agent models list` shows what is.")
        return held.path
    path = Path(rest).expanduser().absolute() if kind == "gguf" else Path()
    if path.is_relative_to(paths(os.environ).models) and path.is_file():
        return path
    raise ConfigurationError(
        f"{model} is not Wardian's to delete.",
        "Only what was pulled is, and files in its own folder; a server deletes its own models.",
    )


def _described(model: str) -> dict[str, object]:
    """Facts on a model that no server here offers. Raises: ModelUnavailable, ModelRefused."""
    resolved = resolve_model(model, environ=os.environ)
    if model != "tiny" and not model.startswith(FILE_KINDS):
        return {"spelling": model, "is_local": resolved.is_local, **resolved.identity}
    path = local_file(model, os.environ)
    try:
        header = read_header(path)
    except HeaderDamaged as e:
        raise ModelUnavailable(f"The model file {path} {e}.", "Download it again.") from e
    calls = takes_tools(header)
    return {
        "spelling": model,
        "path": str(path),
        "size_bytes": path.stat().st_size,
        "architecture": header.architecture,
        "quantisation": header.quantisation,
        "trained_context_tokens": header.trained_context_tokens,
        "takes_tools": calls,
        "writes_calls_as": family_of(header.template).name if calls else "told in words",
        **models_probe.measured(model),
        **(models_own.own_facts(own) if (own := name_of(model)) else {}),
    }


def facts(model: KnownModel) -> dict[str, object]:
    return {
        "spelling": model.spelling,
        "source": model.source,
        "detail": model.detail,
        "path": str(model.path) if model.path else None,
        "size_bytes": model.size_bytes,
    }


def served_facts(model: FoundModel) -> dict[str, object]:
    return {
        "spelling": model.spelling,
        "source": "server",
        "detail": model.where,
        "path": None,
        "size_bytes": model.size_bytes,
        "takes_tools": model.takes_tools,
        "context_tokens": model.context_tokens,
        "is_loaded": model.is_loaded,
    }


def _where(model: FoundModel) -> str:
    tools = {True: "takes tools", False: "takes no tools", None: "tools unknown"}[model.takes_tools]
    return f"{model.where}, {tools}"


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
