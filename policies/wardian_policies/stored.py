"""A policy as a trajectory holds it, read back: to bind a run that goes on to what it began with.

Covers: rules on tools, commands and paths, budgets, limits, and every table. Each layer gets the
whole policy's tables and limits, which are the narrowest of the layers': good for narrowing by it.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wardian_policies.commands import CommandRules, parse_command
from wardian_policies.errors import PolicyError
from wardian_policies.file import Layer
from wardian_policies.paths import PathGlob, PathRules
from wardian_policies.policy import Policy
from wardian_policies.rules import RuleSet, parse_rule
from wardian_policies.tables import TABLES
from wardian_policies.types import Budgets, Rule, Verdict
from wardian_sandbox.types import ResourceLimits


def stored_policy(data: Mapping[str, Any]) -> Policy:
    """What `Policy.as_json` gave. Raises: PolicyError."""
    try:
        return Policy.of(str(data["name"]), tuple(_layer(one, data) for one in data["layers"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"The policy recorded with the run cannot be read: {error}."
        raise PolicyError(cause, "Give its task anew.") from error


def _layer(layer: Mapping[str, Any], data: Mapping[str, Any]) -> Layer:
    by_table: dict[str, list[Mapping[str, str]]] = {}
    for item in layer["rules"]:
        by_table.setdefault(item["table"], []).append(item)
    shell = by_table.get("shell", [])
    default = by_table["default"][0]
    commands = CommandRules(
        rules=tuple(
            parse_command(verdict, pattern, source)
            for verdict, pattern, source in map(_taken_apart, by_table.get("commands", []))
        ),
        shell=_verdict_of(shell[0]) if shell else None,
        shell_rule=_rule(shell[0]) if shell else None,
    )
    return Layer(
        rules=RuleSet(
            rules=tuple(
                parse_rule(verdict, pattern, source)
                for verdict, pattern, source in map(_taken_apart, by_table.get("tools", []))
            ),
            default=_verdict_of(default),
            default_rule=_rule(default),
            commands=commands,
        ),
        paths=PathRules(
            **{
                name: tuple(PathGlob(glob=i["text"], source=i["source"]) for i in layer[name])
                for name in ("readable", "writable", "protected")
            }
        ),
        budgets=_made(Budgets, data["budgets"]),
        limits=_made(ResourceLimits, data["confinement"]["limits"]),
        **{name: _made(table, data[name]) for name, table in TABLES.items()},
    )


def _taken_apart(item: Mapping[str, str]) -> tuple[Verdict, str, str]:
    """Verdict, pattern, source of a rule such as `deny command sudo`."""
    verdict, _, pattern = item["text"].partition(" ")
    if item["table"] == "commands":
        pattern = pattern.removeprefix("command ")
    return Verdict(verdict), pattern, item["source"]


def _verdict_of(item: Mapping[str, str]) -> Verdict:
    """Of a rule such as `default = ask`."""
    return Verdict(item["text"].rpartition("= ")[2])


def _rule(item: Mapping[str, str]) -> Rule:
    return Rule(text=item["text"], source=item["source"])


def _made(table: type, values: Mapping[str, Any]) -> Any:
    """A row of a table; JSON has lists where it has tuples and plain text for verdicts."""
    known = {field.name: field for field in fields(table)}
    default = table()
    return table(
        **{
            name: _like(getattr(default, name), value)
            for name, value in values.items()
            if name in known
        }
    )


def _like(default: object, value: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(str(one) for one in value)
    if isinstance(default, Verdict):
        return Verdict(value)
    return value
