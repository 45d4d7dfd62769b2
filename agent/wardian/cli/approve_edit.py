"""Lets the person change a call's arguments before it runs.

A single short line is typed anew; anything else is opened in the editor, as TOML.
"""

import asyncio
import os
import shlex
import tempfile
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from wardian.approval import Pending
from wardian.cli.preview import shown_arguments
from wardian.cli.render import Renderer
from wardian.cli.sanitise import is_hidden, visible

MAX_LINE_CHARS = 1000
"""Of what is typed at the prompt: a terminal passes on 4,095 bytes of a line."""
AGAIN = "  e = edit it again as you left it   Enter = go back"
HEAD = "# Change what should be called, save, and close. Close it unchanged to go back.\n"

Ask = Callable[[str], Awaitable[str | None]]
"""Shows a hint and gives the line that is typed; None for Ctrl-C or Ctrl-D."""


async def edited_arguments(
    pending: Pending, ask: Ask, renderer: Renderer, terminal: int
) -> dict[str, Any] | None:
    """Other arguments, of which nothing is wrong; None when the person goes back.

    `terminal` is the descriptor that the editor reads from and draws on.
    """
    before = dict(shown_arguments(pending.call))
    broken = ""
    while True:
        try:
            after = await changed(before, ask, terminal, broken)
        except NotToml as failure:
            renderer.say(f"  {visible(str(failure))}")
            if (await ask(AGAIN) or "").lower() not in ("e", "edit"):
                renderer.say("  left as it was")
                return None
            broken = failure.text
            continue
        except EditFailed as failure:
            renderer.say(f"  {visible(str(failure))}")
            return None
        if after is None or after == before:
            renderer.say("  left as it was")
            return None
        if problem := pending.check(after):
            renderer.say(f"  {visible(problem)}")
            before, broken = before if len(before) == 1 else after, ""
            continue
        return after


class EditFailed(Exception):
    """The editor could not be used; the message is one sentence."""


class NotToml(EditFailed):
    """What was saved cannot be read; `text` is what it was."""

    def __init__(self, problem: Exception, text: str) -> None:
        super().__init__(f"What was saved is no TOML: {problem}.")
        self.text = text


async def changed(
    arguments: dict[str, Any], ask: Ask, terminal: int, broken: str = ""
) -> dict[str, Any] | None:
    """What the person makes of the arguments; `broken` is a text to go on with.

    Raises: EditFailed.
    """
    if len(arguments) == 1:
        ((name, value),) = arguments.items()
        if isinstance(value, str) and is_short_line(value):
            typed = await ask(f"  {visible(name)}, typed anew (only Enter leaves it):")
            return {name: typed} if typed else None
    return await in_editor(broken or HEAD + as_toml(arguments), terminal)


def is_short_line(text: str) -> bool:
    return len(text) <= MAX_LINE_CHARS and "\n" not in text and not any(map(is_hidden, text))


async def in_editor(text: str, terminal: int) -> dict[str, Any]:
    """What the person makes of the text in the editor. Raises: EditFailed."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="agent-edit-") as folder:
        file = draft(folder, text)
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(chosen), str(file), stdin=terminal, stdout=terminal
            )
            code = await process.wait()
        except (OSError, ValueError) as error:
            raise EditFailed(f"The editor {chosen!r} cannot be started ({error}).") from error
        if code:
            raise EditFailed(f"The editor {chosen!r} ended with {code}.")
        return parsed(file)


def draft(folder: str, text: str) -> Path:
    file = Path(folder, "call.toml")
    file.write_text(text, encoding="utf-8")
    return file


def parsed(file: Path) -> dict[str, Any]:
    """Raises: EditFailed."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EditFailed(f"What was saved cannot be read: {error}.") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotToml(error, text) from error


def as_toml(arguments: Mapping[str, Any]) -> str:
    import tomlkit

    document = tomlkit.document()
    for name, value in arguments.items():
        is_block = isinstance(value, str) and "\n" in value
        document[name] = tomlkit.string(value, multiline=True) if is_block else value
    return "".join(escaped(one) if is_hidden(one) else one for one in tomlkit.dumps(document))


def escaped(character: str) -> str:
    """As TOML spells it in a string: an editor would show reversed text reversed."""
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"
