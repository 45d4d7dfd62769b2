"""The option --verifier: a check in the form that tasks have it, as JSON or in a file."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from wardian.cli.task_input import UsageError, read_file
from wardian.errors import ConfigurationError
from wardian.rewards.combine import AllOf
from wardian.rewards.specification import verifier_of
from wardian.rewards.types import Verifier

CHOOSES = ("verifier", "reward")
"""What --select takes that looks at a verifier"""
EXAMPLE = '{"kind": "number", "expected": 42}'


def chosen_verifier(said: str | None, select: str, samples: int) -> Verifier | None:
    """What is to choose, if --verifier names it. Raises: UsageError, ConfigurationError."""
    if said is None:
        if select == "verifier" and samples > 1:
            raise UsageError(
                "There is no verifier to choose by.", f"Name one: --verifier '{EXAMPLE}'."
            )
        return None
    if samples == 1 or select not in CHOOSES:
        raise UsageError(
            "The verifier would not be asked: it chooses one of several attempts.",
            "Add --samples N and --select verifier (or reward), or leave --verifier out.",
        )
    table = _table_of(said)
    several = cast("list[object]", table) if isinstance(table, list) else [table]
    if not several or not all(isinstance(one, Mapping) for one in several):
        raise ConfigurationError("A verifier is a table with a kind.", f"Write {EXAMPLE}.")
    made = tuple(verifier_of(cast("Mapping[str, object]", one)) for one in several)
    return made[0] if len(made) == 1 else AllOf(made)


def _table_of(said: str) -> object:
    """Of JSON as it stands, or of a file: TOML if its name says so, else JSON."""
    is_inline = said.lstrip().startswith(("{", "["))
    text = said if is_inline else read_file(Path(said))
    name = "What --verifier was given" if is_inline else said
    try:
        if not is_inline and said.endswith(".toml"):
            table = tomllib.loads(text)
            return table.get("verifier", table)
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ConfigurationError(
            f"{name} cannot be read: {problem!s:.200}.", f"Write it as {EXAMPLE}."
        ) from problem
