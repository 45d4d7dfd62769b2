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
    address = None if engine.missing else engine.address
    is_reachable = address is not None and refused_beforehand(address, egress) is None
    return is_reachable and (engine.name != "duckduckgo" or _is_installed("ddgs"))


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
