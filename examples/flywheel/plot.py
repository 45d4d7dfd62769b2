"""Draw what the folders of `run` came to, one seed each, as two SVG files.

python plot.py FOLDER… --out docs/flywheel

Writes OUT-success.svg (share of held-out attempts that passed, with 95 % intervals, over the
processor minutes spent on learning) and OUT-grpo.svg (success of the attempts at each step).
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

from wardian.evals.plots import LEFT, Series, Spot, lines, spot, words

MODELS = ("weak", "good", "better", "best")
LEARNING = {
    "good": ("collect", "imitate"),
    "better": ("collect-again", "imitate-again"),
    "best": ("collect-unsure", "try"),
}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #555; } .grid { stroke: #ddd; }
.curve { fill: none; stroke-width: 2; stroke: var(--c); } .spot { fill: var(--c); }
.band { fill: var(--c); opacity: .12; }
.s0 { --c: #2f5fb3; } .s1 { --c: #c8641b; } .s2 { --c: #2b8a5a; }
svg { background: #fff; }
"""


def success(folder: Path) -> list[Spot]:
    rows = csv.reader((folder / "times.tsv").open(encoding="utf-8"), delimiter="\t")
    seconds = {name: float(processor) for name, _, processor in rows}
    found: list[Spot] = []
    minutes = 0.0
    for model in MODELS:
        minutes += sum(seconds[stage] for stage in LEARNING.get(model, ())) / 60
        report = json.loads((folder / f"{model}.json").read_text(encoding="utf-8"))
        share = report["models"][0]["pass_at"]["1"]
        found.append(Spot(minutes, share["value"], share["low"], share["high"]))
    return found


def steps(folder: Path) -> list[Spot]:
    text = (folder / "best" / "metrics.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [Spot(row["step"], row["success"], row["success"], row["success"]) for row in rows]


def standalone(series: Sequence[Series], label: str, x_label: str) -> str:
    """The plot as a file of its own: with its colours, and the series' names in it."""
    plot, _, _ = lines(series, label=label, x_label=x_label).partition("</svg>")
    head, _, drawn = plot.partition(">")
    names = "".join(
        spot(LEFT + 560, 146 + 18 * one.colour, 4, f"s{one.colour}")
        + words(LEFT + 572, 150 + 18 * one.colour, one.name)
        for one in series
    )
    space = 'xmlns="http://www.w3.org/2000/svg"'
    return f"{head} {space}><style>{STYLE}</style>{drawn}{names}</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", default="flywheel")
    options = parser.parse_args()
    plots = (
        ("success", success, "processor minutes of learning"),
        ("grpo", steps, "step of GRPO"),
    )
    for name, read, x_label in plots:
        series = [
            Series(f"seed {number + 1}", read(folder), number)
            for number, folder in enumerate(options.folders)
        ]
        text = standalone(series, f"{name} of {len(series)} seeds", x_label)
        Path(f"{options.out}-{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
