"""Text that arrives in pieces, with secrets taken out however the pieces are cut."""

from collections.abc import Callable, Iterable

from wardian_policies.redaction.values import HeldBack, KnownValues, Span

Replacement = Callable[[str], str]
"""What stands in the place of the value so named."""


class StreamFilter:
    """Passes text on, but for an end that may be the beginning of a secret: that waits."""

    def __init__(self, known: KnownValues, held: HeldBack, replacement: Replacement) -> None:
        self._known = known
        self._held = held
        self._replacement = replacement
        self._waiting = ""

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        self._waiting += piece
        return self._let_go(self._held.cut(self._waiting))

    def finish(self) -> str:
        """What still waits, when nothing more comes."""
        return self._let_go(len(self._waiting))

    def _let_go(self, cut: int) -> str:
        spans = self._known.find(self._waiting)
        # A value that may yet turn out to be a longer one waits as a whole.
        cut = min([cut, *(span.start for span in spans if span.start < cut < span.end)])
        shown = cut_out(self._waiting[:cut], [s for s in spans if s.end <= cut], self._replacement)
        self._waiting = self._waiting[cut:]
        return shown


def cut_out(text: str, spans: Iterable[Span], replacement: Replacement) -> str:
    """The text with each span replaced; the same text where there are none."""
    spans = list(spans)
    if not spans:
        return text
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces += text[done : span.start], replacement(span.name)
        done = span.end
    return "".join([*pieces, text[done:]])
