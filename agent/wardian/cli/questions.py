"""Puts a tool's question to the person at the terminal."""

import asyncio

from wardian.cli.approve import Person, caught_up
from wardian.cli.interrupts import Interrupts
from wardian.cli.render import Renderer
from wardian.cli.sanitise import one_line, visible
from wardian_tools.types import Question

CHOICE_CHARS = 200
NAME_CHARS = 64


class Questions:
    """The `ask_user` of an agent. One question at a time."""

    def __init__(self, person: Person, renderer: Renderer, interrupts: Interrupts) -> None:
        self.person = person
        self.renderer = renderer
        self.interrupts = interrupts
        self.turn = asyncio.Lock()

    async def __call__(self, question: Question) -> str | None:
        def show() -> None:
            by = f"{one_line(question.by, NAME_CHARS)} asks: " if question.by else ""
            self.renderer.say(f"? {by}{visible(question.text)}", "bold yellow")
            for number, choice in enumerate(question.choices, start=1):
                self.renderer.say(f"    {number}  {one_line(choice, CHOICE_CHARS)}")
            hint = "a number, or an answer of your own" if question.choices else "your answer"
            self.renderer.say(f"  {hint}; only Enter for none", "dim")

        async with self.turn:
            await caught_up()
            self.renderer.is_asking = True
            try:
                answer = await self.person.answer(self.interrupts, show)
            finally:
                self.renderer.is_asking = False
        return chosen(answer, question.choices)


def chosen(answer: str | None, choices: tuple[str, ...]) -> str | None:
    """The choice a number stands for, else the answer as it was typed; None for none."""
    text = (answer or "").strip()
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= len(choices):
        return choices[int(text[:4]) - 1]
    return text or None
