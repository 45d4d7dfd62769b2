"""A tool of your own, a policy that asks before it runs, and somebody who answers."""

import asyncio

from wardian import Agent, ScriptedModel, tool
from wardian_policies.types import Ask
from wardian_tools.types import Effect, ToolCall


@tool(effects={Effect.EGRESS})
def send_note(to: str, text: str) -> str:
    """Send a short note to a colleague.

    Args:
        to: The colleague's name.
        text: At most a few sentences.
    """
    return f"sent to {to}"


async def only_to_ada(question: Ask, call: ToolCall) -> bool:
    """In place of a person at a terminal."""
    print(f"asked: {question.question}")
    return call.arguments is not None and call.arguments["to"] == "Ada"


async def main() -> None:
    model = ScriptedModel(
        [
            [("send_note", {"to": "Eve", "text": "The build is red."})],
            [("send_note", {"to": "Ada", "text": "The build is red."})],
            "Ada knows.",
        ]
    )
    # The default policy asks before a tool that declares that it sends something out.
    async with Agent(model, tools=[send_note], approve=only_to_ada) as agent:
        result = await agent.run("Tell somebody that the build is red.")
    for message in result.messages:
        if message.call_id:
            print(message.name, "→", message.content)
    print(result.answer)


if __name__ == "__main__":
    asyncio.run(main())
