"""`web_fetch`: one page of the web as text.

Covers: only GET; hosts, ports and addresses by the policy, at every redirect, where the connection
is made (`wardian_sandbox.egress`); whatever the server says is read in a process of its own
(`wardian_sandbox.jobs`); sizes and time bounded; nothing invisible in the text.
Does not cover: what the text wants of the model; what a host that is allowed learns from the URL.
"""

import base64
import binascii
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, cast

from wardian_sandbox.errors import SandboxUnavailable
from wardian_sandbox.kinds import reference
from wardian_sandbox.types import Artefact, Egress, Job, JobResult
from wardian_tools.bounds import Between
from wardian_tools.types import Confidentiality, Output, ToolContext
from wardian_tools.web.address import BadAddress, WebAddress, parse_url
from wardian_tools.web.memory import Found, Memory, memory_of
from wardian_tools.web.refusals import by_failure, by_proxy, failed, refused_beforehand
from wardian_tools.web.visible import one_line, visible_text

SECONDS = 30.0
"""For a page with its redirects, reading included."""
LOADING_SECONDS = 20.0
"""Of these; what came by then is shown."""
MAX_CHARS = 20_000
USUAL_CHARS = 8_000
FOLDER = str(Path(__file__).parents[2])
FUNCTION = "wardian_tools.web.inside.fetch:fetch"
MODULES = ("wardian_tools.web.inside.fetch",)
MAX_SITES = 10
MAX_ROBOTS_CHARS = 500 << 10
STATUSES = {
    401: "it wants a login",
    403: "it does not let this be seen",
    404: "there is no such page",
    410: "the page is gone",
    429: "it was asked too often",
    451: "it may not show this, for legal reasons",
    503: "it is busy or down",
}


async def web_fetch(
    context: ToolContext,
    url: str,
    offset: Annotated[int, Between(0)] = 0,
    max_chars: Annotated[int, Between(200, MAX_CHARS)] = USUAL_CHARS,
) -> Output:
    """Fetch a web page and return its text (Markdown for HTML; PDF, JSON and plain text too).

    Args:
        url: http or https URL.
        offset: First character to return, to read on in a long page.
        max_chars: Characters to return at most.
    """
    try:
        address = parse_url(url)
    except BadAddress as problem:
        return failed("bad_url", str(problem))
    memory = memory_of(context.sandbox)
    page = memory.pages.get(str(address))
    if page is None:
        fetched = await _fetched(context, address, memory)
        if isinstance(fetched, Output):
            return fetched
        page = fetched
        memory.pages.keep(str(address), page)
    return _shown(page, offset, max_chars)


async def _fetched(context: ToolContext, address: WebAddress, memory: Memory) -> Found | Output:
    """The page, or the finished result of its failure."""
    egress = context.within.egress
    if (refusal := refused_beforehand(address, egress)) is not None:
        return refusal
    seconds = min(SECONDS, context.within.limits.wall_seconds)
    job = Job(
        function=FUNCTION,
        arguments={
            "url": str(address),
            "seconds": seconds * LOADING_SECONDS / SECONDS,
            "robots": None if egress.ignore_robots else memory.robots,
        },
        seconds=seconds,
        modules=MODULES,
        folders=(FOLDER,),
    )
    try:
        result = await context.sandbox.job(job, egress)
    except SandboxUnavailable as problem:
        return failed("unavailable", f"Web pages cannot be read safely here. {problem}")
    return _understood(result, address, memory, seconds, egress)


def _understood(
    result: JobResult, address: WebAddress, memory: Memory, seconds: float, egress: Egress
) -> Found | Output:
    if (failure := by_failure(result, str(address), seconds)) is not None:
        return by_proxy(result.refused, address) or failure
    facts = Facts(result.value)
    reached = _reached(facts.text("url"), address)
    # What the proxy said is a fact; what the job made of it is not.
    if (refusal := by_proxy(result.refused, reached)) is not None:
        return refusal
    for site, rules in islice(facts.texts("robots").items(), MAX_SITES):
        memory.robots.setdefault(site, rules[:MAX_ROBOTS_CHARS])
    if problem := facts.text("problem"):
        return failed(facts.text("code") or "failed", f"{address}: {one_line(problem, 600)}")
    if facts.number("status") >= 400:
        return _complaint(facts, reached)
    return Found(
        url=str(reached),
        title=one_line(facts.text("title"), 200),
        mime=one_line(facts.text("mime"), 60),
        text=visible_text(facts.text("text")),
        is_whole=facts.value.get("is_whole") is True,
        is_loaded=facts.value.get("is_loaded") is True,
        size_bytes=facts.number("size_bytes"),
        image=facts.bytes("image"),
    )


def _reached(url: str, asked: WebAddress) -> WebAddress:
    try:
        return parse_url(url)
    except BadAddress:
        return asked


def _complaint(facts: "Facts", address: WebAddress) -> Output:
    """What a server that did not give the page said."""
    status = facts.number("status")
    why = f": {STATUSES[status]}" if status in STATUSES else ""
    if facts.text("cf_mitigated") == "challenge":
        why = ": it wants proof that a person reads it"
    sentence = f"{address} answered {status}{why}."
    if waiting := one_line(facts.text("retry_after"), 40):
        unit = " s" if waiting.isdecimal() else ""
        sentence += f" It may be asked again after {waiting}{unit}."
    excerpt = visible_text(facts.text("text"))
    return failed("status", "\n\n".join(filter(None, (sentence, excerpt))), http_status=status)


def _shown(page: Found, offset: int, most: int) -> Output:
    facts = {"url": page.url, "title": page.title, "mime": page.mime, "size_bytes": page.size_bytes}
    if page.image:
        return _image(page, facts)
    total = len(page.text)
    text = page.text[offset : offset + most]
    head = [page.url if not page.title else f"{page.title}\n{page.url}"] if not offset else []
    notes: list[str] = []
    if page.size_bytes == 0:
        notes.append("(the page is empty)")
    elif total == 0:
        notes.append("(no readable text: the page may be made by a program when it is opened)")
    elif not text:
        notes.append(f"[the text ends at character {total}]")
    elif offset or offset + most < total:
        end = offset + len(text)
        more = f"; go on with offset={end}" if end < total else ""
        notes.append(f"[characters {offset}-{end} of {total}{more}]")
    if not page.is_loaded:
        notes.append(f"[cut: only the first {page.size_bytes:,} bytes were loaded]")
    elif not page.is_whole:
        notes.append(f"[cut: only the first {total:,} characters are kept]")
    return Output(
        content="\n\n".join([*head, *([text] if text else []), *notes]),
        confidentiality=Confidentiality.PUBLIC,
        data=facts
        | {"offset": offset, "characters": total, "is_whole": page.is_loaded and page.is_whole},
    )


def _image(page: Found, facts: dict[str, Any]) -> Output:
    """An image for the record, and for models that see."""
    name = page.url.partition("?")[0].rpartition("/")[2][-60:] or "image"
    image = Artefact(reference=reference(name, page.image), content=page.image)
    figure = asdict(image.reference) | {"base64": base64.b64encode(page.image).decode()}
    return Output(
        content=f"{page.url}\n\n[{page.mime}, {page.size_bytes:,} bytes]",
        confidentiality=Confidentiality.PUBLIC,
        data=facts | {"figures": [figure]},
    )


class Facts:
    """A job's answer, taken by type: a claim of a process that may have been taken over."""

    def __init__(self, value: object) -> None:
        is_object = isinstance(value, dict)
        self.value = cast("dict[str, object]", value) if is_object else dict[str, object]()

    def text(self, name: str) -> str:
        value = self.value.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        value = self.value.get(name)
        return value if isinstance(value, int) else 0

    def texts(self, name: str) -> dict[str, str]:
        value = self.value.get(name)
        items = cast("dict[str, object]", value).items() if isinstance(value, dict) else ()
        return {key: text for key, text in items if isinstance(text, str)}

    def items(self, name: str) -> list["Facts"]:
        value = self.value.get(name)
        return (
            [Facts(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
        )

    def bytes(self, name: str) -> bytes:
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            return b""
