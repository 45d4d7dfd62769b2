"""Where a run's time and tokens went: a row for each step, drawn in SVG."""

from collections.abc import Sequence

from wardian.viewing.markup import Markup, element, joined
from wardian.viewing.steps import Step

KEY = Markup(
    '<p class="soft"><svg class="key"><rect class="m" width="100%" height="100%"/></svg>model'
    '<svg class="key"><rect class="t" width="100%" height="100%"/></svg>calls'
    '<svg class="key"><rect class="c" width="100%" height="100%"/></svg>cached'
    '<svg class="key"><rect class="p" width="100%" height="100%"/></svg>prompt'
    '<svg class="key"><rect class="o" width="100%" height="100%"/></svg>completion</p>'
)
HEADS = ("step", "time", "s", "tokens", "")


def waterfall(steps: Sequence[Step]) -> Markup:
    """The steps' times one after the other, and their tokens beside them."""
    total = sum(step.model_seconds + step.calls_seconds for step in steps) or 1.0
    most = max((step.usage.total_tokens for step in steps), default=0) or 1
    rows: list[Markup] = []
    begun = 0.0
    for step in steps:
        rows.append(row(step, begun / total, total, most))
        begun += step.model_seconds + step.calls_seconds
    header = element("tr", *(element("th", head) for head in HEADS))
    table = element("table", element("thead", header), element("tbody", *rows))
    return joined(element("h3", "Time and tokens"), KEY, element("div", table, class_="scroll"))


def row(step: Step, begun: float, total: float, most: int) -> Markup:
    seconds, usage = step.model_seconds + step.calls_seconds, step.usage
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    time = [("", begun), ("m", step.model_seconds / total), ("t", step.calls_seconds / total)]
    tokens = [
        ("c", cached / most),
        ("p", (usage.prompt_tokens - cached) / most),
        ("o", usage.completion_tokens / most),
    ]
    return element(
        "tr",
        element("td", element("a", str(step.number), href=f"#step-{step.number}"), class_="n"),
        element("td", bar(time), class_="wide"),
        element("td", f"{seconds:.2f}", class_="n"),
        element("td", bar(tokens), class_="wide"),
        element("td", f"{usage.prompt_tokens:,} + {usage.completion_tokens:,}", class_="n"),
    )


def bar(pieces: Sequence[tuple[str, float]]) -> Markup:
    """Lengths of the whole width, one behind the other; one without a class is a gap."""
    drawn: list[Markup] = []
    begun = 0.0
    for kind, length in pieces:
        if kind and length > 0:
            place = {"x": f"{100 * begun:.3f}%", "width": f"{100 * max(length, 0.002):.3f}%"}
            drawn.append(element("rect", class_=kind, height="100%", **place))
        begun += length
    return element("svg", *drawn, aria_hidden="true")
