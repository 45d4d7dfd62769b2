"""The search engines there are: where each is, and what it wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardian_sandbox.egress.names import Address
from wardian_sandbox.egress.rules import parse_host_rule
from wardian_sandbox.types import Egress
from wardian_tools.errors import ToolDefinitionError
from wardian_tools.web.address import WebAddress, parse_url


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One engine."""

    title: str
    url: str
    """Where it is asked; empty where there are many of it, and one must be named."""
    keys: tuple[str, ...] = ()
    """Environment variables that may hold its key; empty where it wants none."""


ENGINES: Mapping[str, EngineKind] = {
    "duckduckgo": EngineKind(title="DuckDuckGo", url="https://html.duckduckgo.com/html/"),
    "searxng": EngineKind(title="SearXNG", url=""),
    "brave": EngineKind(
        title="Brave",
        url="https://api.search.brave.com/res/v1/web/search",
        keys=("BRAVE_API_KEY", "BRAVE_SEARCH_API_KEY"),
    ),
    "tavily": EngineKind(
        title="Tavily", url="https://api.tavily.com/search", keys=("TAVILY_API_KEY",)
    ),
    "serper": EngineKind(
        title="Serper", url="https://google.serper.dev/search", keys=("SERPER_API_KEY",)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEngine:
    """Where `web_search` searches."""

    name: str = "duckduckgo"
    url: str = ""
    """Empty is the engine's own."""
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raises: ToolDefinitionError."""
        if self.name not in ENGINES:
            known = ", ".join(ENGINES)
            raise ToolDefinitionError(f"There is no search engine {self.name!r}. Known: {known}.")

    @property
    def kind(self) -> EngineKind:
        return ENGINES[self.name]

    @property
    def address(self) -> WebAddress | None:
        """Where it is asked; None where that must be said and is not. Raises: BadAddress."""
        url = self.url or self.kind.url
        return parse_url(url) if url else None

    @property
    def missing(self) -> str:
        """What it still wants, as a sentence; empty where nothing."""
        if self.kind.keys and not self.key:
            return f"{self.kind.title} wants a key: set {' or '.join(self.kind.keys)}."
        if not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            return f"The key for {self.kind.title} has characters that no key has."
        if self.address is None:
            return f"{self.kind.title} wants an address: agent config set search_url https://…"
        return ""

    def without_key(self, text: str) -> str:
        """What an engine or a library says, should it say the key too."""
        return text.replace(self.key, "[key]") if self.key else text


def search_engine(name: str, url: str, environ: Mapping[str, str]) -> SearchEngine:
    """The engine of that name, with its key from the environment."""
    key = next((environ[one].strip() for one in ENGINES[name].keys if environ.get(one)), "")
    return SearchEngine(name=name, url=url, key=key)


def only(address: WebAddress, egress: Egress) -> Egress:
    """Of what `egress` lets be reached, the one host; and listed addresses that it may lead to."""
    host = f"{address.rule}:{address.port}" if address.rule == str(address.host) else address.rule
    rules = {text: parse_host_rule(text) for text in egress.hosts}
    is_listed = any(rule.names(address.host, address.port) for rule in rules.values())
    led_to = tuple(
        text
        for text, rule in rules.items()
        if isinstance(rule.host, Address) and address.port in rule.ports
    )
    return Egress(hosts=(host, *led_to), private=egress.private and is_listed, limits=egress.limits)
