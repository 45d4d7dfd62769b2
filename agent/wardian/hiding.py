"""What the boxes of a run hide: what its policy keeps on this machine, before a model elsewhere.

A call that names such a file or host is decided by the policy. Code names nothing that can be
decided on, so for a model elsewhere those files are not in its box, and those hosts not to be
reached from it. A file that a call was allowed to read is shown from then on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from wardian.children import Caller
from wardian.configured import ConfiguredAgent
from wardian.errors import WardianError
from wardian.models.catalogue import resolve_model
from wardian.subagents import SubAgent, with_all_below
from wardian.types import Model
from wardian_policies import types as policies
from wardian_sandbox.types import Confinement


@runtime_checkable
class HidesPaths(Protocol):
    """Servers of tools that see the workspace."""

    def hide(self, globs: Sequence[str]) -> None:
        """Of servers that start from now on."""
        ...


def box_confinement(agent: ConfiguredAgent[Any]) -> Confinement:
    """What the boxes of an agent's runs are opened with."""
    within = agent.policy.confinement
    if not hides(agent):
        return within
    rules = agent.policy.flow
    egress = replace(within.egress, refused=rules.private_hosts)
    return replace(within, hidden=rules.private_paths, egress=egress)


def hides(agent: ConfiguredAgent[Any]) -> bool:
    """Does the policy keep something from the code of an agent's runs?"""
    is_free = agent.policy.flow.private_to_api is policies.Verdict.ALLOW
    return not is_free and is_read_elsewhere(agent)


def shows_later(agent: ConfiguredAgent[Any]) -> bool:
    """May a call read what is hidden from code?"""
    asks = agent.policy.flow.private_to_api is policies.Verdict.ASK
    return asks or agent.model.is_local or agent.private_model is not None


def is_read_elsewhere(agent: ConfiguredAgent[Any]) -> bool:
    """Is a model elsewhere among those that read what the agent, its caller or one below does?"""
    caller: Caller | None = agent.caller
    if not agent.model.is_local or (caller is not None and caller.is_read_elsewhere):
        return True
    below = (one for child in agent.subagents for one in with_all_below(child))
    return not all(stays_here(agent, one) for one in below)


def stays_here(agent: ConfiguredAgent[Any], definition: SubAgent) -> bool:
    """Is a sub-agent's model on this machine? One that cannot be had says so when called."""
    try:
        return model_of(agent, definition).is_local
    except WardianError:
        return False


def model_of(agent: ConfiguredAgent[Any], definition: SubAgent) -> Model:
    """The model of a sub-agent; one that is named is loaded once."""
    if not isinstance(definition.model, str):
        return definition.model or agent.model
    if definition.model not in agent.child_models:
        agent.child_models[definition.model] = resolve_model(definition.model)
    return agent.child_models[definition.model]
