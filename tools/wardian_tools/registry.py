"""The tools of one run, and the one place where a model's call becomes a checked one."""

from collections.abc import Iterable, Iterator
from typing import Any

from wardian_tools.errors import ToolDefinitionError
from wardian_tools.parsing import NotArguments, parse_arguments
from wardian_tools.problems import MAX_PROBLEM_CHARS, clipped, misfit, unknown_tool
from wardian_tools.types import Tool, ToolCall


class Registry:
    """Tools by name, in the order of their names, so that the prompt does not depend on theirs."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        """Raises: ToolDefinitionError when two tools have one name."""
        self._tools: dict[str, Tool] = {}
        for tool in sorted(tools, key=lambda t: t.name):
            if tool.name in self._tools:
                raise ToolDefinitionError(
                    f"Two tools are named '{tool.name}'. Rename one with @tool(name=\"…\")."
                )
            self._tools[tool.name] = tool

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def specs(self) -> tuple[dict[str, Any], ...]:
        """What a model is told: name, description and parameters of each, sorted by name."""
        return tuple(
            {"name": t.name, "description": t.description, "parameters": t.parameters} for t in self
        )

    def parse(self, call: ToolCall) -> ToolCall:
        """`call` with either `arguments` or `problem` filled in. Raises nothing.

        A problem is at most `MAX_PROBLEM_CHARS` characters, whatever the model wrote.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            problem = unknown_tool(call.name, self.names())
            return _read(call, None, problem)
        try:
            arguments = tool.validate(parse_arguments(call.arguments_text))
        except NotArguments as error:
            problem = clipped(str(error), MAX_PROBLEM_CHARS)
        except Exception as error:  # noqa: BLE001 - a tool's own validators may raise anything
            problem = misfit(tool, error)
        else:
            return _read(call, arguments, None)
        return _read(call, None, problem)


def _read(call: ToolCall, arguments: dict[str, Any] | None, problem: str | None) -> ToolCall:
    return ToolCall(
        id=call.id,
        name=call.name,
        arguments_text=call.arguments_text,
        arguments=arguments,
        problem=problem,
    )
