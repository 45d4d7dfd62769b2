"""Runs to learn from: written to a real store, or made by the built-in model.

In written ones a token is a byte, so that ids can be read.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from wardian.data import Choice, Dataset, Goal, build
from wardian.data.rows import TokenRow
from wardian.events import (
    CallFinished,
    ModelReplied,
    Rated,
    Recorded,
    Rewarded,
    RunFinished,
    RunStarted,
)
from wardian.reruns.forking import annotate
from wardian.runs import RunStore
from wardian.types import Finish, Message, Reply, Role, Sampling, Stop, Task, TokenRecord, Usage
from wardian_tools.types import Confidentiality, ResultStatus, ToolCall, ToolResult

NEEDED = ("llama_cpp", "numpy", "jinja2", "gguf")
collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_data_tiny.py"]

PYTHON: dict[str, Any] = {"name": "python", "description": "Run.", "parameters": {}}
TEMPERATURE = 2.0
"""So high that attempts at a task differ"""
MODEL, TEMPLATE = "a" * 64, "b" * 64


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One reply: what it says, or the code that it has run and what came of it."""

    says: str = ""
    runs: str = ""
    result: str = "ok"
    finish: Finish = Finish.STOP
    problem: str | None = None
    """Of its call"""
    label: Confidentiality = Confidentiality.PUBLIC
    """Of its result"""

    @property
    def text(self) -> str:
        return f"<{self.runs}>" if self.runs else self.says


@dataclass(kw_only=True)
class Shelf:
    """A store, and what is built of it."""

    store: RunStore
    folder: Path
    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(
        self,
        *turns: Turn | str,
        prompt: str = "Count.",
        reward: float | None = None,
        task: str = "",
        suite: str = "",
        tags: Sequence[str] = (),
        stop: Stop | None = Stop.DONE,
        with_ids: bool = True,
        model_sha256: str = MODEL,
        model: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
        fork: dict[str, Any] | None = None,
        suspicions: tuple[str, ...] = (),
        rated: bool | None = None,
    ) -> str:
        """Write a run and give its id."""
        self.count += 1
        run_id = f"01J{self.count:023d}"
        named = [f"task:{task}", f"suite:{suite}"] if task else []
        events: list[Recorded] = [
            RunStarted(
                run_id=run_id,
                task=Task(prompt=prompt),
                system_prompt="",
                model={"name": "bytes", **(model or {})},
                tools=({**PYTHON, "effects": ["executes"]},),
                policy={},
                sandbox={},
                workspace="/workspace",
                wardian_version="0",
                tags=(*named, *tags),
                parent=parent or {},
                fork=fork or {},
            )
        ]
        whole = [one if isinstance(one, Turn) else Turn(says=one) for one in turns]
        events += replied(whole, prompt, model_sha256, with_ids=with_ids)
        if stop:
            events.append(
                RunFinished(
                    stop=stop,
                    answer=whole[-1].says,
                    steps=len(whole),
                    tool_calls=0,
                    usage=Usage(),
                    seconds=1.0,
                )
            )
        log = self.store.create(run_id)
        for event in events:
            log.note(event)
        log.close()
        if reward is not None:
            self.note(
                run_id,
                Rewarded(step=0, value=reward, source="check", version="1", suspicions=suspicions),
            )
        if rated is not None:
            self.note(run_id, Rated(step=0, good=rated))
        self.ids.append(run_id)
        return run_id

    def note(self, run_id: str, event: Recorded) -> None:
        annotate(self.store, run_id, event)

    def build(self, goal: str, *, name: str = "rows.jsonl", **options: Any) -> Dataset:
        kept = {key: options.pop(key) for key in ("filters", "split", "secrets") if key in options}
        ids = options.pop("ids", self.ids)
        choice = replace(Choice(goal=Goal(goal)), **{"near": 1.0, **options})
        return build(self.store, ids, choice, output=self.folder / name, **kept)


def replied(
    turns: Sequence[Turn], prompt: str, model_sha256: str, *, with_ids: bool = True
) -> list[Recorded]:
    """Replies and results, with the ids that an engine would have recorded."""
    events: list[Recorded] = []
    stream = b""
    suffix = f"[{prompt}]".encode()
    for step, turn in enumerate(turns, start=1):
        call = ToolCall(
            id=f"call_{step}",
            name="python",
            arguments_text=turn.runs,
            arguments={"code": turn.runs},
            problem=turn.problem,
        )
        calls = (call,) if turn.runs else ()
        stream += suffix
        sampled = turn.text.encode()
        tokens = TokenRecord(
            prompt_suffix_ids=tuple(suffix),
            kept_ids=len(stream) - len(suffix),
            sampled_ids=tuple(sampled),
            logprobs=(-0.5,) * len(sampled),
            constrained=(False,) * len(sampled),
            sampling=Sampling(temperature=1.0, top_p=1.0, constrain=False),
            model_sha256=model_sha256,
            template_sha256=TEMPLATE,
        )
        message = Message(role=Role.ASSISTANT, content=turn.says, calls=calls)
        reply = Reply(
            message=message,
            finish=Finish.CALLS if turn.runs and turn.finish is Finish.STOP else turn.finish,
            usage=Usage(prompt_tokens=len(stream), completion_tokens=len(sampled)),
            tokens=tokens if with_ids else None,
        )
        events.append(ModelReplied(step=step, reply=reply, seconds=0.1))
        stream += sampled
        suffix = b"|"
        if turn.runs:
            status = ResultStatus.MALFORMED if turn.problem else ResultStatus.OK
            result = ToolResult(
                call_id=call.id,
                name="python",
                status=status,
                content=turn.result,
                confidentiality=turn.label,
            )
            events.append(CallFinished(step=step, result=result))
            suffix = f"({turn.result})".encode()
    return events


def read(ids: Sequence[int]) -> str:
    return bytes(ids).decode()


def trained(ids: Sequence[int], mask: Sequence[int]) -> str:
    return bytes(token for token, is_on in zip(ids, mask, strict=True) if is_on).decode()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(store=RunStore(tmp_path / "runs"), folder=tmp_path)


async def attempts_of_tiny(
    store: RunStore, folder: Path, prompts: Sequence[str], each: int
) -> None:
    """Real runs of the built-in model, sampled freely; every second one is called good."""
    from wardian import Agent
    from wardian.models.catalogue import resolve_model

    model = resolve_model("tiny")
    try:
        for number, prompt in enumerate(prompts):
            for attempt in range(each):
                agent: Agent[Any] = Agent(
                    model=model,
                    workspace=folder,
                    store=store,
                    sampling=Sampling(temperature=TEMPERATURE, constrain=False, seed=attempt),
                    tags=["suite:mine", f"task:sums/{number}", "split:train"],
                )
                result = await agent.run(prompt)
                value = float(attempt % 2 == 0)
                verdict = Rewarded(step=0, value=value, source="check", version="1")
                annotate(store, result.run_id, verdict)
    finally:
        await model.close()


@pytest.fixture(scope="session")
def tiny_shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("tiny")
    workspace = folder / "workspace"
    workspace.mkdir()
    workspace.chmod(0o755)
    (workspace / "notes.txt").write_text("three\nshort\nlines\n")
    store = RunStore(folder / "runs")
    prompts = ["What is 17 * 23?", "How many lines are in notes.txt?"]
    asyncio.run(attempts_of_tiny(store, workspace, prompts, 4))
    return Shelf(store=store, folder=folder, ids=store.ids())


def tokens(dataset: Dataset) -> list[TokenRow]:
    return list(dataset.rows(TokenRow))


def left_out(dataset: Dataset) -> dict[str, int]:
    return {reason: left["count"] for reason, left in dataset.card["left_out"].items()}
