"""Who takes part in an evaluation, what is planned, and whether a stored one may go on."""

import copy
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wardian._version import __version__
from wardian.agent import Agent
from wardian.errors import ConfigurationError
from wardian.evals.attempting import Scaling
from wardian.evals.outcomes import Plan
from wardian.evals.tasks import Suite
from wardian.runs import new_run_id
from wardian.types import Model
from wardian_policies.schema import nearest
from wardian_tools import select
from wardian_tools.errors import UnknownTool

MAX_ATTEMPTS = 1024
SAMPLED_AT = 1.0
"""Temperature of a local model with several attempts where none is chosen: its own default is
greedy, and greedy attempts are all the same."""
Contestant = Agent[Any] | Model | str
Contestants = Sequence[Contestant] | Mapping[str, Contestant]


def contestants_of(models: Contestants, attempts: int) -> dict[str, Agent[Any]]:
    """Agents by name. Raises: ConfigurationError; as `Agent`."""
    if not models:
        raise ConfigurationError("No model is named.", "Name one: -m tiny.")
    if isinstance(models, Mapping):
        return {name: _sampling(_agent(given), attempts) for name, given in models.items()}
    found: dict[str, Agent[Any]] = {}
    for given in models:
        agent = _agent(given)
        name, number = agent.model.name, 2
        while name in found:
            name, number = f"{agent.model.name}#{number}", number + 1
        found[name] = _sampling(agent, attempts)
    return found


def _agent(given: Contestant) -> Agent[Any]:
    agent: Agent[Any] = given if isinstance(given, Agent) else Agent(given)
    if agent.store is None:
        raise ConfigurationError(
            "An evaluation is made of recorded runs, and this agent keeps none.",
            "Give the agent a store.",
        )
    return agent


def _sampling(agent: Agent[Any], attempts: int) -> Agent[Any]:
    if attempts == 1 or agent.sampling.temperature is not None or not agent.model.is_local:
        return agent
    one = copy.copy(agent)
    one.sampling = replace(agent.sampling, temperature=SAMPLED_AT)
    return one


def check_tools(suite: Suite, contestants: Mapping[str, Agent[Any]]) -> None:
    """Has everybody the tools that the tasks name? Raises: ConfigurationError."""
    for name, agent in contestants.items():
        known = {tool.name for tool in agent.registry}
        for task in suite.tasks:
            for wanted in task.tools or ():
                if wanted in known:
                    continue
                try:
                    select([wanted])
                except UnknownTool as problem:
                    raise ConfigurationError(
                        f"The task {task.id} names the tool {wanted!r:.100}, which {name} has not.",
                        nearest(wanted, sorted(known)),
                    ) from problem
                known.add(wanted)


def plan_of(
    suite: Suite,
    contestants: Mapping[str, Agent[Any]],
    *,
    attempts: int,
    seed: int | None,
    scaling: Scaling,
    settings: Mapping[str, Any],
) -> Plan:
    """Raises: ConfigurationError; ModelUnavailable for a model file that cannot be read."""
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise ConfigurationError(
            f"There cannot be {attempts} attempts.", f"Take between 1 and {MAX_ATTEMPTS}."
        )
    return Plan(
        id=new_run_id(),
        suite=suite.name,
        source=suite.source,
        version=suite.version,
        digest=suite.digest,
        tasks=tuple(task.id for task in suite.tasks),
        models={name: described(agent) for name, agent in contestants.items()},
        attempts=attempts,
        seed=seed,
        scaling=scaling.as_json(),
        settings=settings,
        started=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        wardian_version=__version__,
    )


def described(agent: Agent[Any]) -> dict[str, Any]:
    """What answers depend on, beside the tasks."""
    sampling = agent.sampling
    return {
        **agent.model.identity,
        "name": agent.model.name,
        "is_local": agent.model.is_local,
        "temperature": sampling.temperature,
        "policy": agent.policy.name,
        "sandbox": agent.sandbox,
        "tools": sorted(tool.name for tool in agent.registry),
    }


def check_same(stored: Plan, wanted: Plan) -> None:
    """May `stored` go on as `wanted`? Raises: ConfigurationError saying what changed."""
    changed = [
        name
        for name, is_same in (
            ("the tasks of its suite", stored.digest == wanted.digest),
            ("its models", list(stored.models) == list(wanted.models)),
            ("a model's file", _hashes(stored) == _hashes(wanted)),
            ("the number of attempts", stored.attempts == wanted.attempts),
            ("its seed", stored.seed == wanted.seed),
            ("how samples are chosen", dict(stored.scaling) == dict(wanted.scaling)),
        )
        if not is_same
    ]
    if changed:
        raise ConfigurationError(
            f"The evaluation {stored.id} cannot go on: {', '.join(changed)} changed.",
            "Put that back, or begin a new evaluation.",
        )


def _hashes(plan: Plan) -> dict[str, dict[str, Any]]:
    """What names the files that the models are."""
    return {
        name: {key: value for key, value in about.items() if key.endswith("sha256")}
        for name, about in plan.models.items()
    }
