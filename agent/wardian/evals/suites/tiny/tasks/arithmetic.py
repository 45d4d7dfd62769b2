"""Arithmetic: the expression goes into `python`, the printed value is the answer."""

import math
import random
from fractions import Fraction

from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Problem
from wardian.evals.suites.tiny.tasks.expressions import (
    DOES,
    SIGNS,
    arithmetic_problem,
    eval_exact,
    joined,
    number,
    printing,
)
from wardian.evals.suites.tiny.tasks.stories import percent, story, taxed, units
from wardian.evals.suites.tiny.world import phrase

_OPENINGS = phrasings("arithmetic.openings")


_SMALL = phrasings("numbers")


def binary(rng: random.Random) -> Problem:
    sign = rng.choice(("+", "-", "*", "/", "+", "-", "*", "*", "/", "//", "%", "**"))
    gap = "" if rng.random() < 0.2 else " "
    left = number(rng)
    right = number(rng)
    if sign in ("//", "%", "**"):
        left, right = number(rng, decimals=0), number(rng, decimals=0, digits=4)
    if sign == "**":
        power = rng.randint(2, 12)
        left, right = number(rng, decimals=0, digits=2), (str(power), str(power), Fraction(power))
    if sign in ("/", "//", "%") and right[2] == 0:
        right = ("7", "7", Fraction(7))
    if rng.random() < 0.08 and sign in "+-*/":
        left = (f"-{left[0]}", f"-{left[1]}", -left[2])
    if rng.random() < 0.03 and sign in "+*":
        right = (f"-{right[0]}", f"-{right[1]}", -right[2])
    said, code, value = joined(rng, left, sign, right, gap)
    return arithmetic_problem(phrase(rng, _OPENINGS, x=said), printing(code, value), value)


def chain(rng: random.Random) -> Problem:
    """Three or four operands, with or without brackets; brackets are copied as they stand."""
    gap = "" if rng.random() < 0.12 else " "
    operands = [number(rng, decimals=0.1, digits=4) for _ in range(rng.choice((3, 3, 4)))]
    signs = [rng.choice(("+", "-", "*", "+", "-", "*", "/")) for _ in operands[1:]]
    said, code = operands[0][0], operands[0][1]
    bracket = rng.randrange(len(operands)) if rng.random() < 0.5 else None
    if bracket == 0:
        said, code = f"({said}", f"({code}"
    for place, (sign, operand) in enumerate(zip(signs, operands[1:], strict=True), 1):
        opens = "(" if bracket == place and place < len(operands) - 1 else ""
        closes = ")" if bracket is not None and place == bracket + 1 else ""
        said_sign = rng.choice(SIGNS[sign][:4]) if bracket is not None else rng.choice(SIGNS[sign])
        around = " " if said_sign[0].isalpha() else gap
        said += f"{around}{said_sign}{around}{opens}{operand[0]}{closes}"
        code += f" {sign} {opens}{operand[1]}{closes}"
    if said.count("(") != said.count(")"):
        return chain(rng)
    try:
        value = eval_exact(code)
    except ZeroDivisionError:
        return chain(rng)
    return arithmetic_problem(phrase(rng, _OPENINGS, x=said), printing(code, value), value)


_PAIRS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (phrasings("arithmetic.sum"), "{a} + {b}", "+"),
    (phrasings("arithmetic.product"), "{a} * {b}", "*"),
    (phrasings("arithmetic.difference"), "{a} - {b}", "-"),
    (phrasings("arithmetic.quotient"), "{a} / {b}", "/"),
    (phrasings("arithmetic.remainder"), "{a} % {b}", "%"),
)


def in_words(rng: random.Random) -> Problem:
    templates, code, sign = rng.choice(_PAIRS)
    left, right = number(rng), number(rng, digits=5)
    if sign == "%":
        left, right = number(rng, decimals=0), number(rng, decimals=0, digits=3)
    if right[2] == 0:
        right = ("3", "3", Fraction(3))
    code = code.format(a=left[1], b=right[1])
    value = DOES[sign](left[2], right[2])
    return arithmetic_problem(
        phrase(rng, templates, a=left[0], b=right[0]), printing(code, value), value
    )


def spelled(rng: random.Random) -> Problem:
    """Numbers up to twenty as words."""
    a, b = rng.randint(0, 20), rng.randint(1, 20)
    sign = rng.choice("+-*/")
    said = rng.choice([s for s in SIGNS[sign] if s.isascii() and s[0].isalpha() and s != "x"])
    code = f"{a} {sign} {b}"
    return arithmetic_problem(
        phrase(rng, _OPENINGS, x=f"{_SMALL[a]} {said} {_SMALL[b]}"),
        printing(code, Fraction(0)),
        DOES[sign](Fraction(a), Fraction(b)),
    )


def power_or_root(rng: random.Random) -> Problem:
    given = number(rng, decimals=0.1, digits=4)
    kind = rng.choice(("square", "square", "cube", "root", "root", "cuberoot"))
    n, value = given[1], given[2]
    if kind == "square":
        templates = phrasings("arithmetic.square")
        return arithmetic_problem(
            phrase(rng, templates, n=given[0]), printing(f"{n} ** 2", value), value**2
        )
    if kind == "cube":
        templates = phrasings("arithmetic.cube")
        return arithmetic_problem(
            phrase(rng, templates, n=given[0]), printing(f"{n} ** 3", value), value**3
        )
    if rng.random() < 0.4:
        base = rng.randint(2, 120)
        exact = str(base**2 if kind == "root" else base**3)
        given = (exact, exact, Fraction(exact))
    if kind == "root":
        templates = (
            "What is the square root of {n}?",
            "square root of {n}",
            "sqrt({n})".replace("(", "{o}").replace(")", "{c}"),
            "sqrt {n}",
            "What is sqrt {n}?",
            "(Calculate|Find|Compute) the (square root|root) of {n}.",
            "√{n}",
            "What's the root of {n}?",
        )
        value_f = math.sqrt(given[2])
        code = f"print(round({given[1]} ** 0.5, 4))"
    else:
        templates = phrasings("arithmetic.cube_root")
        value_f = float(given[2]) ** (1 / 3)
        code = f"print(round({given[1]} ** (1 / 3), 4))"
    return arithmetic_problem(phrase(rng, templates, n=given[0], o="(", c=")"), code, value_f)


_LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (phrasings("arithmetic.list_sum"), "sum"),
    (phrasings("arithmetic.list_mean"), "mean"),
    (phrasings("arithmetic.list_largest"), "max"),
    (phrasings("arithmetic.list_smallest"), "min"),
    (phrasings("arithmetic.list_product"), "product"),
    (phrasings("arithmetic.list_median"), "median"),
)


def over_list(rng: random.Random) -> Problem:
    templates, kind = rng.choice(_LISTS)
    decimals = rng.choice((0.0, 0.0, 0.5))
    count = rng.choice((3, 3, 4, 4, 5, 6, 7))
    numbers = [
        number(rng, decimals=decimals, digits=rng.choice((2, 2, 3, 4)))[0].replace(",", "")
        for _ in range(count)
    ]
    if (
        any(t.startswith(("Which is bigger", "Which is smaller")) for t in templates)
        and rng.random() < 0.2
    ):
        numbers = numbers[:2]
    tail = rng.choice((", ", " and ", ", and ")) if kind != "x" else ", "
    said = ", ".join(numbers[:-1]) + tail + numbers[-1]
    if rng.random() < 0.12:
        said = " ".join(numbers)
    values = [Fraction(n) for n in numbers]
    inside = ", ".join(numbers)
    code, value = _list_code(kind, inside, values)
    return arithmetic_problem(phrase(rng, templates, x=said), code, value)


def _list_code(kind: str, inside: str, values: list[Fraction]) -> tuple[str, Fraction]:
    ordered = sorted(values)
    middle = len(ordered) // 2
    product = Fraction(1)
    for v in values:
        product *= v
    match kind:
        case "sum":
            code, value = f"sum([{inside}])", sum(values, Fraction(0))
        case "mean":
            code, value = f"sum([{inside}]) / len([{inside}])", sum(values) / Fraction(len(values))
            code = f"sum(x := [{inside}]) / len(x)"
        case "max" | "min":
            return f"print({kind}({inside}))", ordered[-1] if kind == "max" else ordered[0]
        case "product":
            code, value = inside.replace(", ", " * "), product
        case _:
            value = (
                ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
            )
            return f"import statistics; print(statistics.median([{inside}]))", value
    return printing(code, value), value


def arithmetic(rng: random.Random) -> Problem:
    makers = (
        binary,
        binary,
        binary,
        binary,
        chain,
        chain,
        percent,
        taxed,
        in_words,
        in_words,
        spelled,
        power_or_root,
        over_list,
        over_list,
        units,
        story,
    )
    return rng.choice(makers)(rng)
