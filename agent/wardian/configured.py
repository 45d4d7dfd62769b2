"""The parts that an agent is made of, whoever put them together."""

from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic

from wardian.answers import AnswerCheck
from wardian.approval import Approve, Grants
from wardian.beginning import Beginning
from wardian.children import Caller
from wardian.privacy import Session
from wardian.results import RunResult, T
from wardian.runs import RunStore
from wardian.skills import Skill
from wardian.subagents import SubAgent
from wardian.types import Model, Sampling
from wardian_policies import Policy
from wardian_tools import Registry
from wardian_tools.types import AskUser, ToolSource


class ConfiguredAgent(ABC, Generic[T]):
    """Everything a run can need to know of its agent. `Agent` says what may be put in."""

    policy: Policy
    registry: Registry
    servers: ToolSource | None
    model: Model
    private_model: Model | None
    child_models: dict[str, Model]
    """Those of sub-agents, by the name that each was loaded by"""
    workspace: Path
    workspace_mode: str
    sandbox: str
    sandbox_image: str
    sampling: Sampling
    context_tokens: int | None
    instructions: str
    approve: Approve | None
    grants: Grants
    ask_user: AskUser | None
    check: AnswerCheck[T]
    tags: tuple[str, ...]
    consent: bool
    """May its runs be exported?"""
    store: RunStore | None
    subagents: tuple[SubAgent, ...]
    skills: tuple[Skill, ...]
    session: Session
    caller: Caller | None
    """Where this is a sub-agent"""
    group: dict[str, Any]
    """What runs it is one of several attempts with, for the trajectory"""

    @abstractmethod
    async def perform(self, beginning: Beginning) -> RunResult[T]:
        """Do what `beginning` says. Raises: as `Agent.run`."""

    def settings_json(self, place: Path | None = None) -> dict[str, Any]:
        """What a run can be resumed, replayed or forked with, where no other event says it."""
        chosen: dict[str, Any] = {
            "sampling": {k: v for k, v in asdict(self.sampling).items() if v is not None},
            "workspace_mode": self.workspace_mode,
            "sandbox": self.sandbox,
            "sandbox_image": self.sandbox_image,
            "instructions": self.instructions,
            "output_schema": self.check.schema,
            "place": str(place) if place else None,
            "consent": None if self.consent else "no",
        }
        return {key: value for key, value in chosen.items() if value}
