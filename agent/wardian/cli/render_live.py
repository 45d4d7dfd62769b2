"""Shows a run on a terminal, line after line: no alternate screen, nothing drawn over.

The one thing that moves is the last line, which says what is being waited for.
"""

from wardian.cli import preview
from wardian.cli.plan import plan_lines
from wardian.cli.render import (
    PassedOver,
    Refusals,
    child_started,
    never_ran,
    resumed_facts,
    run_facts,
    shortened,
    unanswered,
    warning,
    whose_result,
)
from wardian.cli.sanitise import VisibleStream, one_line, visible
from wardian.cli.terminal import Terminal
from wardian.events import (
    CallDecided,
    CallFinished,
    CallStarted,
    ChildStarted,
    Compacted,
    EgressDecided,
    Event,
    ModelAsked,
    ModelReplied,
    Noted,
    RunFinished,
    RunResumed,
    RunStarted,
    SandboxOpened,
)
from wardian.types import CallDelta, ReasoningDelta, Reply, TextDelta
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

STATUS_STYLES = {
    ResultStatus.OK: "dim",
    ResultStatus.ERROR: "yellow",
    ResultStatus.MALFORMED: "yellow",
    ResultStatus.DENIED: "red",
}


class LiveRenderer:
    """Streams the model's text, then each call and its result."""

    def __init__(self, screen: Terminal) -> None:
        from rich.console import Console
        from rich.status import Status

        self.console = Console(
            stderr=True, markup=False, emoji=False, highlight=False, no_color=not screen.colour
        )
        self.bullet = screen.text("●", "*")
        self.bar = screen.text("│", "|")
        self.dot = screen.text("·", "-")
        self.corner = screen.text("└", "`-")
        self.spinner = screen.text("dots", "line")
        self.status: Status | None = None
        self.is_asking = False
        self.shown = ""
        """The call shown last, by its id"""
        self.begun: set[str] = set()
        """Calls of the present reply that are shown"""
        self.calls: dict[str, ToolCall] = {}
        self.refusals = Refusals()
        self.passed_over = PassedOver()
        self.asked: set[str] = set()
        """Calls the person was asked about, who has seen all of them"""
        self.model = ""
        self.answer_shown = ""
        self.stream = VisibleStream()
        self.streamed = ""
        """Text of the present reply that stands on the screen, unsanitised"""
        self.open_line = False
        self.line_style: str = ""

    def on(self, event: Event) -> None:
        match event:
            case RunResumed():
                self.model = one_line(str(event.model.get("name")), 40)
                self.say(resumed_facts(event), "dim")
                for sentence in event.changed:
                    self.say(f"agent: {visible(sentence)}", "yellow")
            case RunStarted():
                self.model = one_line(str(event.model.get("name")), 40)
                self.say(f"run {event.run_id} {self.dot} {run_facts(event)}", "dim")
            case ModelAsked():
                self._wait(f"{self.model} is thinking")
            case TextDelta(text=text):
                self._text(text, "")
                self.streamed += text
            case ReasoningDelta(text=text):
                self._text(text, "dim italic")
            case CallDelta():
                self._wait(f"{self.model} is writing a call")
            case ModelReplied(reply=reply):
                self._replied(reply)
            case CallStarted(call_id=call_id):
                self._show_call(self.calls[call_id])
                self._wait(f"{one_line(event.name, 40)} runs")
            case CallFinished(result=result):
                self._show_result(result)
                for line in plan_lines(result):
                    self.say(f"    {line}")
            case ChildStarted():
                self.say(f"  {child_started(event)}", "dim")
                self._wait(f"{one_line(event.name, 40)} works")
            case CallDecided(call=call):
                self.calls[call.id] = call  # as a person may have edited it
                if event.answer is not None:
                    self.asked.add(event.call.id)
                if text := unanswered(event):
                    self.say(text, "red")
            case EgressDecided():
                if text := self.refusals.line(event):
                    self.say(f"  {text}", "yellow")
            case Noted(text=text):
                self.say(f"  {one_line(text, preview.LINE_CHARS)}", "yellow")
            case Compacted():
                self.say(f"  {shortened(event)}", "dim")
            case SandboxOpened():
                if text := warning(event):
                    self.say(f"  {text}", "yellow")
            case RunFinished():
                self.pause()
            case _:
                pass

    def pause(self) -> None:
        if self.status:
            self.status.stop()
            self.status = None
        if self.open_line:
            self.console.out(self.stream.end())
            self.open_line = False

    def say(self, text: str, style: str = "") -> None:
        self.pause()
        self.console.out(text, style=style or None)

    def _wait(self, text: str) -> None:
        if self.open_line and self.streamed:
            self.pause()
        if self.is_asking:
            return
        if self.status:
            self.status.update(text)
        elif not self.open_line:
            self.status = self.console.status(text, spinner=self.spinner)
            self.status.start()

    def _text(self, text: str, style: str) -> None:
        if self.status or (self.open_line and style != self.line_style):
            self.pause()
        if not self.open_line and not text.strip():
            return
        shown = self.stream.feed(text if self.open_line else text.lstrip("\n"))
        self.open_line, self.line_style = True, style
        self.console.out(shown, style=style or None, end="")

    def _replied(self, reply: Reply) -> None:
        self.calls, self.begun = {call.id: call for call in reply.message.calls}, set()
        content = reply.message.content
        if content.strip() and not self.streamed:
            self._text(content, "")
        self.answer_shown, self.streamed = content, ""
        self.pause()
        for line in self.passed_over.lines(reply):
            self.say(f"  {line}", "yellow")

    def _show_call(self, call: ToolCall) -> None:
        self.pause()
        self.shown = call.id
        self.begun.add(call.id)
        lines = preview.program(call) if call.id not in self.asked else None
        name = visible(call.name)
        self.console.out(f"{self.bullet} ", style="cyan", end="")
        self.console.out(name, style="bold", end="" if lines is None else "\n")
        if lines is None:
            self.console.out(f"  {preview.title(call)}")
        for line in lines or ():
            self.console.out(f"  {self.bar} ", style="cyan", end="")
            self.console.out(line)

    def _show_result(self, result: ToolResult) -> None:
        if never_ran(result) and result.call_id in self.calls.keys() - self.begun:
            self._show_call(self.calls[result.call_id])
        self.pause()
        style = STATUS_STYLES.get(result.status, "dim")
        status = "" if result.status is ResultStatus.OK else f"{result.status}: "
        time = f"  ({result.seconds:.1f} s)" if result.seconds >= 0.1 else ""
        first, *rest = preview.first_lines(result.content, preview.RESULT_LINES)
        whose = whose_result(self.calls.get(result.call_id), self.shown)
        self.shown = "" if whose else self.shown  # nor do those after it
        line = f"{status}{first or '(no output)'}{time}{whose}"
        self.console.out(f"  {self.corner} {line}", style=style)
        for line in rest:
            self.console.out(f"    {line}", style=style)
