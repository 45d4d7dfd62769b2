"""Numbers that stand in files: added, compared, written elsewhere, taken from a column."""

import random
from fractions import Fraction

from wardian.evals.suites.experts import Expert, Step, python
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.counting import missing, name
from wardian.evals.suites.tiny.tasks.reading import read, without_range
from wardian.evals.suites.tiny.world import (
    distinct_paths,
    distinct_words,
    path,
    phrase,
    plain_word,
    quoted,
    word,
)


def numbers(rng: random.Random, *, decimals: bool) -> list[str]:
    count = rng.randint(2, 12)
    if decimals:
        return [f"{rng.randint(0, 999)}.{rng.randint(1, 99):02}" for _ in range(count)]
    return [str(rng.randint(0, 10 ** rng.randint(1, 5))) for _ in range(count)]


_OVER = {
    "sum": (
        'print(sum(map({t}, open("{p}").read().split())))',
        'print(round(sum(map({t}, open("{p}").read().split())), 4))',
    ),
    "largest": ('print(max(map({t}, open("{p}").read().split())))',) * 2,
    "smallest": ('print(min(map({t}, open("{p}").read().split())))',) * 2,
    "average": ('print(round(sum(x := list(map({t}, open("{p}").read().split()))) / len(x), 4))',)
    * 2,
}


def over_file(file: str, kind: str) -> Expert:
    """Whole numbers first; decimals when Python says that they are not whole."""
    result = yield python(_OVER[kind][0].format(t="int", p=file))
    if "invalid literal" in result:
        result = yield python(_OVER[kind][1].format(t="float", p=file))
    return missing(file) if "FileNotFoundError" in result else result


def _value(kind: str, values: list[Fraction]) -> Fraction:
    match kind:
        case "sum":
            return sum(values, Fraction(0))
        case "largest":
            return max(values)
        case "smallest":
            return min(values)
        case _:
            return sum(values, Fraction(0)) / len(values)


_OVER_SAID = {
    "sum": phrasings("steps.numbers_sum"),
    "largest": phrasings("steps.numbers_largest"),
    "smallest": phrasings("steps.numbers_smallest"),
    "average": phrasings("steps.numbers_average"),
}


def numbers_in_file(rng: random.Random) -> Problem:
    kind = rng.choice(("sum", "sum", "sum", "largest", "smallest", "average"))
    values = numbers(rng, decimals=rng.random() < 0.35)
    file = path(
        rng,
        ("txt", "txt", "dat", "csv", "log"),
        (
            "data.txt",
            "numbers.txt",
            "input.txt",
            "values.txt",
            "data/numbers.txt",
            "prices.txt",
            "scores.txt",
        ),
    )
    files, check = (
        {file: rng.choice(("\n", "\n", "\n", " ")).join(values) + "\n"},
        Check(kind="number", value=float(_value(kind, [Fraction(v) for v in values]))),
    )
    if rng.random() < 0.06:
        files, check = (
            {f"{plain_word(rng)}9.txt": "1\n"},
            Check(kind="contains", value=(file, "no file")),
        )
    return Problem(
        family="steps",
        prompt=phrase(rng, _OVER_SAID[kind], f=name(rng, file)),
        files=files,
        check=check,
        expert=lambda: over_file(file, kind),
    )


def total_written(rng: random.Random) -> Problem:
    kind = rng.choice(("sum", "sum", "largest", "average"))
    values = numbers(rng, decimals=rng.random() < 0.25)
    source, target = (p.split("/")[-1] for p in distinct_paths(rng, 2))
    if source == target:
        return total_written(rng)
    templates = phrasings(f"steps.total_{kind}")
    value = _value(kind, [Fraction(v) for v in values])

    def expert() -> Expert:
        result = yield from over_file(source, kind)
        yield Step(name="write_file", arguments={"path": target, "content": result + "\n"})
        return f"Wrote {result} to {target}."

    return Problem(
        family="steps",
        prompt=phrase(rng, templates, a=quoted(rng, source), b=quoted(rng, target)),
        files={source: "\n".join(values) + "\n"},
        check=Check(kind="number_file", value=float(value), files={target: ""}),
        expert=expert,
    )


def two_files(rng: random.Random) -> Problem:
    first, second = distinct_paths(rng, 2)
    a, b = str(rng.randint(1, 99999)), str(rng.randint(1, 9999))
    sign, templates, value = rng.choice(
        (
            ("+", phrasings("steps.two_sum"), int(a) + int(b)),
            ("*", phrasings("steps.two_product"), int(a) * int(b)),
            ("-", phrasings("steps.two_difference"), int(a) - int(b)),
        )
    )

    def expert() -> Expert:
        left = without_range((yield read(first, 1, 20)))
        right = without_range((yield read(second, 1, 20)))
        return (yield python(f"print({left} {sign} {right})"))

    return Problem(
        family="steps",
        prompt=phrase(rng, templates, a=quoted(rng, first), b=quoted(rng, second)),
        files={first: a + "\n", second: b + "\n"},
        check=Check(kind="number", value=value),
        expert=expert,
    )


def column(rng: random.Random) -> Problem:
    """One column of a CSV file with a header line."""
    file = path(
        rng,
        ("csv",),
        (
            "data.csv",
            "sales.csv",
            "people.csv",
            "prices.csv",
            "data/sales.csv",
            "orders.csv",
            "table.csv",
        ),
    )
    names = distinct_words(rng, rng.randint(2, 4))
    target = rng.choice(("price", "amount", "age", "total", "quantity", "score", "cost", names[-1]))
    names = [n for n in names[:-1] if n != target]
    names.insert(rng.randint(0, len(names)), target)
    values = [
        rng.choice((str(rng.randint(0, 999)), f"{rng.randint(0, 99)}.{rng.randint(1, 99):02}"))
        for _ in range(rng.randint(2, 12))
    ]
    rows = [",".join(value if n == target else word(rng) for n in names) for value in values]
    kind = rng.choice(("sum", "sum", "average", "largest", "smallest", "rows"))
    exact = [Fraction(v) for v in values]
    each = f'float(r["{target}"]) for r in csv.DictReader(open("{file}"))'
    code = {
        "sum": f"round(sum({each}), 4)",
        "average": f"round(sum(x := [{each}]) / len(x), 4)",
        "largest": f"max({each})",
        "smallest": f"min({each})",
    }.get(kind, f'sum(1 for r in csv.DictReader(open("{file}")))')
    templates = {
        "sum": phrasings("steps.column_sum"),
        "average": phrasings("steps.column_average"),
        "largest": phrasings("steps.column_largest"),
        "smallest": phrasings("steps.column_smallest"),
        "rows": phrasings("steps.column_rows"),
    }[kind]
    value = Fraction(len(values)) if kind == "rows" else _value(kind, exact)

    def expert() -> Expert:
        return (yield python(f"import csv; print({code})"))

    return Problem(
        family="steps",
        prompt=phrase(rng, templates, c=target, f=quoted(rng, file)),
        files={file: ",".join(names) + "\n" + "\n".join(rows) + "\n"},
        check=Check(kind="number", value=float(value)),
        expert=expert,
    )
