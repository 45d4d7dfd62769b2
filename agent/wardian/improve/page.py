"""The page of a circle: success round by round and family by family, and what changed.

One HTML file that loads nothing and has no script; written anew after each stage.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from wardian.evals.page import EVAL_STYLE
from wardian.evals.plots import Series, Spot, lines
from wardian.improve.diary import LAST, Diary, Json
from wardian.improve.plan import Stage
from wardian.viewing.markup import Markup, document, element
from wardian.viewing.style import STYLE

NAME = "circle.html"
TASKS_NAMED = 40


def write_page(diary: Diary, ended: str = "") -> Path:
    """`circle.html` beside the diary."""
    path = diary.folder / NAME
    partial = path.with_suffix(".partial")
    partial.write_text(page(diary, ended), encoding="utf-8")
    partial.replace(path)
    return path


def page(diary: Diary, ended: str = "") -> str:
    plan = diary.plan
    title = f"{plan.suite}: {plan.start}, round by round"
    body = element(
        "main",
        element("p", f"wardian · circle {diary.id}", class_="over"),
        element("h1", title, class_="short"),
        element("dl", *_facts(diary), class_="facts"),
        *([element("p", f"It ended early: {ended}")] if ended else []),
        *_success(diary),
        *_rounds(diary),
        *_families(diary),
        *_changes(diary),
        *_last(diary),
        *_stages(diary),
        element("p", METHOD, class_="soft"),
    )
    return document(title, body, style=STYLE + EVAL_STYLE)


METHOD = (
    "Success is the mean share of attempts that pass, over tasks. A candidate becomes the next "
    "round's model where it does significantly better on held-out tasks (5 %, signs exchanged, "
    "paired by task) and has lost nothing on the guard. Deciding again and again by the same tasks "
    "favours who was lucky on them: the last figures are of tasks by which nothing was decided."
)


def done_rounds(diary: Diary) -> list[int]:
    """Numbers of rounds that have begun."""
    return sorted({entry.round for entry in diary.entries if entry.round != LAST})


def _facts(diary: Diary) -> Iterator[Markup]:
    plan = diary.plan
    facts = {
        "suite": plan.suite,
        "guard": plan.guard or "none",
        "begins with": plan.start,
        "methods": ", ".join(plan.methods),
        "attempts": f"{plan.attempts} to learn from, {plan.gate_attempts} to decide",
        "seed": str(plan.seed),
        "took": f"{diary.seconds:,.0f} s",
        "tokens of attempts": f"{diary.tokens:,}",
    }
    for name, value in facts.items():
        yield element("div", element("dt", name), element("dd", value))


def _success(diary: Diary) -> Iterator[Markup]:
    held, learned = list(_held_out(diary)), list(_learned_from(diary))
    if not held and not learned:
        return
    series = [Series("held-out tasks, candidate", held, 0)] if held else []
    if learned:
        series.append(Series("tasks learned from, before the round", learned, 1, is_dashed=True))
    yield element("h2", "Success by round")
    yield lines(series, label="success by round", x_label="round (0: before the first)")


def _held_out(diary: Diary) -> Iterator[Spot]:
    for number in done_rounds(diary):
        gate = diary.result(number, Stage.GATE)
        if gate is None:
            continue
        suite: Json = gate["suite"]
        if number == 0:
            yield Spot(0, suite["present"], suite["present"], suite["present"])
        base = suite["present"]
        low, high = base + suite["low"], base + suite["high"]
        yield Spot(number + 1, suite["candidate"], max(0.0, low), min(1.0, high))


def _learned_from(diary: Diary) -> Iterator[Spot]:
    for number in done_rounds(diary):
        collected = diary.result(number, Stage.COLLECT)
        if collected is not None:
            share = collected["success"]
            yield Spot(number, share, share, share)


def _rounds(diary: Diary) -> Iterator[Markup]:
    yield element("h2", "Rounds")
    heads = (
        *("round", "method", "attempts", "rows", "learned from"),
        *("present", "candidate", "p", "decision"),
    )
    rows = [_round(diary, number) for number in done_rounds(diary)]
    yield table(heads, rows, words=("method", "decision"))


def _round(diary: Diary, number: int) -> list[str]:
    collected = diary.result(number, Stage.COLLECT)
    built = diary.result(number, Stage.BUILD)
    gate = diary.result(number, Stage.GATE)
    cells = [
        str(number + 1),
        str(diary.plan.method(number)),
        str(collected["attempts"]) if collected else "",
        str(built["counts"].get("rows", "")) if built else "",
        share(collected["success"]) if collected else "",
    ]
    if gate is None:
        return [*cells, "", "", "", "under way"]
    suite: Json = gate["suite"]
    p = suite["p_better"] if suite["candidate"] >= suite["present"] else suite["p_worse"]
    return [*cells, share(suite["present"]), share(suite["candidate"]), f"{p:.2g}", gate["verdict"]]


def _families(diary: Diary) -> Iterator[Markup]:
    """Held-out success: before the first round, then of each round's candidate."""
    gates = [(n, gate) for n in done_rounds(diary) if (gate := diary.result(n, Stage.GATE))]
    if not gates:
        return
    columns: list[tuple[str, dict[str, float]]] = [("before", _by_family(gates[0][1], "present"))]
    columns += [(f"round {n + 1}", _by_family(gate, "candidate")) for n, gate in gates]
    names = sorted({name for _, found in columns for name in found})
    rows: list[list[str]] = [
        [name, *(heat(found[name]) if name in found else "" for _, found in columns)]
        for name in names
    ]
    yield element("h2", "By family, held out")
    yield table(("family", *(head for head, _ in columns)), rows)


def _by_family(gate: Json, who: str) -> dict[str, float]:
    return {family["name"]: family[who] for family in gate["suite"]["families"]}


def _changes(diary: Diary) -> Iterator[Markup]:
    yield element("h2", "What changed")
    for number in done_rounds(diary):
        yield element("h3", f"Round {number + 1}")
        gate = diary.result(number, Stage.GATE)
        trained = diary.result(number, Stage.TRAIN)
        scored = diary.result(number, Stage.SCORE)
        if scored is not None:
            endings = ", ".join(f"{n} {name}" for name, n in sorted(scored["endings"].items()))
            yield element("p", f"Attempts to learn from: {endings}.")
        if trained is not None:
            yield _training(diary, trained)
        if gate is not None:
            yield element("p", str(gate["reason"]))
            for word, key in (("Better on", "better"), ("Worse on", "worse")):
                if tasks := gate["suite"][key]:
                    yield element("p", f"{word} {len(tasks)}: {named(tasks)}")


def _training(diary: Diary, trained: Json) -> Markup:
    said = ", ".join(filter(None, (_fact(*one) for one in trained["facts"].items())))
    where = os.path.relpath(Path(trained["out"]) / "curves.html", diary.folder)
    curves = element("a", "its curves", href=where)
    return element("p", f"Training: {said or 'done'}; ", curves, ".")


def _fact(key: str, value: bool | float) -> str:
    """Empty for what did not happen."""
    name = key.replace("_", " ")
    if isinstance(value, bool):
        return name if value else ""
    return f"{name} {value:.4g}"


def _last(diary: Diary) -> Iterator[Markup]:
    last = diary.result(LAST, Stage.GATE)
    if last is None:
        return
    suite: Json = last["suite"]
    difference = suite["candidate"] - suite["present"]
    interval = f"{difference:+.1%} ({suite['low']:+.1%} to {suite['high']:+.1%})"
    yield element("h2", "First and last model, on tasks by which nothing was decided")
    yield table(
        ("", "tasks", "first", "last", "difference (95 %)", "p"),
        [
            [
                last["model"],
                str(suite["tasks"]),
                share(suite["present"]),
                share(suite["candidate"]),
                interval,
                f"{suite['p_better']:.2g}",
            ]
        ],
    )


def _stages(diary: Diary) -> Iterator[Markup]:
    rows = [
        [
            "last" if entry.round == LAST else str(entry.round + 1),
            entry.stage,
            f"{entry.seconds:,.1f}",
            f"{entry.tokens:,}" if entry.tokens else "",
            entry.at.replace("T", " ")[:19],
        ]
        for entry in diary.entries
    ]
    yield element("h2", "Stages")
    heads = ("round", "stage", "seconds", "tokens", "done (UTC)")
    yield table(heads, rows, words=("stage", "done (UTC)"))


def share(value: float) -> str:
    return f"{value:.1%}"


def heat(value: float) -> Markup:
    return element("td", share(value), class_="cell", style=f"--share: {value:.3f}")


def named(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - TASKS_NAMED} more" if len(tasks) > TASKS_NAMED else ""
    return ", ".join(tasks[:TASKS_NAMED]) + more


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[str] = ()
) -> Markup:
    """Cells that are cells already stay as they are. `words` are the heads of columns of text."""
    kinds = [{"class_": "words"} if head in words else {} for head in heads]

    def cell(text: str, kind: dict[str, str]) -> Markup:
        is_cell = type(text) is Markup and text.startswith("<td")
        return Markup(text) if is_cell else element("td", text, **kind)

    header = element(
        "tr", *(element("th", head, **kind) for head, kind in zip(heads, kinds, strict=True))
    )
    body = [element("tr", *map(cell, row, kinds)) for row in rows]
    made = element("table", element("thead", header), element("tbody", *body), class_="figures")
    return element("div", made, class_="wide")
