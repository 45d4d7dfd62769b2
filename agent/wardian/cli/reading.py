"""Stored runs as their owner reads them: pseudonyms undone, secrets registered since taken out."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.runs import Damage, Record, Trajectory
from wardian.screening import RedactingScreen
from wardian.settings import load_settings, paths
from wardian_policies import Policy
from wardian_policies.redaction.gather import gather
from wardian_policies.redaction.pseudonyms import Pseudonyms
from wardian_policies.redaction.redactor import Redactor

T = TypeVar("T")


def as_read(trajectory: Trajectory, known: Mapping[str, str] | None = None) -> Trajectory:
    """The run fit for its owner's screen; `known` saves gathering the secrets for each of many.

    Raises: ConfigurationError, PolicyError.
    """
    values = known_values() if known is None else known
    try:
        pseudonyms = Pseudonyms.load(trajectory.path.parent)
    except (OSError, ValueError, KeyError):
        pseudonyms = Pseudonyms()  # without them the run is shown as it was sent
    screen = RedactingScreen(Redactor(values, pseudonyms=pseudonyms))
    records: list[Record] = []
    damage = list(trajectory.damage)
    for record in trajectory.records:
        try:
            records.append(replace(record, event=screen.shown(screen.hidden(record.event))))
        except RecursionError:  # what cannot be searched for secrets is not shown
            damage.append(Damage(line=record.seq + 1, problem="nested too deeply", raw=b""))
    return replace(trajectory, records=tuple(records), damage=tuple(damage))


def listed(rows: T) -> T:
    """The same for a list of runs, whose pseudonyms stay."""
    return RedactingScreen(Redactor(known_values())).hidden(rows)


def cleaner(known: Mapping[str, str]) -> Callable[[str], str]:
    """The same for texts by themselves."""
    return RedactingScreen(Redactor(known)).hidden


def known_values() -> dict[str, str]:
    settings = load_settings({}, os.environ)
    policy = Policy.load(settings.policy, folder=paths(os.environ).policies)
    return dict(gather(policy.secrets, os.environ).values) if policy.redaction.known else {}


def warn_of_damage(trajectory: Trajectory) -> None:
    """Say on stderr which of its lines cannot be read."""
    for damage in trajectory.damage:
        text = f"agent: line {damage.line} of the trajectory cannot be read: {damage.problem}"
        write(sys.stderr, visible(text) + "\n")
