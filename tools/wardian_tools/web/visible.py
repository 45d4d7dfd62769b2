"""Text of the web as a model and a person get it: nothing in it that neither of them sees.

Covers: control and escape characters; what reverses or hides text on a screen and is read by a
model all the same (bidirectional controls, zero-width spaces, tag characters).
Does not cover: what the text says. It is labelled untrusted, and what follows from that is the
policy's to say.
"""

import re

INVISIBLE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u00ad\u061c\u200b\u200e\u200f\u2060-\u2064\ufeff\u180e"  # marks without a width
    "\u202a-\u202e\u2066-\u206f"  # bidirectional controls
    "\ufff9-\ufffb\U000e0000-\U000e0fff"  # annotations, tags, variation selectors beyond emoji
    "\ud800-\udfff]"
)
"""Joiners (U+200C, U+200D) stay: whole scripts need them. Source: Unicode 16, 23.2 to 23.9."""
BLANK_LINES = r"\n[ \t]*\n(?:[ \t]*\n)+"


def visible_text(text: str) -> str:
    """The text, its line ends as one line feed, without what cannot be seen."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    # Compiled when first used, not at each start of the program.
    return re.sub(BLANK_LINES, "\n\n", re.sub(INVISIBLE, "", text)).strip()


def one_line(text: str, most: int) -> str:
    """The same on one line of at most `most` characters."""
    text = " ".join(visible_text(text).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
