"""Measures what a model can do, with short tasks that have one right answer.

Native calls, JSON, the use of a result, recall over a long prompt, speed, memory. What comes of it
is a card (`cards`), from which later runs take calling style and window. A probe is a handful of
replies, so its shares are coarse: it tells a model that can from one that cannot, not the better of
two good ones.
"""

import ast
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from wardian.errors import ModelError
from wardian.models.call_style import CallStyle
from wardian.models.styled import StyledModel
from wardian.types import Message, Model, Reply, Request, Role, Sampling, ToolSpec

TRIALS = 3
REPLY_TOKENS = 1024
"""Room for reasoning before the answer."""
SPEED_TOKENS = 48
RECALL_TOKENS = 6_000
"""The longest prompt tried, so that a probe on a processor ends within minutes."""
ENOUGH = 2 / 3
_NUMBERS = ((17, 25), (408, 93), (7, 1290), (66, 51), (318, 7), (29, 88))
_WORDS = "The river ran past the old mill and the road went on over the hill. "
_KEY = "4719"

_ADD = ToolSpec(
    name="add",
    description="Add two whole numbers.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
_LOOK_UP = ToolSpec(
    name="look_up",
    description="Look up the number stored under a name.",
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    },
)
_PYTHON = ToolSpec(
    name="python",
    description="Run Python code and return what it prints.",
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string"}},
        "required": ["code"],
        "additionalProperties": False,
    },
)
_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What was measured. Shares are of the trials, from 0 to 1."""

    model: str
    native_calls: float
    """The right call, in the model's own way"""
    text_calls: float | None
    """The same told in words; None where the native way was good enough"""
    code_calls: float | None
    """Python that parses, in a fence"""
    json_answers: float
    """Answers valid for a schema"""
    result_use: float
    """Answers that hold what a tool returned"""
    style: str
    """The calling style to use"""
    context_tokens: int | None
    """As the model says; None where it does not"""
    recalled_tokens: int
    """The longest prompt of which it still knew the beginning; 0 where of none"""
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    memory_bytes: int | None
    """Of the processes that hold it, on this machine"""
    seconds: float
    """What the probe took"""
    failures: tuple[str, ...] = ()
    """What could not be measured, and why"""


class _Probing:
    """One probe of one model."""

    def __init__(self, model: Model, trials: int, say: Callable[[str], None]) -> None:
        self.model = model
        self.numbers = _NUMBERS[:trials]
        self.say = say
        self.failures: list[str] = []

    async def share(self, what: str, tries: Sequence[Callable[[], Awaitable[bool]]]) -> float:
        """How many of the tries held."""
        held = 0
        for attempt in tries:
            try:
                held += await attempt()
            except ModelError as e:
                self.failures.append(f"{what}: {e.cause}")
                break
        self.say(f"{what}: {held} of {len(tries)}")
        return held / len(tries)

    async def calls(self, style: CallStyle) -> float:
        model = StyledModel(self.model, style)
        what = f"calls, {style.value} style"
        return await self.share(what, [partial(_adds, model, *pair) for pair in self.numbers])

    async def code(self) -> float:
        model = StyledModel(self.model, CallStyle.CODE)
        tries = [partial(_computes, model, *pair) for pair in self.numbers]
        return await self.share("calls, code style", tries)


async def probe(
    model: Model,
    *,
    trials: int = TRIALS,
    recall_tokens: int = RECALL_TOKENS,
    say: Callable[[str], None] = lambda _: None,
) -> Card:
    """The model's card. `trials` is at most 6. Raises: ModelError, where it answers nothing."""
    began = time.monotonic()
    probing = _Probing(model, trials, say)
    prefill, decode = await _speed(model)  # the first thing asked: whoever cannot, raises here
    native = await probing.calls(CallStyle.NATIVE)
    text = None if native >= ENOUGH else await probing.calls(CallStyle.TEXT)
    code = None if max(native, text or 0) >= ENOUGH else await probing.code()
    style = _style(native, text, code)
    styled, is_code = StyledModel(model, style), style is CallStyle.CODE
    answers = await probing.share("JSON answers", [partial(_answers_json, model)] * trials)
    results = await probing.share(
        "use of results",
        [partial(_uses_result, styled, n, is_code=is_code) for n in range(trials)],
    )
    context = model.identity.get("context_tokens")
    known = context if isinstance(context, int) else None
    limit = recall_tokens if known is None else min(recall_tokens, int(known * 0.7))
    recalled = await _recalled(probing, limit)
    return Card(
        model=model.name,
        native_calls=native,
        text_calls=text,
        code_calls=code,
        json_answers=answers,
        result_use=results,
        style=style.value,
        context_tokens=known,
        recalled_tokens=recalled,
        prefill_tokens_per_second=prefill,
        decode_tokens_per_second=decode,
        memory_bytes=memory_of_children() if model.is_local else None,
        seconds=time.monotonic() - began,
        failures=tuple(probing.failures),
    )


def _style(native: float, text: float | None, code: float | None) -> CallStyle:
    """The best; in doubt the model's own."""
    ways = [(native, CallStyle.NATIVE), (text or 0, CallStyle.TEXT), (code or 0, CallStyle.CODE)]
    return max(ways, key=lambda way: way[0])[1]


async def _reply(model: Model, request: Request) -> tuple[Reply, float]:
    """The reply and the seconds it took. Raises: ModelError."""
    began, reply = time.monotonic(), None
    async with aclosing(model.stream(request)) as parts:
        async for part in parts:
            reply = part if isinstance(part, Reply) else reply
    if reply is None:
        raise ModelError(f"{model.name} ended its stream without a reply.")
    return reply, time.monotonic() - began


def _request(text: str, *tools: ToolSpec, schema: dict[str, Any] | None = None) -> Request:
    return Request(
        messages=(
            Message(role=Role.SYSTEM, content="You answer by calling tools. Be brief."),
            Message(role=Role.USER, content=text),
        ),
        tools=tools,
        sampling=Sampling(temperature=0.0, max_tokens=REPLY_TOKENS, seed=1),
        output_schema=schema,
    )


async def _adds(model: Model, a: int, b: int) -> bool:
    reply, _ = await _reply(model, _request(f"Use the tool add to add {a} and {b}.", _ADD))
    return any(c.name == "add" and _object(c.arguments_text) == {"a": a, "b": b}
               for c in reply.message.calls)  # fmt: skip


async def _computes(model: Model, a: int, b: int) -> bool:
    task = f"Compute {a} times {b} with Python and print it."
    reply, _ = await _reply(model, _request(task, _PYTHON))
    for call in reply.message.calls:
        code = _object(call.arguments_text).get("code")
        try:
            ast.parse(str(code))
        except (SyntaxError, ValueError):
            return False
        return str(a) in str(code)
    return False


async def _answers_json(model: Model) -> bool:
    from jsonschema import Draft202012Validator

    task = "Name a large city and its number of inhabitants, as JSON with city and inhabitants."
    request = _request(task, schema=_CITY)
    reply, _ = await _reply(model, request)
    answer = _object(reply.message.content.strip().removeprefix("```json").strip("`\n "))
    validator: Any = Draft202012Validator(_CITY)
    return bool(validator.is_valid(answer))


async def _uses_result(model: Model, number: int, *, is_code: bool) -> bool:
    """The right answer stands in the result of the call and nowhere else."""
    secret = str(3571 + 1234 * number)
    tool, task = (_PYTHON, "Run Python that prints the variable `blue`, then tell me its value.")
    if not is_code:
        tool, task = _LOOK_UP, "Which number is stored under the name blue? Use look_up."
    request = _request(task, tool)
    reply, _ = await _reply(model, request)
    if not reply.message.calls:
        return False
    call = reply.message.calls[0]
    result = Message(role=Role.TOOL, content=secret, call_id=call.id, name=call.name)
    asked = Message(role=Role.ASSISTANT, content=reply.message.content, calls=(call,))
    messages = (*request.messages, asked, result)
    again, _ = await _reply(
        model, Request(messages=messages, tools=(tool,), sampling=request.sampling)
    )
    return secret in again.message.content


async def _speed(model: Model) -> tuple[float | None, float | None]:
    """Tokens a second, read and written."""
    text = _WORDS * 40 + "\nCount from 1 to 100 in words."
    request = Request(
        messages=(Message(role=Role.USER, content=text),),
        sampling=Sampling(temperature=0.0, max_tokens=SPEED_TOKENS, seed=1),
    )
    reply, seconds = await _reply(model, request)
    first, usage = reply.seconds_to_first_token, reply.usage
    if not first or not usage.prompt_tokens:
        return None, None
    prefill = max(0, usage.prompt_tokens - usage.cached_tokens) / first
    rest = seconds - first
    return prefill, (usage.completion_tokens - 1) / rest if rest > 0 else None


async def _recalled(probing: _Probing, limit_tokens: int) -> int:
    """The longest prompt, in its own tokens, of which the model still knows the beginning."""
    longest, tokens = 0, 1000
    while tokens <= limit_tokens:
        filler = _WORDS * (tokens // 16)
        text = f"The key is {_KEY}. Remember it.\n{filler}\nWhat is the key? Only the number."
        request = Request(
            messages=(Message(role=Role.USER, content=text),),
            sampling=Sampling(temperature=0.0, max_tokens=REPLY_TOKENS, seed=1),
        )
        try:
            reply, _ = await _reply(probing.model, request)
        except ModelError as e:
            probing.failures.append(f"a prompt of about {tokens} tokens: {e.cause}")
            break
        if _KEY not in reply.message.content:
            break
        longest = reply.usage.prompt_tokens or tokens
        tokens *= 2
    probing.say(f"recall: {longest} tokens")
    return longest


def _object(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def memory_of_children() -> int | None:
    """Resident bytes of this process's children; None where the system does not say."""
    total, me = 0, str(os.getpid())
    page = os.sysconf("SC_PAGE_SIZE")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if stat[1] == me:
                total += int((folder / "statm").read_text().split()[1]) * page
        except (OSError, IndexError, ValueError):
            continue
    return total or None
