"""Plots of an evaluation, drawn as SVG by hand: they load nothing and scale with the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10

from wardian.viewing.markup import Markup, element, joined

WIDTH = 720
LABEL_WIDTH = 190
ROW_HEIGHT = 30
PLOT_HEIGHT = 260
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 12, 44
COLOURS = 6
"""Classes `s0` to `s5` of the style; further series begin again"""
LABEL_CHARS = 26


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of one series, with the bounds of its interval."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    spots: Sequence[Spot]
    colour: int
    is_dashed: bool = False


def dots(rows: Sequence[tuple[str, Mapping[str, float] | None]], label: str) -> Markup:
    """A share with its interval a row, on one scale from 0 to 1."""
    height = TOP + ROW_HEIGHT * len(rows) + BOTTOM - 10
    drawn: list[Markup] = []
    span = WIDTH - LABEL_WIDTH - 70

    def at(value: float) -> float:
        return LABEL_WIDTH + span * value

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(line(at(tick), TOP, at(tick), height - 28, "grid"))
        drawn.append(words(at(tick), height - 10, f"{tick:g}", "middle"))
    for number, (name, interval) in enumerate(rows):
        y = TOP + ROW_HEIGHT * (number + 0.5)
        drawn.append(words(LABEL_WIDTH - 12, y + 4, clipped(name), "end", "label"))
        if interval is None:
            drawn.append(words(at(0) + 6, y + 4, "nothing counts"))
            continue
        kind = f"s{number % COLOURS}"
        drawn.append(line(at(interval["low"]), y, at(interval["high"]), y, f"whisker {kind}"))
        drawn.append(spot(at(interval["value"]), y, 5, kind))
        drawn.append(words(WIDTH - 58, y + 4, f"{interval['value']:.2f}", "start", "label"))
    return svg(height, label, drawn)


def lines(series: Sequence[Series], *, label: str, x_label: str, log_x: bool = False) -> Markup:
    """Shares from 0 to 1 over a common axis, each with its band."""
    xs = [each.x for one in series for each in one.spots]
    if not xs:
        return Markup("")
    axis = Axis.over(xs, log_x=log_x)
    bottom = PLOT_HEIGHT - BOTTOM
    drawn: list[Markup] = []

    def up(value: float) -> float:
        return bottom - (bottom - TOP) * min(1.0, max(0.0, value))

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "grid"))
        drawn.append(words(LEFT - 8, up(tick) + 4, f"{tick:g}", "end"))
    for tick in axis.ticks(xs):
        drawn.append(line(axis.at(tick), bottom, axis.at(tick), bottom + 4, "grid"))
        drawn.append(words(axis.at(tick), bottom + 18, short(tick), "middle"))
    drawn.append(words((LEFT + WIDTH - RIGHT) / 2, PLOT_HEIGHT - 6, x_label, "middle"))
    for one in series:
        kind = f"s{one.colour % COLOURS}"
        path = [(axis.at(each.x), up(each.y)) for each in one.spots]
        band = [
            *((axis.at(each.x), up(each.high)) for each in one.spots),
            *((axis.at(each.x), up(each.low)) for each in reversed(one.spots)),
        ]
        if not one.is_dashed:
            drawn.append(element("polygon", points=points(band), class_=f"band {kind}"))
        dashed = " dashed" if one.is_dashed else ""
        drawn.append(element("polyline", points=points(path), class_=f"curve {kind}{dashed}"))
        drawn += [spot(x, y, 3, kind) for x, y in path]
    return joined(svg(PLOT_HEIGHT, label, drawn), legend(series))


def stacks(rows: Sequence[tuple[str, Mapping[str, int]]], label: str) -> Markup:
    """Counts of each kind as shares of a row, in the order of `KINDS`."""
    height = TOP + ROW_HEIGHT * len(rows) + 4
    drawn: list[Markup] = []
    span = WIDTH - LABEL_WIDTH - RIGHT
    for number, (name, counts) in enumerate(rows):
        y, x, every = TOP + ROW_HEIGHT * number, float(LABEL_WIDTH), sum(counts.values()) or 1
        drawn.append(words(LABEL_WIDTH - 12, y + 17, clipped(name), "end", "label"))
        for kind in KINDS:
            if count := counts.get(kind, 0):
                wide = span * count / every
                title = element("title", f"{kind}: {count}")
                place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{wide:.1f}", "height": "22"}
                drawn.append(element("rect", title, class_=f"k-{kind}", **place))
                if wide > 26:
                    drawn.append(words(x + wide / 2, y + 16, str(count), "middle", "inside"))
                x += wide
    seen = [kind for kind in KINDS if any(counts.get(kind) for _, counts in rows)]
    keys = [joined(key(f"k-{kind}"), kind) for kind in seen]
    return joined(svg(height, label, drawn), element("p", *keys, class_="soft"))


KINDS = (
    "passed",
    "wrong",
    "tampered",
    "limit",
    "malformed",
    "approval",
    "context",
    "error",
)


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places along the width."""

    low: float
    high: float
    log_x: bool

    @classmethod
    def over(cls, xs: Sequence[float], *, log_x: bool) -> "Axis":
        log_x = log_x and min(xs) > 0
        low, high = (log10(min(xs)), log10(max(xs))) if log_x else (min(xs), max(xs))
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        return cls(low, high, log_x)

    def at(self, x: float) -> float:
        value = log10(x) if self.log_x else x
        return LEFT + 14 + (WIDTH - LEFT - RIGHT - 28) * (value - self.low) / (self.high - self.low)

    def ticks(self, xs: Sequence[float]) -> list[float]:
        """Places where something was measured, no two too near each other."""
        found: list[float] = []
        for x in sorted(set(xs)):
            if not found or self.at(x) - self.at(found[-1]) > 40:
                found.append(x)
        return found


def svg(height: float, label: str, drawn: Sequence[Markup]) -> Markup:
    return element(
        "svg",
        element("title", label),
        *drawn,
        viewBox=f"0 0 {WIDTH} {ceil(height)}",
        role="img",
        class_="plot",
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", class_=kind, **{name: f"{value:.1f}" for name, value in ends.items()})


def spot(x: float, y: float, radius: float, kind: str) -> Markup:
    return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=str(radius), class_=f"spot {kind}")


def words(x: float, y: float, text: str, anchor: str = "start", kind: str = "tick") -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind)


def points(path: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in path)


def legend(series: Sequence[Series]) -> Markup:
    keys = [
        joined(key(f"s{one.colour % COLOURS}{' dashed' if one.is_dashed else ''}"), one.name)
        for one in series
    ]
    return element("p", *keys, class_="soft")


def key(kind: str) -> Markup:
    return element("span", class_=f"key {kind}")


def clipped(name: str) -> str:
    return name if len(name) <= LABEL_CHARS else "…" + name[1 - LABEL_CHARS :]


def short(value: float) -> str:
    """`1.2k`"""
    if value >= 1_000_000:
        return f"{value / 1_000_000:.3g}M"
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.3g}"
