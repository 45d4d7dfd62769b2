"""An answer of a type: the model must write JSON that fits, and `value` is the parsed object."""

from pydantic import BaseModel

from wardian import Agent, ScriptedModel


class City(BaseModel):
    name: str
    inhabitants: int


def main() -> None:
    # A script stands in for the model. Its first answer does not fit the type, so the model is told
    # what is wrong and asked again.
    model = ScriptedModel(['{"name": "Porto"}', '{"name": "Porto", "inhabitants": 231000}'])
    agent = Agent(model, tools=[], output_type=City)
    result = agent.run_sync("How many people live in Porto?")
    assert result.value is not None
    print(f"{result.value.name}: {result.value.inhabitants:,} after {result.steps} steps")


if __name__ == "__main__":
    main()
