"""Is a run's record what it says? Its lines and contents, and every token of a local model.

Each prompt is made of its messages anew, with the model's own template and vocabulary, and compared
with the recorded ids: what was kept of the prompt before and what was added. What was sampled is
spelt out, read for calls, and compared with the recorded reply. Nothing is compared with another
file than the one that answered: where it is gone or has changed, that is said.
Of a model behind a server, each request is made of the events anew and compared with the hash of
what was sent. Does not cover: tokens that a server gives, which nothing here can make again.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from wardian.errors import ModelError, StorageError
from wardian.events import ModelReplied, RunResumed
from wardian.models.call_style import CallStyle
from wardian.models.catalogue import TINY_PATH
from wardian.models.llama_check import Checked, LlamaChecker
from wardian.models.llamacpp.file import ModelFile
from wardian.models.request_check import is_as_sent
from wardian.prompt import Conversation
from wardian.runs import RunStore, Trajectory
from wardian.runs.log import BLOBS_NAME
from wardian.runs.states import FILES_NAME
from wardian.types import Exchange, Reply, Request, TokenRecord, ToolSpec

HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Where a record is not what the model's file gives."""

    step: int
    token: int | None
    """Its place in the prompt, from 0; None where it is the reply, or a request"""
    recorded: str
    rendered: str


@dataclass(slots=True, kw_only=True)
class Verified:
    run_id: str
    replies: int = 0
    checked: int = 0
    """Replies whose prompt and sampled ids were compared"""
    requests: int = 0
    """Requests to a server that were compared with what was sent"""
    prompt_tokens: int = 0
    drift: list[Drift] = field(default_factory=list[Drift])
    unchecked: dict[str, int] = field(default_factory=dict[str, int])
    """Why replies could not be checked, and how many"""
    damage: list[str] = field(default_factory=list[str])
    newer: str = ""
    """What is to be said of a run that a later version wrote, and of which nothing else is known"""

    @property
    def is_sound(self) -> bool | None:
        """None where that is not known."""
        return None if self.newer else not self.drift and not self.damage

    def leave(self, why: str) -> None:
        self.unchecked[why] = self.unchecked.get(why, 0) + 1


class Verifier:
    """Checks runs; keeps what it has loaded from one to the next. `close` it."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._checkers: dict[Path, LlamaChecker] = {}
        self._hashes: dict[Path, str] = {}

    async def verify(self, run_id: str) -> Verified:
        """Raises: RunNotFound; StorageError where the run cannot be read."""
        run = self._store.load(run_id)
        verified = Verified(run_id=run.run_id)
        verified.damage += damage_of(run)
        for step, reply, request in _replies(run):
            verified.replies += 1
            tokens = reply.tokens
            if reply.exchange is not None:
                _check_request(verified, step, request, reply.exchange)
                continue
            if tokens is None:
                verified.leave("neither its tokens nor its request are recorded")
                continue
            if _is_told_in_words(run):
                verified.leave("the model was told of its calls in words (--call-style)")
                continue
            try:
                checker = self._checker(run, tokens)
                if verified.checked == 0:
                    await self._recall(run, checker)
                checked = await checker.check(request, reply.message, tokens)
            except (ModelError, OSError) as error:
                verified.leave(str(error))
                continue
            verified.checked += 1
            verified.prompt_tokens += checked.prompt_tokens
            verified.drift += _drift(step, checked, tokens, is_first=_goes_on(run, verified))
        return verified

    async def close(self) -> None:
        for checker in self._checkers.values():
            await checker.close()

    async def _recall(self, run: Trajectory, checker: LlamaChecker) -> None:
        """What the model knew when a fork began: the conversation that it goes on from."""
        fork: dict[str, Any] = run.started.fork if run.started else {}
        with suppress(StorageError, ModelError, KeyError, TypeError, ValueError):
            if fork:
                parent = self._store.load(str(fork["run_id"]))
                for step, reply, request in _replies(parent):
                    if reply.tokens is not None and step < int(fork["step"]):
                        await checker.check(request, reply.message, reply.tokens)

    def _checker(self, run: Trajectory, tokens: TokenRecord) -> LlamaChecker:
        """With the file that gave these tokens. Raises: ModelError where there is none."""
        seen: list[str] = []
        for path, adapters in _files(run):
            try:
                key = path if not adapters else Path(f"{path}\0{adapters}")
                if not path.is_file():  # gone, or something that would be read for ever
                    raise FileNotFoundError
                if key not in self._hashes:
                    self._hashes[key] = ModelFile(path, adapters).sha256()
            except OSError:
                seen.append(f"the model file {path} is gone")
                continue
            if self._hashes[key] == tokens.model_sha256:
                return self._checkers.setdefault(path, LlamaChecker(path))
            seen.append(f"the model file {path} has changed")
        raise ModelError(" and ".join(dict.fromkeys(seen)) or "the record names no model file")


def damage_of(run: Trajectory) -> list[str]:
    """What of its lines and contents is not as it was written."""
    found = [f"line {one.line}: {one.problem}" for one in run.damage]
    if not run.damage:
        gap = next((i for i, record in enumerate(run.records) if record.seq != i), None)
        found += [] if gap is None else [f"line {gap + 1}: record {gap} is missing"]
    folder = run.path.parent
    for path in sorted([*(folder / BLOBS_NAME).glob("*"), *(folder / FILES_NAME).glob("*")]):
        if len(path.name) == 64 and set(path.name) <= HEX and path.is_file():
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != path.name:
                    found.append(f"{path.relative_to(folder)}: its content is not what it was")
    return found


def _drift(step: int, checked: Checked, tokens: TokenRecord, *, is_first: bool) -> Iterator[Drift]:
    # Of a conversation that goes on from another run's, the ids may be those it was sampled with.
    if checked.at is not None and not (is_first and checked.same_text):
        yield Drift(
            step=step, token=checked.at, recorded=checked.recorded, rendered=checked.rendered
        )
    counts = {len(tokens.sampled_ids), len(tokens.logprobs), len(tokens.constrained)}
    if len(counts) > 1:
        what = "as many log probabilities and constraints as tokens"
        yield Drift(step=step, token=None, recorded="another number", rendered=what)
    if checked.reply:
        what = f"what the sampled tokens spell is another {checked.reply}"
        yield Drift(step=step, token=None, recorded=f"the {checked.reply}", rendered=what)


def _goes_on(run: Trajectory, verified: Verified) -> bool:
    """Is this the first prompt of a run whose beginning is another run's?"""
    started = run.started
    return (
        verified.checked == 1
        and started is not None
        and bool(started.earlier or started.prefix or started.group)
    )


def _check_request(verified: Verified, step: int, request: Request, exchange: Exchange) -> None:
    verified.requests += 1
    if not is_as_sent(request, exchange):
        drift = Drift(
            step=step,
            token=None,
            recorded=f"a request with the hash {exchange.request_sha256[:12]}…",
            rendered="the one that the events before it give, which has another",
        )
        verified.drift.append(drift)


def _replies(run: Trajectory) -> Iterator[tuple[int, Reply, Request]]:
    """Each reply with what it answered, as the model was told it."""
    started = run.started
    tools = tuple(
        ToolSpec(
            name=str(tool.get("name", "")),
            description=str(tool.get("description", "")),
            parameters=tool.get("parameters", {}),
        )
        for tool in (started.tools if started else ())
    )
    conversation = Conversation()
    for event in run.events:
        if isinstance(event, ModelReplied):
            request = Request(
                messages=tuple(conversation.messages), tools=tools, conversation=run.run_id
            )
            yield event.step, event.reply, request
        conversation.apply(event)


def _is_told_in_words(run: Trajectory) -> bool:
    style = run.started.model.get("call_style") if run.started else None
    return style in (CallStyle.TEXT, CallStyle.CODE)


def _files(run: Trajectory) -> Iterator[tuple[Path, tuple[tuple[Path, float], ...]]]:
    """The model files that the record names, with their adapters."""
    events = run.events
    named: list[object] = [run.started.model] if run.started else []
    named += [event.model for event in events if isinstance(event, RunResumed)]
    while named:
        one = named.pop(0)
        if not isinstance(one, dict):
            continue
        model = cast("dict[str, Any]", one)
        named += _items(model.get("route"))
        if isinstance(path := model.get("path"), str):
            adapters = [cast("dict[str, Any]", a) for a in _items(model.get("adapters"))]
            with suppress(TypeError, ValueError, AttributeError):  # somebody else wrote it
                scales = [(Path(a["path"]), float(a.get("scale", 1.0))) for a in adapters]
                yield Path(path), tuple(scales)
        if model.get("name") == "tiny":
            yield TINY_PATH, ()


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
