"""Family `recovery`: the workspace's own tools fail, say why, and can be helped."""

import hashlib

from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Draft, solved
from wardian.evals.suites.experts import Expert, python, shell


def text_of(path: str, text: str) -> dict[str, object]:
    return {"kind": "files", "files": [{"path": path, "text": text}]}


def stale_lock(world: World) -> Draft:
    """A build refuses to start because a process that is long gone left its lock."""
    goods = world.goods(5)
    counts = {name: world.number(10, 99) for name in goods}
    factor = world.number(3, 9)
    script = f"""\
import os, sys
if os.path.exists("build.lock"):
    sys.exit("build.lock is there: process " + open("build.lock").read().strip()
        + " is building. See README.txt.")
lines = [line.split() for line in open("stock.txt")]
os.makedirs("out", exist_ok=True)
with open("out/report.txt", "w") as report:
    for name, count in sorted(lines):
        report.write(name + " " + str(int(count) * {factor}) + "\\n")
print("built")
"""
    readme = (
        "Build with: python3 tools/build.py\nA lock whose process does not run any more is stale:"
        " move it to stale/build.lock (keep it, we count them) and build again.\n"
    )
    report = "\n".join(f"{name} {counts[name] * factor}" for name in sorted(goods))
    lock = f"{world.number(400_000, 900_000)}\n"
    return Draft(
        prompt="Build the report with `python3 tools/build.py`. If it does not work, README.txt"
        " says what to do.",
        files={
            "tools/build.py": script,
            "README.txt": readme,
            "build.lock": lock,
            "stock.txt": "".join(f"{name} {count}\n" for name, count in counts.items()),
        },
        protected=("tools/**", "stock.txt"),
        verifier=(
            text_of("out/report.txt", report),
            {"kind": "files", "files": [
                {"path": "build.lock", "absent": True}, {"path": "stale/build.lock", "text": lock},
            ]},
        ),
        expert=solved(
            "The report is built.",
            shell("python3 tools/build.py; cat README.txt"),
            shell("ps -p $(cat build.lock) || (mkdir -p stale && mv build.lock stale/)"),
            shell("python3 tools/build.py"),
        ),
    )  # fmt: skip


def flaky(world: World) -> Draft:
    """A tool that is often busy, and must be asked again for each item."""
    names = world.codenames(5)
    salt = world.code(8)
    values = {n: int(hashlib.sha256((salt + n).encode()).hexdigest()[:4], 16) for n in names}
    script = f"""\
import hashlib, os, sys
if len(sys.argv) != 2:
    sys.exit("usage: python3 tools/meter.py NAME")
name = sys.argv[1]
if name not in {sorted(names)!r}:
    sys.exit("no meter of that name")
count = int(open(".busy-" + name).read()) if os.path.exists(".busy-" + name) else 0
with open(".busy-" + name, "w") as file:
    file.write(str(count + 1))
if count < 1 + len(name) % 3:
    sys.exit("meter busy, try again")
print(int(hashlib.sha256(({salt!r} + name).encode()).hexdigest()[:4], 16))
"""

    def expert() -> Expert:
        total = 0
        for name in names:
            for _ in range(5):
                found = yield shell(f"python3 tools/meter.py {name}")
                first = found.split()[0]
                if first.isdigit():
                    total += int(first)
                    break
        return str(total)

    return Draft(
        prompt=f"Read the meters {', '.join(names)} with `python3 tools/meter.py NAME` and answer"
        " with the sum of what they show, as a number only. The tool is not always ready.",
        files={"tools/meter.py": script},
        protected=("tools/**",),
        verifier=({"kind": "number", "expected": sum(values.values()), "whole": True},),
        expert=expert,
    )


def wrong_setting(world: World) -> Draft:
    """A program's settings name what is not there, twice over."""
    town, other = world.towns(2)
    rows = [(name, world.number(1, 50)) for name in world.goods(6)]
    script = """\
import configparser, csv, sys
settings = configparser.ConfigParser()
settings.read("report.ini")
try:
    rows = list(csv.DictReader(open(settings["input"]["file"])))
except OSError as problem:
    sys.exit("report: cannot read the input: " + str(problem))
column = settings["input"]["column"]
if rows and column not in rows[0]:
    sys.exit("report: no column " + column + "; there are: " + ", ".join(rows[0]))
with open("report.txt", "w") as report:
    report.write(settings["output"]["title"] + " " + str(sum(int(r[column]) for r in rows)) + "\\n")
print("report.txt written")
"""
    name = town.lower().replace(" ", "-")
    settings = (
        f"[input]\nfile = data/{name[:-1]}.csv\ncolumn = amount\n\n[output]\ntitle = {town}\n"
    )
    data = "item,count\n" + "".join(f"{item},{count}\n" for item, count in rows)
    away = "item,count\n" + "".join(f"{item},{count + 1}\n" for item, count in rows)
    return Draft(
        prompt=f"`python3 tools/report.py` should write report.txt, the total for {town}, and"
        " fails. Mend report.ini (not the tool, not the data) so that it works, and run it.",
        files={
            "tools/report.py": script,
            "report.ini": settings,
            f"data/{name}.csv": data,
            f"data/{other.lower().replace(' ', '-')}.csv": away,
        },
        protected=("tools/**", "data/**"),
        verifier=(
            text_of("report.txt", f"{town} {sum(count for _, count in rows)}"),
            {"kind": "files", "files": [
                {"path": "report.ini", "contains": [f"data/{name}.csv", "count", f"title = {town}"]}
            ]},
        ),
        expert=solved(
            "The report is written.",
            shell("python3 tools/report.py; ls data; cat report.ini"),
            shell(f"sed -i 's#data/.*#data/{name}.csv#' report.ini; python3 tools/report.py"),
            shell("sed -i 's/column = .*/column = count/' report.ini; python3 tools/report.py"),
        ),
    )  # fmt: skip


def corrupt(world: World) -> Draft:
    """A loader stops at each damaged record; they are to be set aside."""
    lines: list[str] = []
    bad: list[str] = []
    for index in range(24):
        line = f'{{"item": "{world.goods(1)[0]}", "count": {world.number(1, 60)}}}'
        if index in (3, 11, 12, 20):
            line = world.choice((line[:-1], line.replace(":", "", 1), line[: len(line) // 2]))
            bad.append(line)
        lines.append(line)
    script = """\
import json, sys
total = 0
for number, line in enumerate(open("records.jsonl"), start=1):
    try:
        total += json.loads(line)["count"]
    except ValueError:
        sys.exit("load: line " + str(number) + " is damaged; nothing was loaded")
open("loaded.txt", "w").write(str(total) + "\\n")
print("loaded")
"""
    good = [line for line in lines if line not in bad]
    total = sum(int(line.rpartition(" ")[2].rstrip("}")) for line in good)
    code = """
import json
good, bad = [], []
for line in open("records.jsonl"):
    try:
        json.loads(line); good.append(line)
    except ValueError:
        bad.append(line)
open("records.jsonl", "w").write("".join(good)); open("rejected.txt", "w").write("".join(bad))
"""
    return Draft(
        prompt="Load records.jsonl with `python3 tools/load.py`. Damaged lines are to be moved, as"
        " they are and in their order, from records.jsonl to rejected.txt. All others must be"
        " loaded.",
        files={"tools/load.py": script, "records.jsonl": "\n".join(lines) + "\n"},
        protected=("tools/**",),
        verifier=(
            text_of("loaded.txt", str(total)),
            text_of("rejected.txt", "\n".join(bad)),
            text_of("records.jsonl", "\n".join(good)),
        ),
        expert=solved(
            "The records are loaded.",
            shell("python3 tools/load.py"),
            python(code),
            shell("python3 tools/load.py"),
        ),
    )


def moved_usage(world: World) -> Draft:
    """A tool whose usage has changed since the notes were written, told by its messages only."""
    goods = world.goods(4)
    cents = {name: world.number(100, 9999) for name in goods}
    rate = world.number(11, 29)
    script = f"""\
import sys
PRICES = {cents!r}
words = sys.argv[1:]
if "--item" in words:
    sys.exit("price: --item is gone; name items after `quote`: price.py quote ITEM...")
if not words or words[0] != "quote":
    sys.exit("price: unknown command; there is `quote`")
if "--currency" not in words:
    sys.exit("price: say --currency local or --currency base")
at = words.index("--currency")
currency, items = words[at + 1], words[1:at] + words[at + 2:]
if not items:
    sys.exit("price: no items")
if len(items) > 2:
    sys.exit("price: at most two items at once")
for item in items:
    print(item, PRICES[item] if currency == "base" else PRICES[item] * {rate} // 10)
"""
    total = sum(value * rate // 10 for value in cents.values())

    def expert() -> Expert:
        yield shell(f"python3 tools/price.py --item {goods[0]}")
        yield shell(f"python3 tools/price.py quote {' '.join(goods)}")
        first = yield shell(f"python3 tools/price.py quote {goods[0]} {goods[1]} --currency local")
        last = yield shell(f"python3 tools/price.py quote {goods[2]} {goods[3]} --currency local")
        shown = f"{first}\n{last}"
        lines = [line.split() for line in shown.splitlines()]
        return str(sum(int(line[1]) for line in lines if line and line[0] in goods))

    return Draft(
        prompt=f"What do one {goods[0]}, one {goods[1]}, one {goods[2]} and one {goods[3]} cost"
        " together in local currency? NOTES.txt says how to ask the price tool; it may be out of"
        " date. Answer with the number only.",
        files={
            "tools/price.py": script,
            "NOTES.txt": "Prices: python3 tools/price.py --item NAME (local currency)\n",
        },
        protected=("tools/**",),
        verifier=({"kind": "number", "expected": total, "whole": True},),
        expert=expert,
    )


KINDS = named(stale_lock, flaky, wrong_setting, corrupt, moved_usage)
