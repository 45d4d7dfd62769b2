"""Which screen a run gets: one that redacts where there is something to hide, else an idle one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wardian.privacy import HoldsSecrets, Screen, Session
from wardian.types import Model
from wardian_policies import Policy
from wardian_policies.redaction.gather import from_workspace, gather
from wardian_policies.types import Verdict

MIN_KEY_CHARS = 8
"""A key this short is a stand-in that a local server wants, such as `none`."""


def screen_for(
    policy: Policy,
    environ: Mapping[str, str],
    *,
    models: Sequence[Model],
    session: Session,
    workspace: Path,
    folder: Path | None = None,
    holders: Sequence[object] = (),
) -> Screen:
    """The screen of one run: what its policy, its environment and its models call for.

    `holders` are other parts that may hold secrets, such as tool servers.
    Raises: ConfigurationError for a key that is none.
    """
    rules = policy.redaction
    is_local = all(model.is_local for model in models)
    known: dict[str, str] = {}
    if rules.known:
        known |= gather(policy.secrets, environ).values
        for one in (*models, *holders):
            if isinstance(one, HoldsSecrets):
                held = one.secrets().items()
                known |= {name: value for name, value in held if len(value) >= MIN_KEY_CHARS}
    if not is_local and policy.flow.private_to_api is not Verdict.ALLOW:
        known |= from_workspace(policy.secrets, policy.flow.private_paths, workspace)
    best_effort = rules.structure or rules.rules or rules.personal
    if not known and not rules.patterns and (is_local or not best_effort):
        return Screen()
    from wardian.screening import redacting

    return redacting(known, rules, session, is_local=is_local, folder=folder)
