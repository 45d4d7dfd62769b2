"""Shows a run on stderr while it goes on. What it shows is sanitised, cut, and never markup."""

import sys
from typing import Protocol, TextIO

from wardian.cli import preview
from wardian.cli.complaint import NO_SANDBOX
from wardian.cli.json_lines import event_line
from wardian.cli.plan import plan_lines
from wardian.cli.sanitise import one_line, visible
from wardian.cli.terminal import Terminal, write
from wardian.events import (
    CallDecided,
    CallFinished,
    CallStarted,
    ChildStarted,
    Compacted,
    EgressDecided,
    Event,
    ModelReplied,
    Noted,
    RunResumed,
    RunStarted,
    SandboxOpened,
)
from wardian.types import Message, Reply
from wardian_policies.types import Ask
from wardian_sandbox.types import EgressOutcome
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

WHOSE_CHARS = 60
"""Of a call that its result names"""


class Renderer(Protocol):
    """Is told what happens, in order."""

    is_asking: bool
    """A person is being asked: nothing may move on the screen."""

    @property
    def answer_shown(self) -> str:
        """The last text that stands on stderr in full; empty when it does not."""
        ...

    def on(self, event: Event) -> None: ...

    def pause(self) -> None:
        """Leave the terminal to somebody else until the next event."""
        ...

    def say(self, text: str, style: str = "") -> None:
        """A line of our own. `text` is sanitised already; `style` is rich's, where there is one."""
        ...


class QuietRenderer:
    """Shows nothing but what must be said: that calls are not confined, or not as was proven."""

    is_asking = False
    answer_shown = ""

    def on(self, event: Event) -> None:
        if text := warning(event):
            self.say(f"agent: {text}")

    def pause(self) -> None:
        pass

    def say(self, text: str, style: str = "") -> None:
        del style
        write(sys.stderr, text + "\n")


class JsonRenderer(QuietRenderer):
    """One line of JSON an event, on stdout."""

    def on(self, event: Event) -> None:
        super().on(event)
        if text := event_line(event):
            write(sys.stdout, text + "\n")


class PlainRenderer(QuietRenderer):
    """Whole lines without colour or cursor movement, for logs and simple terminals."""

    def __init__(self, screen: Terminal, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.arrow = screen.text("→", "->")
        self.calls: dict[str, ToolCall] = {}
        self.shown = ""
        """The call shown last, by its id"""
        self.begun: set[str] = set()
        """Calls of the present reply that are shown"""
        self.refusals = Refusals()
        self.passed_over = PassedOver()

    def on(self, event: Event) -> None:
        match event:
            case RunResumed():
                self.say(resumed_facts(event))
                for sentence in event.changed:
                    self.say(f"agent: {visible(sentence)}")
            case RunStarted():
                self.say(f"agent: run {event.run_id}, {run_facts(event)}")
            case ModelReplied(reply=reply, step=step):
                self.calls, self.begun = {call.id: call for call in reply.message.calls}, set()
                for line in self.passed_over.lines(reply):
                    self.say(f"[{step}] {line}")
                self._interim_text(reply.message, step)
            case CallStarted(step=step, call_id=call_id, name=name):
                unknown = ToolCall(id=call_id, name=name, arguments_text="")  # damaged, or forged
                self._show_call(self.calls.get(call_id, unknown), step)
            case CallFinished(result=result, step=step):
                self._show_result(result, step)
                for line in plan_lines(result):
                    self.say(f"[{step}]   {line}")
            case ChildStarted(step=step):
                self.say(f"[{step}] {child_started(event)}")
            case CallDecided(call=call):
                self.calls[call.id] = call  # as a person may have edited it
                if text := unanswered(event):
                    self.say(text)
            case EgressDecided(step=step) if text := self.refusals.line(event):
                self.say(f"[{step}] {text}")
            case Noted(text=text, step=step):
                self.say(f"[{step}] {one_line(text, preview.LINE_CHARS)}")
            case Compacted(step=step):
                self.say(f"[{step}] {shortened(event)}")
            case SandboxOpened() if text := warning(event):
                self.say(f"agent: {text}")
            case _:
                pass

    def say(self, text: str, style: str = "") -> None:
        del style
        write(self.stream, text + "\n")

    def _interim_text(self, message: Message, step: int) -> None:
        if message.calls and message.content.strip():
            for line in preview.first_lines(message.content, preview.RESULT_LINES):
                self.say(f"[{step}] {line}")

    def _show_call(self, call: ToolCall, step: int) -> None:
        self.shown = call.id
        self.begun.add(call.id)
        lines = preview.program(call)
        title = preview.title(call) if lines is None else ""
        self.say(f"[{step}] {visible(call.name)}: {title}".rstrip())
        for line in lines or ():
            self.say(f"[{step}]   | {line}")

    def _show_result(self, result: ToolResult, step: int) -> None:
        if never_ran(result) and result.call_id in self.calls.keys() - self.begun:
            self._show_call(self.calls[result.call_id], step)
        whose = whose_result(self.calls.get(result.call_id), self.shown)
        self.shown = "" if whose else self.shown  # nor do those after it
        status = f"{result.status} ({result.seconds:.2f} s){whose}"
        lines = preview.first_lines(result.content, preview.RESULT_LINES)
        self.say(f"[{step}] {self.arrow} {status}: {lines[0]}")
        for line in lines[1:]:
            self.say(f"[{step}]   {line}")


def whose_result(call: ToolCall | None, shown: str) -> str:
    """The call of a result that does not follow it: those side by side are shown first."""
    if call is None or shown == call.id:
        return ""
    return f" of {one_line(f'{call.name} {preview.title(call)}', WHOSE_CHARS)}"


def shortened(event: Compacted) -> str:
    """What a compaction did, in a few words."""
    return (
        f"conversation shortened from about {event.tokens_before:,} to {event.tokens_after:,}"
        f" tokens, for a window of {event.context_tokens:,}"
    )


def run_facts(event: RunStarted) -> str:
    """Model, sandbox and policy of a run in a few words."""
    if "imported" in event.settings:
        return visible(f"imported, {event.model.get('name') or 'by a model that is not named'}")
    where = "local" if event.model.get("is_local") else "remote"
    sandbox = unconfined(event) or str(event.sandbox.get("backend", ""))
    policy = str(event.policy.get("name", ""))
    return visible(f"{event.model.get('name')} ({where}), {sandbox}, policy {policy}")


def unconfined(event: RunStarted | RunResumed) -> str:
    """What to say where calls run in no sandbox; else nothing."""
    is_none = event.sandbox.get("backend") == "none"
    return NO_SANDBOX if is_none else ""


def warning(event: Event) -> str:
    """What is said of where calls run however little else is shown; mostly nothing."""
    match event:
        case RunStarted() | RunResumed():
            return unconfined(event)
        case SandboxOpened():
            return visible(str(event.sandbox.get("notice") or ""))
        case _:
            return ""


def child_started(event: ChildStarted) -> str:
    """That a sub-agent has begun, and under what id its run is kept."""
    return visible(f"sub-agent {event.name}: run {event.run_id}")


def resumed_facts(event: RunResumed) -> str:
    where = "local" if event.model.get("is_local") else "remote"
    facts = f"agent: resumed after step {event.step}, {event.model.get('name')} ({where})"
    return visible(", ".join(filter(None, (facts, unconfined(event)))))


class Refusals:
    """What code in the sandbox was not let reach: one line a step, since code can try for ever."""

    def __init__(self) -> None:
        self.step = 0

    def line(self, event: EgressDecided) -> str:
        egress = event.egress
        if egress.outcome is not EgressOutcome.DENIED or event.step == self.step:
            return ""
        self.step = event.step
        return one_line(f"network: {egress.reason}", preview.LINE_CHARS)


class PassedOver:
    """Models that a conversation went on from to the next, and why: each said once."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def lines(self, reply: Reply) -> list[str]:
        reasons = [reason for reason in reply.route if reason not in self.told]
        self.told.update(reasons)
        return [
            one_line(f"the next model goes on, after {reason}", preview.LINE_CHARS)
            for reason in reasons
        ]


def never_ran(result: ToolResult) -> bool:
    return result.status in (
        ResultStatus.MALFORMED,
        ResultStatus.DENIED,
        ResultStatus.DISCARDED,
    )


def unanswered(event: CallDecided) -> str:
    """What to say of a call that a person had to allow when there was none; else nothing."""
    if not isinstance(event.decision, Ask) or event.answer is not None:
        return ""
    return f"agent: {visible(event.call.name)} needs a person's yes: {preview.title(event.call)}"
