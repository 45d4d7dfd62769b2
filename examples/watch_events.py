"""Events as they happen: what the model asks for, what the policy says, what comes back."""

import asyncio

from wardian import Agent, ScriptedModel
from wardian.events import CallDecided, CallFinished, RunFinished


async def main() -> None:
    model = ScriptedModel(
        [
            [("write_file", {"path": "squares.txt", "content": "1\n4\n9\n"})],
            [("python", {"code": "sum(int(line) for line in open('squares.txt'))"})],
            "The sum is 14.",
        ]
    )
    agent = Agent(model, workspace_mode="copy")
    async with agent:
        async for event in agent.stream("Write three squares to a file and add them up."):
            match event:
                case CallDecided(call=call, decision=decision):
                    print(f"{call.name}: {type(decision).__name__} by {decision.rule.text!r}")
                case CallFinished(result=result):
                    print(f"{result.name}: {result.status} {result.content!r}")
                case RunFinished(answer=answer, changes=changes):
                    print(answer, [change["path"] for change in changes])
                case _:
                    pass


if __name__ == "__main__":
    asyncio.run(main())
