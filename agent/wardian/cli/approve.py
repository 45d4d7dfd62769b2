"""Asks the person at the terminal whether a call may run.

Shown in full and sanitised: every argument, why it asks (the rule and where it stands), the diff of
a write. What was typed before the question appeared is thrown away; anything but a clear yes is no.
"""

import asyncio
import difflib
import os
import stat
import termios
from collections.abc import Callable
from pathlib import Path

from wardian.cli.interrupts import Interrupts
from wardian.cli.preview import whole
from wardian.cli.render import Renderer
from wardian.cli.sanitise import visible
from wardian_policies.types import Ask
from wardian_tools.types import ToolCall

DIFF_LIMIT_BYTES = 1 << 20
CHOICES = "y = yes, once   s = yes, to every {tool} this rule asks about, until agent ends   n = no"


class Person:
    """Whoever sits at the controlling terminal."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    async def answer(self, interrupts: Interrupts, ask: Callable[[], None]) -> str | None:
        """The line typed after `ask`; None for Ctrl-C, Ctrl-D or a terminal that went away."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()

        def settle(text: str | None) -> None:
            if not line.done():
                line.set_result(text)

        def readable() -> None:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            settle(data.decode("utf-8", "replace").strip() if data else None)

        termios.tcflush(self.fd, termios.TCIFLUSH)
        interrupts.decline = lambda: settle(None)
        loop.add_reader(self.fd, readable)
        try:
            ask()
            return await line
        finally:
            loop.remove_reader(self.fd)
            interrupts.decline = None

    def close(self) -> None:
        os.close(self.fd)


class Approvals:
    """The `approve` of an agent. Remembers, for this session, the rules answered with `s`."""

    def __init__(
        self, person: Person, renderer: Renderer, interrupts: Interrupts, workspace: Path
    ) -> None:
        self.person = person
        self.renderer = renderer
        self.interrupts = interrupts
        self.workspace = workspace
        self.granted: set[tuple[str, str, str]] = set()

    async def __call__(self, ask: Ask, call: ToolCall) -> bool:
        rule = (ask.rule.text, ask.rule.source, call.name)
        if rule in self.granted:
            return True
        self.renderer.pause()
        self.renderer.say(f"? {visible(ask.question)}", "bold yellow")
        for line in particulars(ask, call, self.workspace):
            self.renderer.say(line)

        def show_choices() -> None:
            self.renderer.say(f"  {CHOICES.format(tool=visible(call.name))}", "bold")

        while True:
            answer = await self.person.answer(self.interrupts, show_choices)
            match (answer or "n").lower():
                case "y" | "yes":
                    return True
                case "s":
                    self.granted.add(rule)
                    return True
                case "n" | "no":
                    self.renderer.say("  not allowed")
                    return False
                case _:
                    self.renderer.say("  Please answer y, s or n.")


def particulars(ask: Ask, call: ToolCall, workspace: Path) -> list[str]:
    """Everything the person needs to decide, beside the question itself."""
    rule = f"{ask.rule.text} ({ask.rule.source})"
    is_named = ask.rule.text in ask.question and ask.rule.source in ask.question
    return [
        *([] if is_named else [f"  rule: {visible(rule)}"]),
        f"  in {visible(str(workspace))}",
        *(f"    {line}" for line in changes(call, workspace) or whole(call)),
    ]


def changes(call: ToolCall, workspace: Path) -> list[str]:
    """The diff a write or an edit would make; empty when it cannot be told."""
    arguments = call.arguments or {}
    show: Callable[[str, str, str], list[str]] = _diff
    match call.name, arguments:
        case "write_file", {"path": str(path), "content": str(content)}:
            return show(path, readable_text(workspace / path) or "", content)
        case "edit_file", {"path": str(path), "old": str(old), "new": str(new)}:
            before = readable_text(workspace / path)
            if before is None or old not in before:
                return []
            return show(path, before, before.replace(old, new))
        case _:
            return []


def _diff(path: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(
        visible(before).splitlines(),
        visible(after).splitlines(),
        visible(f"a/{path}"),
        visible(f"b/{path}"),
        lineterm="",
    )
    return list(lines)


def readable_text(path: Path) -> str | None:
    """A regular file's text; None for anything else. A pipe or a link planted there is not read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as stream:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > DIFF_LIMIT_BYTES:
            return None
        return stream.read(DIFF_LIMIT_BYTES).decode("utf-8", "replace")
