"""Can a base model's template carry an agent's run? Looked at before anything is trained.

Covers: tools, calls and results are in the prompt; each prompt of a run begins with the one before
and its reply, so that what is learnt is what is seen.
Does not cover: what a template does with a second question of the user's; several drop old
reasoning there, and rows recorded by our own engine say what it saw.
"""

from collections.abc import Sequence
from typing import Any

from wardian.errors import ConfigurationError
from wardian.train.text_rows import Encoder

TOOL, VALUE, RESULT, ANSWER = "look_up_probe", "value_probe", "result_probe", "answer_probe"
_TOOLS: Sequence[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "Looks a word up.",
            "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
        },
    }
]
_CHAT: Sequence[dict[str, Any]] = [
    {"role": "user", "content": "What does it mean?"},
    {
        "role": "assistant",
        "content": "",
        "calls": [{"id": "call_1", "name": TOOL, "arguments": f'{{"word": "{VALUE}"}}'}],
    },
    {"role": "tool", "content": RESULT, "call_id": "call_1", "name": TOOL},
    {"role": "assistant", "content": ANSWER},
    {"role": "user", "content": "Thanks."},
]
ALLOW = 'set unstable_template = "allow" in the recipe.'


def check_template(encoder: Encoder, *, allow: bool) -> list[str]:
    """Sentences on what is wrong and was allowed. Raises: ConfigurationError where it was not."""
    faults = list(_faults(encoder))
    if faults and not allow:
        raise ConfigurationError(
            f"The base model's template cannot be trained for tools: {'; '.join(faults)}.",
            f"Take a base model made for tools. To train it all the same, {ALLOW}",
        )
    return [f"The base model's template: {fault}." for fault in faults]


def _faults(encoder: Encoder) -> list[str]:
    prompts = [encoder.render(_CHAT[:end], _TOOLS) for end in (1, 3, 5)]
    first, second, last = prompts
    found: list[str] = []
    can = encoder.template.abilities
    if encoder.describe_tools and not (can.tools and TOOL in first):
        found.append("it does not describe tools, which are told in words then")
    if not all(part in second for part in (TOOL, VALUE, RESULT)):
        found.append("it drops calls or their results")
    if ANSWER not in last:
        found.append("it drops what the assistant said")
    if not (second.startswith(first) and last.startswith(second)):
        found.append("it rewrites earlier messages when new ones come")
    return found
