"""Asks the person at the terminal whether calls may run.

Shown in full and sanitised: every argument, why it asks (the rule and where it stands), the diff of
a write, and of an "always" the rule that is saved and where. What was typed before the question
appeared is thrown away; anything but a clear yes is no.
"""

import asyncio
import os
import re
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wardian.approval import Answer, Pending, Said
from wardian.cli.approve_edit import edited_arguments
from wardian.cli.approve_show import particulars
from wardian.cli.interrupts import Interrupts
from wardian.cli.render import Renderer
from wardian.cli.sanitise import visible
from wardian.errors import ConfigurationError
from wardian.settings.saving import RulePlace
from wardian_policies.types import Ask
from wardian_tools.types import ToolCall

SaveRule = Callable[[RulePlace, str], None]
EVENT_HOPS = 5
"""Turns of the event loop in which an event has certainly gone from the recorder to the screen"""
PICKED = re.compile(r"[0-9]{1,3}(?:[ ,]+[0-9]{1,3})*")


class Person:
    """Whoever sits at the controlling terminal."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._turn = asyncio.Lock()

    async def answer(self, interrupts: Interrupts, ask: Callable[[], None]) -> str | None:
        """The line typed after `ask`; None for Ctrl-C, Ctrl-D or a terminal that went away.

        One question at a time.
        """
        async with self._turn:
            return await self._answer(interrupts, ask)

    async def _answer(self, interrupts: Interrupts, ask: Callable[[], None]) -> str | None:
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
    """The `approve` of an agent."""

    def __init__(
        self,
        person: Person,
        renderer: Renderer,
        interrupts: Interrupts,
        workspace: Path,
        place: RulePlace | None = None,
        save: SaveRule | None = None,
    ) -> None:
        """Rules are saved at `place` by `save`; without them there is no "always"."""
        self.person = person
        self.renderer = renderer
        self.interrupts = interrupts
        self.workspace = workspace
        self.is_copy = False
        """Calls act on a copy of it"""
        self.place = place
        self.save = save

    async def __call__(self, ask: Ask, call: ToolCall) -> bool | Answer:
        """One call of which nothing more is known: yes or no."""
        self.say_question(ask, call)
        match await self.choice("  y = yes, once   n = no (Enter)", ("y", "n")):
            case "y":
                return True
            case reason:
                return Answer.no(reason.removeprefix("n").strip())

    async def several(self, pending: Sequence[Pending]) -> list[Answer]:
        """An answer to each, asked in one prompt."""
        await caught_up()
        self.renderer.is_asking = True
        try:
            is_one = len(pending) == 1
            return [await self.one(pending[0])] if is_one else await self.together(pending)
        finally:
            self.renderer.is_asking = False

    async def together(self, pending: Sequence[Pending]) -> list[Answer]:
        """The answers to several calls."""
        self.renderer.pause()
        self.renderer.say(f"? {len(pending)} calls need your yes:", "bold yellow")
        for number, one in enumerate(pending, start=1):
            self.renderer.say(f"{number}  {visible(one.ask.question)}", "bold yellow")
            self.say_particulars(one.ask, one.call, one.by)
        hint = (
            "  y = yes to all, once   o = one by one, also to edit   n = no to all (Enter)\n"
            "  1 3 = yes to these, no to the others\n"
            "  s = yes to all, and to every call these rules ask about, until agent ends"
        )
        while True:
            answer = await self.choice(hint, ("y", "s", "o", "n"), PICKED)
            match answer[:1]:
                case "y":
                    return [Answer(said=Said.YES)] * len(pending)
                case "s":
                    return [Answer(said=scope(one)) for one in pending]
                case "o":
                    return [await self.one(one) for one in pending]
                case "n":
                    return [Answer.no(answer[1:].strip())] * len(pending)
                case _:
                    picked = {int(number) for number in re.findall(r"\d+", answer)}
            if picked <= set(range(1, len(pending) + 1)):
                return [
                    Answer(said=Said.YES) if number in picked else Answer.no()
                    for number in range(1, len(pending) + 1)
                ]
            self.renderer.say(f"  Please give numbers from 1 to {len(pending)}.")

    async def one(self, pending: Pending) -> Answer:
        """The answer to one call, with all there is to choose from."""
        self.say_question(pending.ask, pending.call, pending.by)
        keys, hint = self.choices(pending)
        while True:
            answer = await self.choice(hint, keys)
            match answer[:1]:
                case "y":
                    return Answer(said=Said.YES)
                case "s":
                    return Answer(said=Said.SESSION)
                case "a":
                    if saved := self.saved(pending):
                        return Answer(said=Said.ALWAYS, saved=saved)
                case "e":
                    arguments = await self.edited(pending)
                    if arguments is not None:
                        return Answer(said=Said.EDIT, arguments=arguments)
                case _:
                    return Answer.no(answer[1:].strip())

    async def edited(self, pending: Pending) -> dict[str, Any] | None:
        self.interrupts.decline = lambda: None  # a Ctrl-C in the editor is the editor's
        try:
            return await edited_arguments(pending, self.line, self.renderer, self.person.fd)
        finally:
            self.interrupts.decline = None

    def choices(self, pending: Pending) -> tuple[tuple[str, ...], str]:
        """The keys, and the lines that explain them."""
        name = visible(pending.call.name)
        keys, lines = ["y", "e", "n"], ["  y = yes, once   e = edit it first   n = no (Enter)"]
        if pending.is_rule:
            keys.append("s")
            lines.append(f"  s = yes, to every {name} this rule asks about, until agent ends")
        if pending.is_rule and pending.pattern and self.place and self.save:
            keys.append("a")
            place = visible(self.place.described)
            rule = visible(pending.pattern).replace("\n", "\\n")
            lines.append(f"  a = always: allow {rule}\n      is saved in {place}")
        lines.append("  n and some words = no, and the model is told these words")
        return tuple(keys), "\n".join(lines)

    def saved(self, pending: Pending) -> str:
        """Save the rule and say so; nothing when it could not be saved."""
        assert pending.pattern
        assert self.place
        assert self.save
        try:
            self.save(self.place, pending.pattern)
        except ConfigurationError as error:
            self.renderer.say(f"  It could not be saved: {visible(str(error))}")
            return ""
        self.renderer.say(f"  saved in {visible(str(self.place.path))}")
        return f"allow {pending.pattern} ({self.place.path})"

    async def choice(
        self, hint: str, keys: Sequence[str], other: re.Pattern[str] | None = None
    ) -> str:
        """A key, with what follows a no; `n` for nothing, Ctrl-C, or a terminal that went away."""

        def show() -> None:
            self.renderer.say(hint, "bold")

        while True:
            answer = (await self.person.answer(self.interrupts, show) or "n").strip()
            key, _, rest = answer.partition(" ")
            key = {"yes": "y", "no": "n"}.get(key.lower(), key.lower())
            if key == "n" and "n" in keys:
                self.renderer.say("  not allowed")
                return f"n {rest}".strip()
            if key in keys and not rest:
                return key
            if other and other.fullmatch(answer):
                return answer
            more = ", or numbers" if other else ""
            self.renderer.say(f"  Please answer {', '.join(sorted(keys))}{more}.")

    async def line(self, hint: str) -> str | None:
        return await self.person.answer(self.interrupts, lambda: self.renderer.say(hint, "bold"))

    def say_question(self, ask: Ask, call: ToolCall, by: str = "") -> None:
        self.renderer.pause()
        self.renderer.say(f"? {visible(ask.question)}", "bold yellow")
        self.say_particulars(ask, call, by)

    def say_particulars(self, ask: Ask, call: ToolCall, by: str = "") -> None:
        if by:
            self.renderer.say(f"  for the sub-agent {visible(by)}")
        for line in particulars(ask, call, self.workspace, is_copy=self.is_copy):
            self.renderer.say(line)


async def caught_up() -> None:
    """Wait until what happened before is on the screen."""
    for _ in range(EVENT_HOPS):
        await asyncio.sleep(0)


def scope(pending: Pending) -> Said:
    """A yes for as long as one may be given."""
    return Said.SESSION if pending.is_rule else Said.YES
