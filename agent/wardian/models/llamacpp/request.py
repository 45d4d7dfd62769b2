"""A request as the line the child reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from wardian.types import Message, Request


def encoded(
    request: Request,
    number: int,
    reply_tokens: int | None,
    samples: int = 1,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The request as one line; each message is encoded once in its life.

    `reply_tokens` is the length limit of a request that sets none; `more` goes with it.
    """
    sampling = request.sampling
    if sampling.max_tokens is None:
        sampling = replace(sampling, max_tokens=reply_tokens)
    head = {
        "op": "ask",
        "id": number,
        "conversation": request.conversation,
        "tools": [asdict(t) for t in sorted(request.tools, key=lambda t: t.name)],
        "sampling": asdict(sampling),
        "output_schema": request.output_schema,
        "must_call": request.must_call,
        "samples": samples,
        **(more or {}),
    }
    messages = b",".join(_encoded_message(m) for m in request.messages)
    return json.dumps(head).encode()[:-1] + b', "messages": [' + messages + b"]}"


def _encoded_message(message: Message) -> bytes:
    found = message.encoded.get("llama")
    if found is None:
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments_text} for c in message.calls]
        fields = {
            "role": message.role,
            "content": message.content,
            "reasoning": message.reasoning,
            "calls": calls,
            "call_id": message.call_id,
            "name": message.name,
        }
        found = message.encoded["llama"] = json.dumps(fields).encode()
    return found
