"""The token streams of a run, put together from what was recorded: token in, token out.

Each reply's record says how many ids of the stream before it still stood (`kept_ids`), what was
added, and what was sampled. Where fewer stood than there were, the prompt was written anew (the
conversation was compacted, or the run went on in another process): a new branch begins, and what
was sampled before is only prompt in it. So every sampled token is learnt from in one place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

from wardian.events import ModelReplied
from wardian.export.rows import Unfit
from wardian.runs.trajectory import Trajectory
from wardian.types import Finish, Sampling

CUT = (Finish.LENGTH, Finish.CUT, Finish.FILTER)
WITHOUT_IDS = "it has a reply without token ids"
MIXED = "several models wrote it"
BROKEN = "its token ids do not add up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One reply in a branch."""

    step: int
    begin: int
    logprobs: tuple[float, ...]
    constrained: tuple[bool, ...]
    is_whole: bool
    """It ended by itself, and its calls could be read: what a model may learn to write"""
    sampling: Sampling | None

    @property
    def end(self) -> int:
        return self.begin + len(self.logprobs)


@dataclass(slots=True, kw_only=True)
class Branch:
    """Ids in the order in which the engine saw them, and where the model's own stand."""

    ids: list[int]
    replies: list[Sampled] = field(default_factory=list[Sampled])

    def prompt_ids(self, reply: Sampled) -> tuple[int, ...]:
        return tuple(self.ids[: reply.begin])

    def sampled_ids(self, reply: Sampled) -> tuple[int, ...]:
        return tuple(self.ids[reply.begin : reply.end])

    def at(self, step: int) -> Sampled | None:
        return next((reply for reply in self.replies if reply.step == step), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """All of a run's branches, by one model."""

    branches: tuple[Branch, ...]
    model_sha256: str
    template_sha256: str

    def at(self, step: int) -> tuple[Branch, Sampled] | None:
        """The reply of a step, with its branch."""
        found = ((branch, branch.at(step)) for branch in self.branches)
        return next(((branch, reply) for branch, reply in found if reply), None)


def streams(run: Trajectory) -> Streams:
    """Raises: Unfit where ids are missing, come from several models, or contradict each other."""
    branches = list(_branches(run))
    if not branches:
        raise Unfit("it has no reply")
    models = {
        (tokens.model_sha256, tokens.template_sha256)
        for event in run.events
        if isinstance(event, ModelReplied) and (tokens := event.reply.tokens)
    }
    if len(models) > 1:
        raise Unfit(MIXED)
    model, template = models.pop()
    return Streams(branches=tuple(branches), model_sha256=model, template_sha256=template)


def _branches(run: Trajectory) -> Iterator[Branch]:
    branch: Branch | None = None
    for event in run.events:
        if not isinstance(event, ModelReplied):
            continue
        reply, tokens = event.reply, event.reply.tokens
        if tokens is None:
            raise Unfit(WITHOUT_IDS)
        before = branch.ids if branch else []
        if tokens.kept_ids > len(before):
            raise Unfit(BROKEN)
        if branch is None or tokens.kept_ids < len(before):
            if branch:
                yield branch
            branch = Branch(ids=before[: tokens.kept_ids])
        branch.ids += tokens.prompt_suffix_ids
        if len(branch.ids) != reply.usage.prompt_tokens:
            raise Unfit(BROKEN)
        lengths = {len(tokens.sampled_ids), len(tokens.logprobs), len(tokens.constrained)}
        if len(lengths) > 1 or not all(isfinite(one) for one in tokens.logprobs):
            raise Unfit(BROKEN)
        branch.replies.append(
            Sampled(
                step=event.step,
                begin=len(branch.ids),
                logprobs=tokens.logprobs,
                constrained=tokens.constrained,
                is_whole=reply.finish not in CUT
                and all(call.problem is None for call in reply.message.calls),
                sampling=tokens.sampling,
            )
        )
        branch.ids += tokens.sampled_ids
    if branch:
        yield branch
