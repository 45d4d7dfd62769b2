"""What the tools package raises. A failing call is a `ToolResult`, never one of these.

ToolError
├── ToolDefinitionError   a function cannot become a tool (untyped parameter, duplicate name)
└── UnknownTool           a name asked for by configuration names no tool
"""


class ToolError(Exception):
    """Root of what this package raises."""


class ToolDefinitionError(ToolError):
    """The function's signature or name cannot be offered to a model."""


class UnknownTool(ToolError):
    """No tool of that name is registered; the message names the nearest."""
