"""HTML in which a text can only ever be text: what is no `Markup` is escaped."""

from html import escape

from wardian.sanitise import visible

VOID = frozenset({"img", "input", "meta"})
TEXT_CHARS = 40_000
PAGE_CHARS = 8_000_000
TITLE_CHARS = 200
LOADS_NOTHING = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""A content policy: no script, and nothing from anywhere"""
SHORT_CHARS = 500
"""What is left of each text once the page holds as many as it should"""


class Markup(str):
    """HTML made by this module, or a constant of ours; never made of what a run recorded."""

    __slots__ = ()


def element(tag: str, /, *children: str, **attributes: str) -> Markup:
    """One element. Keywords are attributes: `class_` is class, `aria_label` is aria-label."""
    given = "".join(
        f' {key.strip("_").replace("_", "-")}="{escape(visible(value))}"'
        for key, value in attributes.items()
    )
    if tag in VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Markup as it is, everything else as text."""
    return Markup("".join(one if type(one) is Markup else escape(visible(one)) for one in children))


def document(title: str, body: Markup, *, style: str, policy: str = LOADS_NOTHING) -> str:
    """A whole page around what is in its `body`; `style` is CSS of ours."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title[:TITLE_CHARS]),
        element("style", Markup(style)),
    )
    return "<!doctype html>\n" + element("html", head, element("body", body), lang="en")


class Clipper:
    """Cuts long texts, and all of them more once a page has become large."""

    def __init__(self) -> None:
        self.spent = 0

    def cut(self, text: str) -> tuple[str, str]:
        """What is shown of a text, and a note about the rest; empty without one."""
        limit = TEXT_CHARS if self.spent < PAGE_CHARS else SHORT_CHARS
        shown = text[:limit]
        self.spent += len(shown)
        more = len(text) - len(shown)
        return shown, f"{more:,} more characters are in the trajectory" if more else ""
