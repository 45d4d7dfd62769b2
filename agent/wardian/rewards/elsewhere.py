"""What a judge may be shown of a run whose model is another: it may be on another machine."""

import os
from collections.abc import Sequence
from pathlib import Path

from wardian.events import RunStarted
from wardian.flow import situation_after
from wardian.privacy import Session
from wardian.rewards.types import Attempt, GradingFailed
from wardian.screens import screen_for
from wardian.types import Message, Model
from wardian_policies import Policy, PolicyError
from wardian_policies.stored import stored_policy
from wardian_policies.types import Verdict


def messages_for(
    model: Model, attempt: Attempt, messages: Sequence[Message]
) -> tuple[Message, ...]:
    """The messages, for a model elsewhere without what the run's policy would hide from it.

    Raises: GradingFailed when the run holds what its policy keeps on this machine.
    """
    if model.is_local:
        return tuple(messages)
    started = next((one for one in attempt.events if isinstance(one, RunStarted)), None)
    policy = _policy(started)
    source = attempt.flow.local or situation_after(attempt.events).flow.local
    if source is not None and policy.flow.private_to_api is not Verdict.ALLOW:
        raise GradingFailed(
            f"The run holds what its policy keeps on this machine, from {source}, and the judge"
            f" {model.name} is elsewhere.",
            "Have a model on this machine judge: --critic MODEL, or `model` of the verifier.",
        )
    workspace = attempt.workspace or Path(started.workspace if started else os.devnull)
    screen = screen_for(policy, os.environ, models=[model], session=Session(), workspace=workspace)
    return tuple(screen.hidden(message) for message in messages)


def _policy(started: RunStarted | None) -> Policy:
    try:
        return stored_policy(started.policy) if started else Policy.load("default")
    except PolicyError:
        return Policy.load("default")  # of a run that was made elsewhere
