"""A report of an evaluation as text: tables on stdout."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from wardian.cli.closing import counted
from wardian.cli.listing import print_table
from wardian.cli.sanitise import one_line, visible
from wardian.cli.terminal import Terminal, write
from wardian.evals.report import scaling_words

NAME_CHARS = 40
LISTED = 10
Json = Mapping[str, Any]


def print_report(report: Json, screen: Terminal, *, tasks: bool = False) -> None:
    """What was measured, of each model, by family, compared, and what to look at."""
    suite = report["suite"]
    said = [
        f"suite {suite['name']} {suite['version']} ({suite['digest'][:8]})",
        counted(suite["tasks"], "task"),
        f"{counted(report['attempts'], 'attempt')} each",
        f"{report['done']} of {report['planned']} done",
        f"evaluation {report['id']}",
    ]
    if scaling := report["scaling"]:
        said.insert(3, scaling_words(scaling))
    say(screen.text(" · ", ", ").join(said))
    _models(report, screen)
    _endings(report["models"])
    _families(report["models"], screen)
    _curves(report["models"], screen)
    for comparison in report["comparisons"]:
        say("")
        for line in comparison_lines(comparison, screen):
            say(line)
    if tasks:
        _tasks(report)
    for name in ("suspicious", "errors"):
        _listed(report["models"], name)


def say(line: str) -> None:
    write(sys.stdout, visible(line) + "\n")


def _models(report: Json, screen: Terminal) -> None:
    most = str(max((int(k) for one in report["models"] for k in one["pass_at"]), default=1))
    heads = ["MODEL", "PASS@1"]
    if most != "1":
        heads += [f"PASS@{most}", f"PASS^{most}"]
    heads += ["STEPS", "TOKENS", "SECONDS", "COST"]
    rows: list[list[str]] = []
    for one in report["models"]:
        row = [one_line(one["name"], NAME_CHARS), share(one["pass_at"].get("1"), screen)]
        if most != "1":
            row += [share(one["pass_at"].get(most), screen)]
            row += [share(one["pass_hat"].get(most), screen)]
        row += [mean(one["steps"], ".1f"), mean(one["tokens"], ",.0f"), mean(one["seconds"], ".1f")]
        row += [total(one["cost_usd"])]
        rows.append(row)
    say("")
    print_table(heads, rows, "")


def _endings(models: Sequence[Json]) -> None:
    rows = [
        [
            one_line(one["name"], NAME_CHARS),
            ", ".join(f"{n} {k}" for k, n in one["endings"].items()),
        ]
        for one in models
    ]
    say("")
    print_table(["MODEL", "ATTEMPTS ENDED"], rows, "")


def _families(models: Sequence[Json], screen: Terminal) -> None:
    names = sorted({family["family"] for one in models for family in one["families"]})
    if len(names) < 2:
        return
    by_model = [{family["family"]: family for family in one["families"]} for one in models]
    rows = [
        [
            one_line(name, NAME_CHARS),
            str(max(found[name]["tasks"] if name in found else 0 for found in by_model)),
            *(share(found.get(name, {}).get("pass_at", {}).get("1"), screen) for found in by_model),
            " | ".join(failures_of(found[name]) for found in by_model if name in found),
        ]
        for name in names
    ]
    heads = [
        f"PASS@1 {one_line(one['name'], 20)}" if len(models) > 1 else "PASS@1" for one in models
    ]
    say("")
    print_table(["FAMILY", "TASKS", *heads, "NOT PASSED"], rows, "")


def failures_of(figures: Json) -> str:
    """How often each way to fail came about in a family, for one model."""
    failed = {kind: count for kind, count in figures["endings"].items() if kind != "passed"}
    return " ".join(f"{count} {kind}" for kind, count in failed.items()) or "-"


def _curves(models: Sequence[Json], screen: Terminal) -> None:
    """What more attempts would buy, where there were several."""
    rows = [
        [
            one_line(one["name"], NAME_CHARS),
            str(point["attempts"]),
            share(point["any"], screen),
            share(point["vote"], screen),
            f"{point['tokens']:,.0f}",
            f"{point['seconds']:.1f}",
        ]
        for one in models
        for point in one["curve"]
        if len(one["curve"]) > 1
    ]
    if rows:
        say("")
        print_table(["MODEL", "N", "BEST OF N", "VOTE OF N", "TOKENS", "SECONDS"], rows, "")


def comparison_lines(comparison: Json, screen: Terminal) -> list[str]:
    """Which of two is better, and how sure that is."""
    first, second = (one_line(comparison[side], NAME_CHARS) for side in ("first", "second"))
    low, high = comparison["low"], comparison["high"]
    to = screen.text(" … ", " to ")
    p = comparison["p_value"]
    holm = comparison.get("p_adjusted", p)
    together = f", {holm:.3g} with Holm's correction" if abs(holm - p) > 1e-12 else ""
    verdict = "significant" if holm < 0.05 else "not significant"
    bounds = f"({low:+.3f}{to}{high:+.3f})"
    tasks = counted(comparison["tasks"], "task")
    better, worse = comparison["better"], comparison["worse"]
    return [
        f"{second} against {first}: {comparison['difference']:+.3f} {bounds}",
        f"  {verdict}: p = {p:.3g}{together} (paired permutation test over {tasks})",
        f"  better on {len(better)}, worse on {len(worse)}",
        *_few("  better on", better),
        *_few("  worse on", worse),
    ]


def _few(what: str, tasks: Sequence[str]) -> list[str]:
    if not tasks:
        return []
    more = f" and {len(tasks) - LISTED} more" if len(tasks) > LISTED else ""
    return [f"{what}: {', '.join(one_line(task, 60) for task in tasks[:LISTED])}{more}"]


def _tasks(report: Json) -> None:
    names = [one["name"] for one in report["models"]]
    rows = [
        [one_line(row["task"], 60), *(_count(row["models"].get(name)) for name in names)]
        for row in report["tasks"]
    ]
    say("")
    print_table(["TASK", *(one_line(name, 20) for name in names)], rows, "")


def _count(mine: Json | None) -> str:
    return f"{mine['passed']}/{mine['attempts']}" if mine else "-"


def _listed(models: Sequence[Json], name: str) -> None:
    """Passes to be looked at, or errors."""
    heads = {"suspicious": "look at these passes:", "errors": "errors, which count neither way:"}
    lines = [
        f"  {one_line(model['name'], 20)} {one_line(each['task'], 60)} {each['run_id']}:"
        f" {one_line(' '.join(each['why']), 200)}"
        for model in models
        for each in model[name]
    ]
    if lines:
        say("")
        say(heads[name])
        for line in lines[:LISTED]:
            say(line)
        if len(lines) > LISTED:
            say(f"  and {len(lines) - LISTED} more")


def share(interval: Json | None, screen: Terminal) -> str:
    """`0.62 (0.50-0.73)`"""
    if not interval:
        return "-"
    dash = screen.text("–", "-")  # noqa: RUF001 - an en dash between two numbers is meant
    return f"{interval['value']:.2f} ({interval['low']:.2f}{dash}{interval['high']:.2f})"


def mean(spread: Json | None, form: str) -> str:
    return format(spread["mean"], form) if spread else "-"


def total(spread: Json | None) -> str:
    return f"${spread['total']:.4f}" if spread else "-"
