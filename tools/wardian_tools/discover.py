"""Tools by name: the built-in ones, and those that installed packages offer.

A package offers tools by an entry point of the group `wardian.tools` that names a `Tool`, an
iterable of them, or a function without arguments that returns either. Loading one runs that
package's code on the host, with the user's rights, as any import does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from wardian_sandbox.types import Egress
from wardian_tools.builtin import builtin_tools, talking_tools
from wardian_tools.errors import ToolDefinitionError, UnknownTool
from wardian_tools.problems import clipped, nearest
from wardian_tools.types import Tool
from wardian_tools.web import DEFAULT_ENGINE, is_usable, web_tools
from wardian_tools.web.engines import SearchEngine

GROUP = "wardian.tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """An entry point that gave no tools."""

    name: str
    """`entry point (distribution)`"""
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What the installed packages offer, and what went wrong in asking them."""

    tools: tuple[Tool, ...]
    """Sorted by name."""
    failures: tuple[PluginFailure, ...]


def own_tools(engine: SearchEngine = DEFAULT_ENGINE) -> tuple[Tool, ...]:
    """All tools that come with Wardian, sorted by name; `web_search` asks that engine."""
    tools = (*builtin_tools(), *talking_tools(), *web_tools(engine))
    return tuple(sorted(tools, key=lambda tool: tool.name))


def usual_tools(egress: Egress, engine: SearchEngine = DEFAULT_ENGINE) -> tuple[Tool, ...]:
    """The tools of a run that names none: those in the sandbox, and of those for the web the ones
    that could reach anything by this policy, with what they need installed."""
    web = (tool for tool in web_tools(engine) if is_usable(tool.name, egress, engine))
    return tuple(sorted((*builtin_tools(), *web), key=lambda tool: tool.name))


def load_entry_points() -> Discovered:
    """The tools of the installed packages. A broken package is reported; the others still load."""
    from importlib.metadata import entry_points  # 10 ms, paid only by whoever looks for plugins

    taken = {tool.name for tool in own_tools()}
    tools: list[Tool] = []
    failures: list[PluginFailure] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        try:
            offered = _tools_of(entry.load(), taken)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code; recorded
            where = f"{entry.name} ({entry.dist.name})" if entry.dist else entry.name
            cause = clipped(f"{type(error).__name__}: {error}", 300)
            failures.append(PluginFailure(name=where, cause=cause))
        else:
            taken.update(tool.name for tool in offered)
            tools += offered
    return Discovered(tools=tuple(sorted(tools, key=lambda t: t.name)), failures=tuple(failures))


def _tools_of(offered: object, taken: set[str]) -> list[Tool]:
    if callable(offered):
        offered = offered()
    if isinstance(offered, Tool):
        offered = (offered,)
    if not isinstance(offered, Iterable):
        raise ToolDefinitionError(f"it offers {type(offered).__name__}, which is not a Tool")
    tools: list[Tool] = []
    for tool in cast("Iterable[object]", offered):
        if not isinstance(tool, Tool):
            raise ToolDefinitionError(f"it offers {type(tool).__name__}, which is not a Tool")
        if tool.name in taken or tool.name in {t.name for t in tools}:
            raise ToolDefinitionError(f"a tool named '{tool.name}' is there already")
        tools.append(tool)
    return tools


def select(
    names: Iterable[str],
    tools: Iterable[Tool] | None = None,
    engine: SearchEngine = DEFAULT_ENGINE,
) -> tuple[Tool, ...]:
    """The tools of those names, each once, in the order of `names`.

    `tools` is what to choose from; None is our own tools and those of installed packages.
    Raises: UnknownTool, naming the nearest, and any package that could not be loaded.
    """
    wanted = list(dict.fromkeys(names))
    failures: tuple[PluginFailure, ...] = ()
    known = {tool.name: tool for tool in (own_tools(engine) if tools is None else tools)}
    if tools is None and not known.keys() >= set(wanted):
        discovered = load_entry_points()
        known |= {tool.name: tool for tool in discovered.tools}
        failures = discovered.failures
    for name in wanted:
        if name not in known:
            raise UnknownTool(_unknown(name, sorted(known), failures))
    return tuple(known[name] for name in wanted)


def _unknown(name: str, known: list[str], failures: tuple[PluginFailure, ...]) -> str:
    like = nearest(name, known)
    remedy = f"Did you mean '{like}'?" if like else f"The tools are: {', '.join(known)}."
    broken = "".join(f" Package tool {f.name} could not be loaded: {f.cause}." for f in failures)
    return f"No tool is named '{name}'. {remedy}{broken}"
