"""Attempts at tasks by the model as it is now: real runs, real tools, a real sandbox.

The engine is llama.cpp, as it will be in service: same template, same tokenizer, token in and
token out, all attempts of a step in shared batches. It gets the weights as a GGUF file each step;
with low-rank additions only those. Calls are sampled freely, without a grammar, so that the
likelihoods recorded are the model's own.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent, load_policy
from wardian.data.streams import Branch, streams
from wardian.evals.attempting import ONCE, Place, attempted
from wardian.evals.grading import checks_of
from wardian.evals.outcomes import Ending, Outcome
from wardian.evals.tasks import Suite, Task
from wardian.export.rows import Unfit
from wardian.models.llama import LlamaModel
from wardian.runs import RunStore, new_run_id
from wardian.train.base import Base
from wardian.train.gguf.adapter import write_adapter
from wardian.train.gguf.contents import write
from wardian.train.gguf.convert import contents_of
from wardian.train.gguf.sources import Source, load_source
from wardian.train.recipe import Group, Recipe
from wardian.types import Sampling

LARGEST_FLOAT32_PARAMETERS = 1_000_000_000
"""Larger models are sampled in bfloat16, which their own weights mostly are."""
WEIGHTS, ADDITIONS = "weights.gguf", "additions.gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One attempt, graded."""

    outcome: Outcome
    branches: tuple[Branch, ...]
    """Its token streams; none where they could not be read"""

    @property
    def reward(self) -> float | None:
        """None where the attempt says nothing about the model: its group does without it."""
        return self.outcome.value if self.branches else None

    @property
    def tokens(self) -> int:
        """That the model sampled."""
        return sum(reply.end - reply.begin for one in self.branches for reply in one.replies)


class Rollouts:
    """Makes attempts with the weights it was last given."""

    def __init__(self, recipe: Recipe, base: Base) -> None:
        self.recipe, self.base = recipe, base
        self.folder = Path(recipe.out) / "rollouts"
        self.folder.mkdir(parents=True, exist_ok=True)

    def refresh(self, model: Any) -> None:
        """Take the model's weights. Raises: ConfigurationError for an architecture not known."""
        if not self.recipe.is_lora:
            self._write(model, self.folder / WEIGHTS)
            return
        if not (self.folder / WEIGHTS).is_file():
            self._write(load_source(self.base.folder).model, self.folder / WEIGHTS)
        adapter = self.folder / "adapter"
        model.save_pretrained(str(adapter))
        config = model.get_base_model().config.to_dict()
        write_adapter(self.folder / ADDITIONS, adapter, config, "additions")

    def _write(self, model: Any, path: Path) -> None:
        parameters = sum(p.numel() for p in model.parameters())
        source = Source(
            folder=self.base.folder, adapter=None, model=model, tokenizer=self.base.tokenizer
        )
        kind = "F32" if parameters <= LARGEST_FLOAT32_PARAMETERS else "BF16"
        write(path, contents_of(source, "rollouts"), kind)

    def collect(
        self, tasks: Sequence[Task], attempts: int, name: str, done: Callable[[float], None]
    ) -> list[list[Rollout]]:
        """`attempts` at each task: a list a task. `done` is told the share that is made.

        Raises: ModelError, StorageError, SandboxError.
        """
        return asyncio.run(self._collect(tasks, attempts, name, done))

    async def _collect(
        self, tasks: Sequence[Task], attempts: int, name: str, done: Callable[[float], None]
    ) -> list[list[Rollout]]:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        store = RunStore(self.folder / name / "runs")
        places = self._places(tasks, attempts, name)
        turns = asyncio.Semaphore(self.recipe.grpo.parallel)
        made: dict[tuple[str, int], Rollout] = {}
        async with self._agent(store) as agent:

            async def make(place: Place) -> None:
                async with turns:
                    outcome = await self._attempt(agent, place, name)
                made[place.task.id, place.attempt] = Rollout(
                    outcome=outcome, branches=branches_of(store, outcome)
                )
                shutil.rmtree(place.workspace, ignore_errors=True)
                done(len(made) / len(places))

            try:
                async with asyncio.TaskGroup() as group:
                    for place in places:
                        group.create_task(make(place))
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
        return [[made[task.id, n] for n in range(attempts)] for task in tasks]

    async def _attempt(self, agent: Agent[Any], place: Place, name: str) -> Outcome:
        which = f"{self.recipe.training.seed}/{name}/{place.task.id}/{place.attempt}"
        seed = random.Random(which).getrandbits(31)  # noqa: S311 - reproducible
        return await attempted(agent, place, seed=seed, scaling=ONCE, within=None)

    def _places(self, tasks: Sequence[Task], attempts: int, name: str) -> list[Place]:
        checks = checks_of(Suite(name="grpo", version="1", tasks=tuple(tasks)))
        made: list[Place] = []
        for task in tasks:
            group = new_run_id()
            for number in range(attempts):
                run_id = new_run_id()
                made.append(
                    Place(
                        contestant="policy",
                        check=checks[task.id],
                        attempt=number,
                        workspace=self.folder / name / "work" / run_id,
                        run_id=run_id,
                        group={"id": group, "index": number, "size": attempts, "select": ""},
                        tags=(f"task:{task.id}", f"family:{task.family}"),
                    )
                )
        return made

    @asynccontextmanager
    async def _agent(self, store: RunStore) -> AsyncGenerator[Agent[Any]]:
        grpo, recipe = self.recipe.grpo, self.recipe
        additions = [(self.folder / ADDITIONS, 1.0)] if recipe.is_lora else []
        model = LlamaModel(
            self.folder / WEIGHTS,
            name="policy",
            context_tokens=recipe.training.max_tokens,
            adapters=additions,
        )
        agent: Agent[Any] = Agent(
            model,
            policy=within_limits(grpo, self.folder),
            sandbox=grpo.sandbox,
            workspace=self.folder,
            workspace_mode="mount",
            sampling=sampling_of(grpo),
            store=store,
        )
        try:
            yield agent
        finally:
            await agent.close()


def sampling_of(grpo: Group) -> Sampling:
    return Sampling(
        temperature=grpo.temperature,
        top_p=1.0,
        max_tokens=grpo.max_reply_tokens,
        constrain=False,
    )


def within_limits(grpo: Group, folder: Path) -> Any:
    """The policy with the recipe's limits in the place of its own. Raises: PolicyError."""
    policy = load_policy(grpo.policy, folder)
    budgets = replace(policy.budgets, steps=grpo.max_steps, wall_seconds=grpo.max_seconds)
    return policy.with_budgets(budgets)


def branches_of(store: RunStore, outcome: Outcome) -> tuple[Branch, ...]:
    """None for what says nothing about the model."""
    if outcome.ending is Ending.ERROR or not outcome.run_id:
        return ()
    try:
        return streams(store.load(outcome.run_id)).branches
    except Unfit:
        return ()
