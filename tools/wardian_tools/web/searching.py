"""`web_search`: what a search engine finds.

Covers: only the engine's host is reached, and only where the policy lets web tools reach it; what
it answers is read in a process of its own, whose key, if any, goes to that host alone; rate limits,
captchas, changed pages and being offline are results; the same search is asked once a run.
Does not cover: what the engine learns from the query.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.types import Job, JobResult
from wardian_tools.bounds import Between
from wardian_tools.types import Confidentiality, Output, ToolContext
from wardian_tools.web.address import BadAddress, WebAddress, parse_url
from wardian_tools.web.engines import SearchEngine, only
from wardian_tools.web.fetching import Facts
from wardian_tools.web.memory import memory_of
from wardian_tools.web.refusals import by_failure, by_proxy, failed, refused_beforehand
from wardian_tools.web.visible import one_line

SECONDS = 20.0
MAX_QUERY_CHARS = 400
MAX_RESULTS = 20
FOLDER = str(Path(__file__).parents[2])
FUNCTION = "wardian_tools.web.inside.search:search"
MODULES = ("wardian_tools.web.inside.search",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One thing found."""

    title: str
    url: str
    snippet: str
    engine: str
    date: str | None = None
    """As the engine says it."""

    def shown(self, number: int) -> str:
        dated = f" ({self.date})" if self.date else ""
        return f"{number}. {self.title}{dated}\n   {self.url}\n   {self.snippet}".rstrip()


class Search:
    """The function of the tool, for one engine."""

    def __init__(self, engine: SearchEngine) -> None:
        self._engine = engine

    async def web_search(
        self,
        context: ToolContext,
        query: str,
        max_results: Annotated[int, Between(1, MAX_RESULTS)] = 6,
    ) -> Output:
        """Search the web and return titles, addresses and snippets. Read one with web_fetch.

        Args:
            query: A few words.
            max_results: Results to return at most.
        """
        query = one_line(query, MAX_QUERY_CHARS)
        if not query:
            return failed("empty", "The query is empty. Name a few words.")
        memory = memory_of(context.sandbox)
        key = (self._engine.name, self._engine.url, query, max_results)
        known = memory.searches.get(key)
        if known is None:
            known = await self._searched(context, query, max_results)
            if "results" in known.data:
                memory.searches.keep(key, known)
        return known

    async def _searched(self, context: ToolContext, query: str, most: int) -> Output:
        engine = self._engine
        try:
            address, missing = engine.address, engine.missing
        except BadAddress as problem:
            return failed("misconfigured", f"The setting search_url cannot be used. {problem}")
        if address is None or missing:
            return failed("misconfigured", missing)
        egress = context.within.egress
        if (refusal := refused_beforehand(address, egress)) is not None:
            return refusal
        seconds = min(SECONDS, context.within.limits.wall_seconds)
        job = Job(
            function=FUNCTION,
            arguments={
                "engine": engine.name,
                "url": str(address),
                "key": engine.key,
                "query": query,
                "most": most,
                "seconds": seconds,
            },
            seconds=seconds,
            modules=MODULES,
            folders=(FOLDER,),
        )
        try:
            result = await context.sandbox.job(job, only(address, egress))
        except SandboxUnavailable as problem:
            return failed("unavailable", f"The web cannot be searched safely here. {problem}")
        return self._understood(result, address, query, most, seconds)

    def _understood(
        self, result: JobResult, address: WebAddress, query: str, most: int, seconds: float
    ) -> Output:
        if (refusal := by_proxy(result.refused, address)) is not None:
            return refusal
        if (failure := by_failure(result, self._engine.kind.title, seconds)) is not None:
            return replace(failure, content=self._engine.without_key(failure.content))
        facts = Facts(result.value)
        if code := facts.text("code"):
            problem = self._engine.without_key(facts.text("problem"))
            return failed(code, one_line(problem, 600))
        items = facts.items("results")
        found = [one for item in items if (one := self._result(item))][:most]
        if items and not found:
            sentence = (
                f"{self._engine.kind.title} answered, but none of its results ({len(items)}) has a"
                " web address that could be fetched. Search in other words, or set another engine."
            )
            return failed("unusable", sentence)
        shown = [one.shown(number) for number, one in enumerate(found, 1)]
        return Output(
            content="\n\n".join(shown) or f"{self._engine.kind.title} finds nothing for: {query}",
            confidentiality=Confidentiality.PUBLIC,
            data={"engine": self._engine.name, "results": [asdict(one) for one in found]},
        )

    def _result(self, item: Facts) -> SearchResult | None:
        """None for one whose address is none that could be fetched."""
        try:
            url = str(parse_url(item.text("url")))
        except BadAddress:
            return None
        return SearchResult(
            title=one_line(item.text("title"), 200),
            url=url,
            snippet=one_line(item.text("snippet"), 500),
            engine=one_line(item.text("engine"), 40) or self._engine.name,
            date=one_line(item.text("date"), 40) or None,
        )
