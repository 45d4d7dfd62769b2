"""ShareGPT conversations with calls as Hermes models write them.

Source: NousResearch, Hermes-Function-Calling, `<tools>`, `<tool_call>`, `<tool_response>`.
"""

import json
from collections.abc import Iterator

from wardian.export.messages import tools, until_last_reply, well_formed
from wardian.export.rows import Row, Unfit
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Role

SPEAKERS = {Role.SYSTEM: "system", Role.USER: "human", Role.ASSISTANT: "gpt", Role.TOOL: "tool"}


def sharegpt_rows(run: Trajectory) -> Iterator[Row]:
    """One row a run; results of one reply's calls stand in one turn, so that turns alternate."""
    turns: list[Row] = []
    for message in until_last_reply(run.messages):
        turn = {"from": SPEAKERS[message.role], "value": _value(message)}
        if turns and turn["from"] == turns[-1]["from"]:
            turns[-1]["value"] += "\n" + turn["value"]
        else:
            turns.append(turn)
    if offered := tools(run):
        listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in offered)
        told = f"You are a function calling AI model. <tools>{listed}</tools>"
        if turns[0]["from"] == "system":
            turns[0]["value"] += "\n\n" + told
        else:
            turns.insert(0, {"from": "system", "value": told})
    yield {"conversations": turns}


def _value(message: Message) -> str:
    if message.images:
        raise Unfit("it has an image")
    if message.role is Role.TOOL:
        return f"<tool_response>\n{message.content}\n</tool_response>"
    calls = [
        json.dumps({"name": call.name, "arguments": well_formed(call)}, ensure_ascii=False)
        for call in message.calls
    ]
    parts = [message.content] if message.content or not calls else []
    return "\n".join([*parts, *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)])
