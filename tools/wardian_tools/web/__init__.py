"""The web: `web_search` and `web_fetch`."""

import importlib.util
from functools import lru_cache

from wardian_sandbox.types import Egress
from wardian_tools.define import tool
from wardian_tools.types import Effect, Tool
from wardian_tools.web.engines import SearchEngine
from wardian_tools.web.fetching import web_fetch
from wardian_tools.web.refusals import refused_beforehand
from wardian_tools.web.searching import Search

_ASKS = {Effect.EGRESS}
DEFAULT_ENGINE = SearchEngine()


@lru_cache(maxsize=8)
def web_tools(engine: SearchEngine = DEFAULT_ENGINE) -> tuple[Tool, ...]:
    """The web tools, sorted by name."""
    return (
        tool(effects=_ASKS, idempotent=True)(web_fetch),
        tool(effects=_ASKS, idempotent=True)(Search(engine).web_search),
    )


def is_usable(name: str, egress: Egress, engine: SearchEngine) -> bool:
    """Could a call of this web tool reach anything, and its answer be read?"""
    if name == "web_fetch":
        return (bool(egress.hosts) or egress.any_web) and _is_installed("trafilatura")
    return not why_no_search(egress, engine)


def why_no_search(egress: Egress, engine: SearchEngine) -> str:
    """What keeps that engine from being asked, as a sentence; empty where nothing does."""
    if engine.missing or engine.address is None:
        return engine.missing
    if refusal := refused_beforehand(engine.address, egress):
        return refusal.content
    if engine.name == "duckduckgo" and not _is_installed("ddgs"):
        return "The package ddgs is not installed."
    return ""


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
