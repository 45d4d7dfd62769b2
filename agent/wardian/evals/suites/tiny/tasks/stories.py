"""Arithmetic inside a sentence: percentages, units, prices, shares."""

import random
from fractions import Fraction

from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Problem
from wardian.evals.suites.tiny.tasks.expressions import DOES, arithmetic_problem, number, printing
from wardian.evals.suites.tiny.world import phrase


def percent(rng: random.Random) -> Problem:
    share, whole = number(rng, decimals=0.1, digits=2), number(rng, digits=6)
    prompt = phrase(
        rng,
        phrasings("arithmetic.percent"),
        p=share[0],
        n=whole[0],
    )
    return arithmetic_problem(
        prompt, f"print(round({whole[1]} * {share[1]} / 100, 4))", share[2] * whole[2] / 100
    )


def taxed(rng: random.Random) -> Problem:
    """A price with so many percent added or taken off."""
    share, price = rng.randint(1, 60), number(rng, decimals=0.4, digits=4)
    up = rng.random() < 0.5
    prompt = phrase(
        rng,
        phrasings("arithmetic.added_percent") if up else phrasings("arithmetic.taken_percent"),
        p=str(share),
        n=price[0],
    )
    sign = "+" if up else "-"
    value = price[2] * (100 + share if up else 100 - share) / 100
    return arithmetic_problem(
        prompt, f"print(round({price[1]} * (100 {sign} {share}) / 100, 4))", value
    )


_UNITS: tuple[tuple[str, str, int], ...] = (
    ("hours", "days", 24),
    ("hours", "weeks", 168),
    ("minutes", "hours", 60),
    ("seconds", "minutes", 60),
    ("days", "weeks", 7),
    ("seconds", "hours", 3600),
    ("minutes", "days", 1440),
    ("months", "years", 12),
    ("weeks", "years", 52),
    ("metres", "kilometres", 1000),
    ("meters", "kilometers", 1000),
    ("grams", "kilograms", 1000),
    ("centimetres", "metres", 100),
    ("millimetres", "metres", 1000),
    ("days", "years", 365),
    ("cents", "dollars", 100),
    ("meters", "km", 1000),
    ("cm", "meters", 100),
    ("grams", "kg", 1000),
    ("inches", "feet", 12),
    ("items", "dozen", 12),
    ("eggs", "dozen", 12),
    ("minutes", "weeks", 10080),
    ("seconds", "days", 86400),
)


def units(rng: random.Random) -> Problem:
    small, large, factor = rng.choice(_UNITS)
    amount = number(rng, decimals=0.1, digits=4)
    if rng.random() < 0.65:
        templates = phrasings("arithmetic.to_smaller_unit")
        code, value = f"{amount[1]} * {factor}", amount[2] * factor
    else:
        templates = phrasings("arithmetic.to_larger_unit")
        code, value = f"{amount[1]} / {factor}", amount[2] / factor
    return arithmetic_problem(
        phrase(rng, templates, n=amount[0], s=small, l=large), printing(code, value), value
    )


_STORIES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (phrasings("arithmetic.story_sum"), "{a} + {b}", "+"),
    (phrasings("arithmetic.story_difference"), "{a} - {b}", "-"),
    (phrasings("arithmetic.story_product"), "{a} * {b}", "*"),
    (phrasings("arithmetic.story_quotient"), "{a} / {b}", "/"),
)


def story(rng: random.Random) -> Problem:
    templates, code, sign = rng.choice(_STORIES)
    template = rng.choice(templates)
    left, right = number(rng, decimals=0.1, digits=4), number(rng, decimals=0.15, digits=3)
    if right[2] == 0:
        right = ("3", "3", Fraction(3))
    value = DOES[sign](left[2], right[2])
    prompt = phrase(rng, (template,), a=left[0], b=right[0])
    return arithmetic_problem(prompt, printing(code.format(a=left[1], b=right[1]), value), value)
