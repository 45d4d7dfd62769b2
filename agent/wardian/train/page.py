"""The page of a training: each measure as a curve, drawn by ourselves. No script, no network."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardian.train.measures import read_metrics, series
from wardian.viewing.markup import Markup, document, element, joined
from wardian.viewing.style import STYLE

PAGE_FILE = "curves.html"
PLOTS: Sequence[tuple[str, Sequence[str]]] = (
    ("Success on dev tasks", ("dev_success",)),
    ("Reward", ("reward", "success")),
    ("Loss", ("loss", "dev_loss")),
    ("Preferred the better reply", ("preferred", "dev_preferred")),
    ("Rewards of replies", ("reward_chosen", "reward_rejected", "margin")),
    ("Divergence from the base model", ("kl",)),
    ("Entropy", ("entropy",)),
    ("Sampled tokens to an attempt", ("tokens_mean", "tokens_max")),
    ("Groups that differ", ("groups_used",)),
    ("Clipped tokens", ("clipped",)),
    ("Token accuracy", ("token_accuracy", "dev_token_accuracy")),
    ("Engine and trainer disagree by (log probability)", ("mismatch",)),
    ("Gradient norm", ("grad_norm",)),
    ("Learning rate", ("learning_rate",)),
)
"""Title → measures drawn together; what was not measured is not drawn."""
COLOURS = ("var(--accent)", "var(--bad)", "var(--good)")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 200, 60, 24, 10
MAX_POINTS = 400
OWN_STYLE = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem .9rem; margin: 0; }
figure svg { height: auto; } text { font: 11px system-ui, sans-serif; fill: var(--soft); }
main { max-width: 76rem; }
"""
Curve = list[tuple[int, float]]


def write_page(out: Path, result: Mapping[str, Any]) -> Path:
    """Write `curves.html` from the metrics and what is known of the training."""
    rows = read_metrics(out)
    plots = [
        plot(title, {name: found for name in names if (found := series(rows, name))})
        for title, names in PLOTS
        if any(series(rows, name) for name in names)
    ]
    method = str(result.get("method", ""))
    body = element(
        "main",
        element("p", "wardian · training", class_="over"),
        element("h1", f"{method.upper()} of {result.get('base', '')}"),
        _facts(result),
        element("h3", "On the way"),
        element("div", *plots, class_="plots") if plots else element("p", "Nothing was measured."),
        element("h3", "Recipe"),
        element("pre", json.dumps(result.get("recipe", {}), indent=2)),
    )
    page = document(f"Training: {method}", body, style=STYLE + OWN_STYLE)
    path = out / PAGE_FILE
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _facts(result: Mapping[str, Any]) -> Markup:
    shown = {
        name.replace("_", " "): _shown(value)
        for name, value in result.items()
        if isinstance(value, int | float | str | bool)
        and name not in ("recipe_sha256", "base_folder")
    }
    pairs = [
        element("div", element("dt", name), element("dd", value)) for name, value in shown.items()
    ]
    return element("dl", *pairs, class_="facts")


def _shown(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.4g}"


def plot(title: str, curves: Mapping[str, Curve]) -> Markup:
    """One picture: curves over steps, with the ends of both axes named."""
    thin = {name: thinned(curve) for name, curve in curves.items()}
    points = [point for curve in thin.values() for point in curve]
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _range([y for _, y in points])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low)
        return (
            LEFT + across * (WIDTH - LEFT - 10),
            HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP),
        )

    drawn = [
        _line(name, curve, COLOURS[place % 3], at)
        for place, (name, curve) in enumerate(thin.items())
    ]
    axis = _axis(low, high, first, last, at)
    legend = [
        element(
            "span",
            f"— {name.replace('_', ' ')}  {curve[-1][1]:.4g}  ",
            style=f"color: {COLOURS[place % 3]}",
        )
        for place, (name, curve) in enumerate(thin.items())
    ]
    picture = element(
        "svg", *axis, *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title
    )
    return element("figure", element("h2", title), picture, element("figcaption", *legend))


def thinned(curve: Curve) -> Curve:
    """At most `MAX_POINTS`, each the mean of its neighbours, the last one as it is."""
    if len(curve) <= MAX_POINTS:
        return curve
    size = -(-len(curve) // MAX_POINTS)
    parts = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    made = [(part[len(part) // 2][0], sum(y for _, y in part) / len(part)) for part in parts]
    return [*made[:-1], curve[-1]]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high > low:
        return low, high
    around = abs(low) * 0.1 or 1.0
    return low - around, high + around


def _line(name: str, curve: Curve, colour: str, at: Any) -> Markup:
    points = [at(x, y) for x, y in curve]
    if len(points) == 1:
        x, y = points[0]
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3", fill=colour)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    attributes = {"points": path, "fill": "none", "stroke": colour, "stroke-width": "1.6"}
    return element("polyline", element("title", name), **attributes)


def _axis(low: float, high: float, first: int, last: int, at: Any) -> list[Markup]:
    made: list[Markup] = []
    for value in (low, (low + high) / 2, high):
        _, y = at(first, value)
        made.append(
            element(
                "line",
                x1=str(LEFT),
                x2=str(WIDTH - 10),
                y1=f"{y:.1f}",
                y2=f"{y:.1f}",
                stroke="var(--line)",
            )
        )
        made.append(
            element(
                "text", joined(f"{value:.3g}"), x=str(LEFT - 6), y=f"{y + 4:.1f}", text_anchor="end"
            )
        )
    for step, anchor in ((first, "start"), (last, "end")) if last > first else ((first, "middle"),):
        x, _ = at(step, low)
        made.append(
            element("text", f"step {step}", x=f"{x:.1f}", y=str(HEIGHT - 6), text_anchor=anchor)
        )
    return made
