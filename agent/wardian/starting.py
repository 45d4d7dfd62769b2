"""What a new run begins with, as its trajectory tells it."""

from dataclasses import asdict
from typing import Any

from wardian._version import __version__
from wardian.beginning import Beginning, Branch
from wardian.configured import ConfiguredAgent
from wardian.events import RunStarted
from wardian.loop import Run
from wardian.prompt import system_prompt
from wardian.skills import SKILL, listing
from wardian.types import Role
from wardian_sandbox.choosing import Choice


def run_started(
    agent: ConfiguredAgent[Any], run: Run, beginning: Beginning, choice: Choice
) -> RunStarted:
    """The first event of a new run."""
    branch = beginning.branch
    return RunStarted(
        run_id=run.id,
        task=beginning.task,
        system_prompt=system_prompt(
            agent.instructions,
            output_schema=agent.check.schema,
            skills=listing(agent.skills) if SKILL in run.registry else "",
        ),
        model={"name": agent.model.name, "is_local": agent.model.is_local} | agent.model.identity,
        tools=tuple(
            {
                "name": t.name,
                "description": t.description,
                "parameters": t.parameters,
                "effects": sorted(t.effects),
            }
            for t in run.registry
        ),
        policy=agent.policy.as_json(),
        sandbox=asdict(choice),
        workspace=str(agent.workspace),
        wardian_version=__version__,
        earlier=tuple(m for m in beginning.earlier if m.role is not Role.SYSTEM),
        tags=agent.tags,
        parent=agent.caller.as_json() if agent.caller else {},
        group=agent.group,
        spent=run.meter.ledger.before.as_json(),
        flow=_inherited(agent, branch),
        settings=agent.settings_json(beginning.place),
        fork=branch.fork if branch else {},
        prefix=branch.prefix if branch else (),
    )


def _inherited(agent: ConfiguredAgent[Any], branch: Branch | None) -> dict[str, Any]:
    """What the run holds from the first, besides its messages."""
    if agent.caller:
        return agent.caller.run.labels.state.as_json()
    return dict(branch.flow) if branch else {}
