"""How a conversation is written for the built-in model: ChatML with Hermes calls.

No system message and no tool list: the model knows its tools by heart.
"""

import json
from dataclasses import dataclass

from wardian.evals.suites.experts import Step

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CONTROL_TOKENS = (PAD, START, END)
"""Never produced from text: file contents cannot forge a turn."""
PLAIN_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""One token each, and ordinary text otherwise."""

TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}"
    "{{ '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- elif message.role == 'assistant' -%}"
    "{{ '<|im_start|>assistant\\n' }}"
    "{%- if message.content -%}{{ message.content }}{%- endif -%}"
    "{%- for call in message.tool_calls or [] -%}"
    "{%- if message.content or not loop.first -%}{{ '\\n' }}{%- endif -%}"
    "{%- set f = call.function if call.function is defined else call -%}"
    '{{ \'<tool_call>\\n{"name": "\' + f.name + \'", "arguments": \' }}'
    "{{- (f.arguments if f.arguments is string else f.arguments | tojson) -}}"
    "{{ '}\\n</tool_call>' }}"
    "{%- endfor -%}"
    "{{ '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' -%}"
    "{{ '<|im_start|>user\\n<tool_response>\\n' + message.content }}"
    "{{ '\\n</tool_response><|im_end|>\\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""The GGUF's chat template; `tests/train` hold that it renders what the functions below write."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the conversation."""

    text: str
    learned: bool
    """Written by the model, so that its tokens count in the loss."""
    control: bool = False
    """One of CONTROL_TOKENS; otherwise text in which these are not recognised."""


def call_text(step: Step) -> str:
    """A call as the model writes it."""
    call = json.dumps({"name": step.name, "arguments": step.arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def user_turn(content: str) -> list[Span]:
    """A user's message, and the opening of the assistant's."""
    return [
        Span(START, False, True),
        Span(f"user\n{content}", False),
        Span(END, False, True),
        Span("\n", False),
        Span(START, False, True),
        Span("assistant\n", False),
    ]


def result_turn(result: str) -> list[Span]:
    """A tool's result, and the opening of the assistant's next message."""
    return user_turn(f"<tool_response>\n{result}\n</tool_response>")


def reply(text: str) -> list[Span]:
    """What the model writes, with the end that it must write too."""
    return [Span(text, True), Span(END, True, True)]


NEWLINE = Span("\n", False)
"""Between a reply's end and the next turn."""
