"""What the tools package raises. A failing call is a `ToolResult`, never one of these.

ToolError
├── ToolDefinitionError   a function cannot become a tool (untyped parameter, duplicate name)
├── UnknownTool           a name asked for by configuration names no tool
└── ServerError           of tool servers (MCP): one sentence of cause, one of remedy
    ├── ServerFileError       the list of servers, or of what was approved, is not as it must be
    └── ServerUnavailable     a server cannot be started, reached or understood
"""


class ToolError(Exception):
    """Root of what this package raises."""


class ToolDefinitionError(ToolError):
    """The function's signature or name cannot be offered to a model."""


class UnknownTool(ToolError):
    """No tool of that name is registered; the message names the nearest."""


class ServerError(ToolError):
    """Root of what concerns tool servers."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class ServerFileError(ServerError):
    """The list of servers, or of what was approved of them, is not as it must be."""


class ServerUnavailable(ServerError):
    """The server cannot be started, reached or understood, or it ended."""
