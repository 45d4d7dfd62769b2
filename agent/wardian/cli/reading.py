"""Stored runs as their owner reads them: pseudonyms undone, secrets registered since taken out."""

import os
from dataclasses import replace

from wardian.runs import RunSummary, Trajectory
from wardian.screening import RedactingScreen
from wardian.settings import load_settings, paths
from wardian_policies import Policy
from wardian_policies.redaction.gather import gather
from wardian_policies.redaction.pseudonyms import Pseudonyms
from wardian_policies.redaction.redactor import Redactor


def as_read(trajectory: Trajectory) -> Trajectory:
    """The run fit for its owner's screen. Raises: ConfigurationError, PolicyError."""
    try:
        pseudonyms = Pseudonyms.load(trajectory.path.parent)
    except (OSError, ValueError, KeyError):
        pseudonyms = Pseudonyms()  # without them the run is shown as it was sent
    screen = RedactingScreen(Redactor(known_values(), pseudonyms=pseudonyms))
    records = (
        replace(record, event=screen.shown(screen.hidden(record.event)))
        for record in trajectory.records
    )
    return replace(trajectory, records=tuple(records))


def listed(summaries: list[RunSummary]) -> list[RunSummary]:
    """The same for a list of runs, whose pseudonyms stay."""
    return RedactingScreen(Redactor(known_values())).hidden(summaries)


def known_values() -> dict[str, str]:
    settings = load_settings({}, os.environ)
    policy = Policy.load(settings.policy, folder=paths(os.environ).policies)
    return dict(gather(policy.secrets, os.environ).values) if policy.redaction.known else {}
