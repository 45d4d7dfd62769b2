"""The labels of a run, computed from its events: what it has read, and from where."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from wardian.events import CallFinished, Recorded, RunStarted
from wardian.types import Message, Role
from wardian_policies.labels import FlowState, Situation, Source, comes_from_outside
from wardian_tools.types import Confidentiality, Integrity, ResultStatus, ToolResult

RAN = (ResultStatus.OK, ResultStatus.ERROR, ResultStatus.CANCELLED)
"""Results that a tool wrote; the others are the runtime's own words."""


@dataclass(slots=True)
class FlowLabels:
    """Follows a run. Goes on from stored events as from those that happen."""

    state: FlowState = field(default_factory=FlowState)
    _effects: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def apply(self, event: Recorded) -> Source | None:
        """Take the event in; the source it is, if it is one."""
        match event:
            case RunStarted():
                self._begin(event)
            case CallFinished(step=step, result=result) if result.status in RAN:
                source = self.source(result, step)
                self.state = self.state.joined(source)
                return source
            case _:
                pass
        return None

    def source(self, result: ToolResult, step: int) -> Source:
        effects = self._effects.get(result.name, frozenset())
        return Source(
            tool=result.name,
            step=step,
            call_id=result.call_id,
            integrity=result.integrity,
            confidentiality=result.confidentiality,
            # A sub-agent has read for its caller.
            outside=comes_from_outside(result.name, effects) or bool(result.data.get("outside")),
        )

    def _begin(self, event: RunStarted) -> None:
        self._effects = {tool["name"]: frozenset(tool["effects"]) for tool in event.tools}
        self.state = FlowState.from_json(event.flow)
        if event.task.context:
            # What is piped in is text of others as often as not, and the user's own affair.
            self.state = self.state.joined(
                Source(
                    tool="context",
                    step=0,
                    call_id="",
                    integrity=Integrity.UNTRUSTED,
                    confidentiality=Confidentiality.PRIVATE,
                )
            )
        for message in (*event.earlier, *event.prefix):
            if message.role is Role.TOOL:
                self.state = self.state.joined(self._earlier(message))

    def _earlier(self, message: Message) -> Source:
        """Without labels, of an older run, it counts as the worst."""
        effects = self._effects.get(message.name, frozenset())
        return Source(
            tool=f"earlier {message.name}",
            step=0,
            call_id=message.call_id,
            integrity=message.integrity or Integrity.UNTRUSTED,
            confidentiality=message.confidentiality or Confidentiality.PRIVATE,
            outside=comes_from_outside(message.name, effects),
        )


def withheld(result: ToolResult) -> ToolResult:
    """The result, but not where its model is elsewhere and the policy keeps its content here."""
    if result.confidentiality is not Confidentiality.LOCAL:
        return result
    return ToolResult(
        call_id=result.call_id,
        name=result.name,
        status=ResultStatus.DENIED,
        content="Withheld: the policy keeps what this call read on the user's machine.",
        integrity=Integrity.TRUSTED,
        confidentiality=Confidentiality.PUBLIC,
        seconds=result.seconds,
    )


def situation_after(events: Iterable[Recorded]) -> Situation:
    """What a further call of the run would be judged by."""
    labels = FlowLabels()
    is_local = True
    for event in events:
        labels.apply(event)
        if isinstance(event, RunStarted):
            is_local = bool(event.model.get("is_local", True))
    return Situation(flow=labels.state, is_local=is_local)


def path_of_taint(events: Iterable[Recorded]) -> list[tuple[Source, bool]]:
    """Every result a run has read, in order, and whether it brought a label that was not there."""
    labels = FlowLabels()
    found: list[tuple[Source, bool]] = []
    for event in events:
        before = labels.state
        if source := labels.apply(event):
            found.append((source, labels.state != before))
        elif isinstance(event, RunStarted):
            state = labels.state
            firsts = dict.fromkeys((state.untrusted, state.outside, state.private, state.local))
            found += [(first, True) for first in firsts if first]
    return found
