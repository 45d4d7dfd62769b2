"""A report of an evaluation as one HTML page that loads nothing and has no script."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wardian.evals.plots import Series, Spot, dots, lines, stacks
from wardian.evals.report import scaling_words
from wardian.viewing.markup import Markup, document, element
from wardian.viewing.style import STYLE

EVAL_STYLE = """
:root { --s0: #2f5fb3; --s1: #c8641b; --s2: #2b8a5a; --s3: #8a4fb0; --s4: #a8842a; --s5: #2a8ba8; }
@media (prefers-color-scheme: dark) { :root { --s0: #86aef0; --s1: #eb9a5e; --s2: #6cc990;
  --s3: #c398e0; --s4: #d8b85e; --s5: #6fc4de; } }
main { max-width: 56rem; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .6rem; }
svg.plot { height: auto; max-width: 46rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg text.label { fill: var(--ink); font-size: 13px; }
svg text.inside { fill: #fff; font-size: 12px; }
.grid { stroke: var(--line); stroke-width: 1; }
.whisker { stroke-width: 2.5; opacity: .55; }
.curve { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 5 4; }
.band { opacity: .13; stroke: none; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.whisker, .curve { stroke: var(--c); } .spot, .band { fill: var(--c); }
span.key { background: var(--c); border-radius: .15rem; }
span.key.dashed { background:
  repeating-linear-gradient(90deg, var(--c) 0 .2rem, #0000 .2rem .3rem); }
.k-passed { --c: #2b8a5a; } .k-wrong { --c: #b3362c; } .k-tampered { --c: #7a1f5c; }
.k-limit { --c: #a8842a; } .k-malformed { --c: #8a4fb0; } .k-approval { --c: #2a7f9b; }
.k-context { --c: #666c76; } .k-error { --c: #3c4048; }
rect[class^="k-"] { fill: var(--c); }
table.figures { margin: .4rem 0 1rem; } table.figures td, table.figures th { padding: .25rem .9rem
  .25rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
table.figures td:first-child, table.figures th:first-child { text-align: left; }
table.figures .words { text-align: left; white-space: normal; }
td.cell { --share: 0; background: color-mix(in srgb, var(--good) calc(var(--share) * 45%), #0000); }
.wide { overflow-x: auto; }
"""
Json = Mapping[str, Any]


def page(report: Json) -> str:
    """The page of `wardian.evals.report.report`."""
    models: Sequence[Json] = report["models"]
    suite = report["suite"]
    title = f"{suite['name']}: {', '.join(one['name'] for one in models)}"
    begun = report["started"][:16].replace("T", " ")
    body = element(
        "main",
        element("p", f"evaluation {report['id']} · {begun} UTC", class_="over"),
        element("h1", title, class_="short"),
        element("dl", *_facts(report), class_="facts"),
        *_accuracy(report),
        *_attempts(models),
        *_families(models),
        *_comparisons(report["comparisons"]),
        *_tasks(report),
        *_noted(models),
        element("p", METHOD, class_="soft"),
    )
    return document(title, body, style=STYLE + EVAL_STYLE)


METHOD = (
    "Intervals are 95 %, with tasks as trials: Wilson's score interval of shares, resampled tasks "
    "for differences. pass@k is the chance that one of k attempts passes (Chen et al. 2021), "
    "pass^k that all of them do (Yao et al. 2024), both unbiased. Differences are tested by "
    "exchanging signs, paired by task. Errors count neither way."
)


def _facts(report: Json) -> Iterator[Markup]:
    suite, scaling = report["suite"], report["scaling"]
    yield _fact("suite", f"{suite['name']} {suite['version']}, {suite['tasks']} tasks")
    yield _fact("digest", str(suite["digest"])[:12])
    yield _fact("attempts", f"{report['attempts']} each")
    if scaling:
        yield _fact("an attempt is", scaling_words(scaling))
    yield _fact("done", f"{report['done']} of {report['planned']}")
    yield _fact("seed", "none" if report["seed"] is None else str(report["seed"]))
    yield _fact("Wardian", str(report["wardian_version"]))


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def _accuracy(report: Json) -> Iterator[Markup]:
    models: Sequence[Json] = report["models"]
    yield element("h2", "Attempts that pass")
    yield dots([(one["name"], one["pass_at"].get("1")) for one in models], "pass@1 by model")
    yield _table(
        ["model", "pass@1", "steps", "tokens", "seconds", "cost"],
        [
            [
                one["name"],
                _share(one["pass_at"].get("1")),
                _mean(one["steps"], ".1f"),
                _mean(one["tokens"], ",.0f"),
                _mean(one["seconds"], ".1f"),
                f"${one['cost_usd']['total']:.4f}" if one["cost_usd"] else "not known",
            ]
            for one in models
        ],
    )
    if report["attempts"] > 1:
        yield element("h2", "One of k, and all of k")
        yield lines(list(_by_k(models)), label="pass@k and pass^k", x_label="k")
        yield element("h2", "Accuracy against compute")
        yield lines(
            list(_by_compute(models)),
            label="accuracy against tokens for N attempts",
            x_label="tokens for one task (logarithmic)",
            log_x=True,
        )


def _by_k(models: Sequence[Json]) -> Iterator[Series]:
    for number, one in enumerate(models):
        for key, name, is_dashed in (("pass_at", "pass@k", False), ("pass_hat", "pass^k", True)):
            spots = [
                Spot(int(k), interval["value"], interval["low"], interval["high"])
                for k, interval in one[key].items()
                if interval
            ]
            yield Series(f"{one['name']}, {name}", spots, number, is_dashed)


def _by_compute(models: Sequence[Json]) -> Iterator[Series]:
    for number, one in enumerate(models):
        for key, name, is_dashed in (("any", "best of N", False), ("vote", "vote of N", True)):
            spots = [
                Spot(
                    max(1.0, point["tokens"]),
                    point[key]["value"],
                    point[key]["low"],
                    point[key]["high"],
                )
                for point in one["curve"]
            ]
            yield Series(f"{one['name']}, {name}", spots, number, is_dashed)


def _attempts(models: Sequence[Json]) -> Iterator[Markup]:
    yield element("h2", "How attempts ended")
    yield stacks([(one["name"], one["endings"]) for one in models], "endings by model")


def _families(models: Sequence[Json]) -> Iterator[Markup]:
    names = sorted({family["family"] for one in models for family in one["families"]})
    by_model = [{family["family"]: family for family in one["families"]} for one in models]
    yield element("h2", "By family")
    rows: list[list[str]] = []
    for name in names:
        cells: list[str] = [
            name,
            str(max(found[name]["tasks"] for found in by_model if name in found)),
        ]
        for found in by_model:
            figures: Json = found.get(name, {})
            interval = figures.get("pass_at", {}).get("1")
            cells.append(_cell(interval) if interval else Markup(""))
        rows.append(cells)
    yield _table(["family", "tasks", *(one["name"] for one in models)], rows)
    for one in models:
        if len(one["families"]) > 1:
            pairs = [(each["family"], each["endings"]) for each in one["families"]]
            yield element("h3", f"Endings by family: {one['name']}")
            yield stacks(pairs, f"endings by family of {one['name']}")


def _cell(interval: Json) -> Markup:
    return element("td", _share(interval), class_="cell", style=f"--share: {interval['value']:.3f}")


def _comparisons(comparisons: Sequence[Json]) -> Iterator[Markup]:
    if not comparisons:
        return
    yield element("h2", "Compared, task by task")
    yield _table(
        ["", "difference", "95 %", "p", "p (Holm)", "better on", "worse on"],
        [
            [
                f"{one['second']} against {one['first']}",
                f"{one['difference']:+.3f}",
                f"{one['low']:+.3f} … {one['high']:+.3f}",
                f"{one['p_value']:.3g}",
                f"{one['p_adjusted']:.3g}",
                str(len(one["better"])),
                str(len(one["worse"])),
            ]
            for one in comparisons
        ],
    )


def _tasks(report: Json) -> Iterator[Markup]:
    names = [one["name"] for one in report["models"]]
    rows: list[list[str]] = []
    for row in report["tasks"]:
        cells: list[str] = [row["task"]]
        for name in names:
            mine = row["models"].get(name)
            share = mine["passed"] / mine["attempts"] if mine and mine["attempts"] else 0.0
            said = f"{mine['passed']}/{mine['attempts']}" if mine else ""
            title = ", ".join(mine["endings"][:32]) if mine else ""
            style = f"--share: {share:.3f}"
            cells.append(element("td", said, class_="cell", style=style, title=title))
        rows.append(cells)
    table = _table(["task", *names], rows)
    summary = element("summary", f"every task ({len(rows)})")
    yield element("h2", "Tasks")
    yield element("details", summary, table)


def _noted(models: Sequence[Json]) -> Iterator[Markup]:
    for key, head in (("suspicious", "Passes to look at"), ("errors", "Errors")):
        rows = [
            [model["name"], each["task"], each["run_id"], " ".join(each["why"])]
            for model in models
            for each in model[key]
        ]
        if rows:
            yield element("h2", f"{head} ({len(rows)})")
            yield _table(["model", "task", "run", "why"], rows, words=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> Markup:
    """Cells that are elements already stay as they are."""

    def cell(text: str) -> Markup:
        if type(text) is Markup and text.startswith("<td"):
            return text
        return element("td", text, class_="words") if words else element("td", text)

    header = element("tr", *(element("th", head) for head in heads))
    body = [element("tr", *(cell(text) for text in row)) for row in rows]
    table = element("table", element("thead", header), element("tbody", *body), class_="figures")
    return element("div", table, class_="wide")


def _share(interval: Json | None) -> str:
    if not interval:
        return "nothing counts"
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def _mean(spread: Json | None, form: str) -> str:
    return format(spread["mean"], form) if spread else ""
