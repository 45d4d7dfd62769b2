"""What sets one family of models apart: how its replies spell calls and reasoning.

A family has four sides that must agree: `write` (a call as text, for a template that has no place
for one), `read` (the same text back to calls, while it arrives), `grammar` (the same text as a Lark
grammar for llguidance), and the published template. Tests hold that they do.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wardian.models.families.source import Source

Reading = Generator[None]
"""A parser's step; it yields where it needs more text."""

Schemas = Mapping[str, Mapping[str, Any]]
"""Tool → JSON schema of its arguments; empty where only the name is known."""

THINK = (("<think>", "</think>"),)


class Heard(Protocol):
    """Takes what a family's parser finds in a reply."""

    @property
    def schemas(self) -> Schemas: ...

    def say(self, text: str) -> None: ...

    def reason(self, text: str) -> None: ...

    def begin_call(self, name: str) -> None:
        """A call of which the arguments follow with `add_arguments`."""
        ...

    def add_arguments(self, text: str) -> None: ...

    def end_call(self, name: str, arguments: str) -> None:
        """A whole call. Its text stands for what was passed on since `begin_call`, if anything was;
        where the call is malformed, `arguments` is what was written."""
        ...


class Terminals(Protocol):
    """How a grammar names what belongs to the vocabulary and to the tools' schemas.

    Each method gives text for the right side of a Lark rule.
    """

    def literal(self, spelling: str) -> str:
        """Exactly this text; where it spells a token the vocabulary has by name, that token."""
        ...

    def json(self, schema: Mapping[str, Any], tool: str) -> str:
        """A JSON value of the schema, as `json.dumps` writes it. `tool` is who a schema that
        cannot be enforced in full is reported for."""
        ...

    def text_to(self, spelling: str) -> str:
        """Any text without the spelling, then the spelling."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCall:
    """A call on its way into text."""

    name: str
    arguments: Mapping[str, Any]
    json: str
    """The arguments as the model wrote them."""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One convention. `opens`, `reasoning` and `markers` are spellings as the model writes them."""

    name: str
    opens: tuple[str, ...]
    """Any of these begins a call or a section of calls: from here on `grammar` holds."""
    read: Callable[[Source, Heard, str], Reading]
    """Read what follows an opening marker (the third argument), to the section's end."""
    write: Callable[[Sequence[WrittenCall]], str]
    grammar: Callable[[Schemas, Terminals], str]
    """Lark rules; `body` is what follows an opening marker up to the end of the call or section.
    Rules may be called anything but `start`, `answer` and `reply`."""
    is_template: Callable[[str], bool]
    """Does this template's source write calls in this way?"""
    grammar_opens: str = ""
    """Which of `opens` the grammar continues; the first where empty."""
    read_reply: Callable[[Source, Heard, bool], Reading] | None = None
    """Reads a whole reply where it is more than text, reasoning and calls in any order. The third
    argument says that the prompt ended inside reasoning."""
    bare_opens: str = ""
    """A reply that begins so is a call without a marker, and `grammar` holds for all of it."""
    call_opens: str = ""
    """What leads to the marker in a reply that is nothing but calls."""
    answer_opens: str = ""
    """What stands before an answer in a reply."""
    resumes: str = ""
    """What a reply goes on with after reasoning, where that is a message of its own."""
    reasoning: tuple[tuple[str, str], ...] = THINK
    silent: tuple[str, ...] = ()
    """Markers that are no text: passed over."""
    markers: tuple[str, ...] = ()
    """What steers this family's rendering and reading beside `opens` and `reasoning`: no text of a
    message may become one of these tokens."""
    is_bare: bool = True
    """A reply that is nothing but a JSON object naming a tool is a call."""
    call_id: Callable[[str, int], str] | None = None
    """From a tool's name and the number of the call in the conversation (from 0) to the id this
    family's templates insist on."""

    @property
    def trigger(self) -> str:
        """The marker after which `grammar` holds."""
        return self.grammar_opens or self.opens[0]

    def all_markers(self) -> frozenset[str]:
        pairs = [marker for pair in self.reasoning for marker in pair]
        return frozenset((*self.opens, *pairs, *self.silent, *self.markers))

    def is_thinking(self, prompt: str) -> bool:
        """Does the prompt end inside reasoning?"""
        end = prompt.rstrip()
        return any(end.endswith(opens.rstrip()) for opens, _ in self.reasoning)
