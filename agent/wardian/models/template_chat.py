"""The messages of a conversation in the shapes that chat templates ask for."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from wardian.models.families import HERMES, Family, WrittenCall
from wardian.models.families.hermes import HERMES_HOW, TOOLS_TEXT
from wardian.models.template_sandbox import tojson

Chat = list[dict[str, Any]]

_EXAMPLE = WrittenCall(
    name="example_function", arguments={"argument": "value"}, json='{"argument": "value"}'
)


def tools_told(chat: Chat, tools: Sequence[Mapping[str, Any]], family: Family) -> Chat:
    """The tools described in the system message, for a template that does not describe them."""
    if not tools:
        return chat
    text = TOOLS_TEXT.format(tools="\n".join(tojson(t) for t in tools), how=_how(family))
    if chat and chat[0]["role"] == "system":
        return [{**chat[0], "content": f"{chat[0]['content']}\n\n{text}"}, *chat[1:]]
    return [{"role": "system", "content": text}, *chat]


def _how(family: Family) -> str:
    if family is HERMES:
        return HERMES_HOW
    example = family.write([_EXAMPLE])
    return f"For each function call, write exactly this, with its name and arguments:\n{example}"


def calls_in_words(chat: Chat, family: Family) -> Chat:
    """Calls as text of the assistant's message, for a template that has no place for them."""
    return [
        _call_in_words(message, family) if "tool_calls" in message else message for message in chat
    ]


def _call_in_words(message: dict[str, Any], family: Family) -> dict[str, Any]:
    calls = [
        WrittenCall(
            name=call["function"]["name"],
            arguments=call["function"]["arguments"],
            json=str(call["function"]["arguments"]),
            id=call["id"],
        )
        for call in message["tool_calls"]
    ]
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    written = family.write(calls)
    content = f"{message['content']}\n{written}" if message["content"] else written
    return {**kept, "content": content}


def results_in_words(chat: Chat) -> Chat:
    """Results as the user's messages, one for results in a row."""
    plain: Chat = []
    was_result = False
    for message in chat:
        is_result = message["role"] == "tool"
        if is_result:
            content = f"<tool_response>\n{message['content']}\n</tool_response>"
            if was_result:
                plain[-1]["content"] += f"\n{content}"
            else:
                plain.append({"role": "user", "content": content})
        else:
            plain.append(dict(message))
        was_result = is_result
    return plain


def one_call_each(chat: Chat) -> Chat:
    """Messages of several calls taken apart: each call is followed by its own result."""
    split: Chat = []
    i = 0
    while i < len(chat):
        message = chat[i]
        i += 1
        calls = message.get("tool_calls", ())
        if len(calls) < 2:
            split.append(message)
            continue
        results: Chat = []
        while i < len(chat) and chat[i]["role"] == "tool":
            results.append(chat[i])
            i += 1
        split += _one_by_one(message, results)
    return split


def _one_by_one(message: dict[str, Any], results: Chat) -> Chat:
    made: Chat = []
    for n, call in enumerate(message["tool_calls"]):
        head = message if n == 0 else {"role": message["role"], "content": ""}
        made.append({**head, "tool_calls": [call]})
        made += [r for r in results if r["tool_call_id"] == call["id"]]
    known = {call["id"] for call in message["tool_calls"]}
    return made + [r for r in results if r["tool_call_id"] not in known]


def own_ids(chat: Chat, family: Family) -> Chat:
    """Calls under the ids the family's templates insist on, their results with them."""
    if family.call_id is None:
        return chat
    renamed: dict[str, str] = {}
    number = 0
    made: Chat = []
    for message in chat:
        named = dict(message)
        if "tool_calls" in message:
            calls: Chat = []
            for call in message["tool_calls"]:
                renamed[call["id"]] = family.call_id(call["function"]["name"], number)
                calls.append({**call, "id": renamed[call["id"]]})
                number += 1
            named["tool_calls"] = calls
        elif message["role"] == "tool":
            named["tool_call_id"] = renamed.get(message["tool_call_id"], message["tool_call_id"])
        made.append(named)
    return made


def arguments_as_text(chat: Chat) -> Chat:
    """Arguments as JSON text, for templates that join them to strings."""
    return [
        {**m, "tool_calls": [_as_text(call) for call in m["tool_calls"]]}
        if "tool_calls" in m
        else m
        for m in chat
    ]


def _as_text(call: dict[str, Any]) -> dict[str, Any]:
    function = cast("dict[str, Any]", call["function"])
    return {**call, "function": {**function, "arguments": str(function["arguments"])}}


def in_parts(chat: Chat) -> Chat:
    """Each content as a list of one text, for templates of models that see."""
    return [
        {**m, "content": [{"type": "text", "text": m["content"]}]} if m["content"] else m
        for m in chat
    ]


def orders_in_question(chat: Chat) -> Chat:
    """The system message at the head of the first question."""
    if [m["role"] for m in chat[:2]] != ["system", "user"]:
        return chat
    content = f"{chat[0]['content']}\n\n{chat[1]['content']}"
    return [{**chat[1], "content": content}, *chat[2:]]


def strictly_alternating(chat: Chat) -> Chat:
    """Without a system message and with user and assistant in turn, for templates that insist."""
    merged: Chat = []
    for message in chat:
        role = "user" if message["role"] == "system" else message["role"]
        if merged and merged[-1]["role"] == role and role in ("user", "assistant"):
            merged[-1]["content"] += "\n\n" + message["content"]
            merged[-1].update({k: v for k, v in message.items() if k not in ("role", "content")})
        else:
            merged.append({**message, "role": role})
    return merged


def thoughts_in_calls(chat: Chat) -> Chat:
    """Reasoning and text beside a call as `thinking`, the one place harmony's templates have."""
    return [_with_thoughts(message) if "tool_calls" in message else message for message in chat]


def _with_thoughts(message: dict[str, Any]) -> dict[str, Any]:
    thoughts = "\n\n".join(t for t in (message.get("reasoning_content"), message["content"]) if t)
    return {**message, "content": "", "thinking": thoughts} if thoughts else message
