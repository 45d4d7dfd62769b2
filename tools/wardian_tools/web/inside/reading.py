"""A body as text: HTML as Markdown, PDF page by page, JSON and plain text as they are."""

import base64
import importlib
import io
import json
import logging
import re
from dataclasses import dataclass
from typing import Any

from wardian_sandbox.kinds import SIGNS
from wardian_tools.web.inside.charset import decoded, is_wide
from wardian_tools.web.inside.getting import Answer, Unreadable

MAX_TEXT_CHARS = 2_000_000
MAX_IMAGE_BYTES = 4 << 20
MAX_PAGES = 1000
TEXTUAL = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|toml|javascript|ecmascript|x-sh|sql"
    r"|x-ndjson|rtf|graphql|atom|rss)"
)
HTML = ("text/html", "application/xhtml+xml")
HTML_SIGN = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title)\b", re.IGNORECASE | re.DOTALL
)
NEEDS_WEB = "Reading {} needs an extra. Install it with: pip install 'wardian[web]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A body, read."""

    kind: str
    """html, pdf, text, image"""
    mime: str
    text: str = ""
    is_whole: bool = True
    """Is all of its text here?"""
    title: str = ""
    image: str = ""
    """base64"""


def read(answer: Answer, url: str) -> Page:
    """Raises: Unreadable."""
    declared = answer.headers.get("content-type", "")
    mime = declared.partition(";")[0].strip().lower()
    signed = next((kind for sign, kind in SIGNS if answer.body.startswith(sign)), "")
    if answer.body[:4] == b"RIFF" and answer.body[8:12] == b"WEBP":
        signed = "image/webp"
    if signed == "application/pdf" or (mime == "application/pdf" and not signed):
        return _pdf(answer)
    if signed.startswith("image/"):
        return _image(answer, signed)
    if signed or (b"\0" in answer.body[:1024] and not is_wide(answer.body, declared)):
        size = f"{len(answer.body):,} bytes" + ("" if answer.is_whole else " and more")
        sentence = f"This is {signed or mime or 'binary data'}, {size}: nothing to read as text."
        raise Unreadable("binary", sentence)
    text, _ = decoded(answer.body, declared)
    if mime in HTML or _is_html(answer.body, mime):
        return _html(text, url, mime or "text/html")
    return _page("text", mime or "text/plain", _laid_out(text, mime))


def _page(kind: str, mime: str, text: str, title: str = "", *, is_whole: bool = True) -> Page:
    is_whole = is_whole and len(text) <= MAX_TEXT_CHARS
    kept = text[:MAX_TEXT_CHARS]
    return Page(kind=kind, mime=mime, text=kept, is_whole=is_whole, title=title[:300])


def _is_html(body: bytes, mime: str) -> bool:
    """Does it look so, where its type does not say that it is something else?"""
    is_open = mime == "text/plain" or not TEXTUAL.fullmatch(mime)
    return is_open and HTML_SIGN.match(body[:4096]) is not None


def _laid_out(text: str, mime: str) -> str:
    """JSON on lines, where it is JSON."""
    if not mime.endswith("json"):
        return text
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _html(text: str, url: str, mime: str) -> Page:
    try:
        import trafilatura

        # lxml has no types.
        lxml: Any = importlib.import_module("lxml.html")
        errors: Any = importlib.import_module("lxml.etree")
    except ImportError as problem:
        raise Unreadable("extra_missing", NEEDS_WEB.format("HTML")) from problem
    logging.disable()
    # As bytes: text that declares an encoding of its own is refused.
    parser = lxml.HTMLParser(
        encoding="utf-8", remove_comments=True, no_network=True, huge_tree=True
    )
    try:
        tree = lxml.fromstring(text.encode("utf-8", "replace"), parser=parser)
    except errors.ParserError:  # nothing in it, or only comments
        return _page("html", mime, "")
    title = " ".join(str(tree.findtext(".//title") or "").split())
    extracted = trafilatura.extract(
        tree,
        url=url,
        output_format="markdown",
        include_links=True,
        include_tables=True,
        include_comments=True,
        include_formatting=True,
        favor_recall=True,
    )
    shown: str = extracted or trafilatura.html2txt(text) or ""
    return _page("html", mime, shown, title)


def _pdf(answer: Answer) -> Page:
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ImportError as problem:
        raise Unreadable("extra_missing", NEEDS_WEB.format("PDF")) from problem
    if not answer.is_whole:
        raise Unreadable("too_large", f"The PDF is larger than {len(answer.body):,} bytes.")
    logging.disable()
    parts: list[str] = []
    is_whole = True
    try:
        reader = pypdf.PdfReader(io.BytesIO(answer.body))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted", "The PDF is encrypted and wants a password.")
        title = str((reader.metadata and reader.metadata.title) or "")
        for number, page in enumerate(reader.pages, 1):
            parts.append(f"[page {number} of {len(reader.pages)}]\n{page.extract_text()}")
            if number == MAX_PAGES or sum(map(len, parts)) > MAX_TEXT_CHARS:
                is_whole = number == len(reader.pages)
                break
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
        raise Unreadable("damaged", "The PDF is damaged and cannot be read.") from problem
    return _page("pdf", "application/pdf", "\n\n".join(parts), title, is_whole=is_whole)


def _image(answer: Answer, mime: str) -> Page:
    if not answer.is_whole or len(answer.body) > MAX_IMAGE_BYTES:
        raise Unreadable("too_large", f"The image is larger than {MAX_IMAGE_BYTES:,} bytes.")
    return Page(kind="image", mime=mime, image=base64.b64encode(answer.body).decode())
