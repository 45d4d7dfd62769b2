"""A server made with the official SDK: tools, a resource, a prompt; over stdio or HTTP."""

import sys

from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel

server = MCPServer("sdk-server", version="1.0")


class Point(BaseModel):
    x: int
    y: int


@server.tool()
def move(point: Point, by: int = 1) -> Point:
    """Move a point.

    Args:
        point: Where it is.
        by: How far.
    """
    return Point(x=point.x + by, y=point.y + by)


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("no luck")


@server.resource("note://today")
def today() -> str:
    """What is to be done."""
    return "water the plants"


@server.prompt()
def review(code: str) -> str:
    """Ask for a review."""
    return f"Please review: {code}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
