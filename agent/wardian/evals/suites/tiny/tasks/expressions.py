"""Expressions as a person writes them, as Python writes them, and their exact values."""

import operator
import random
from collections.abc import Callable
from fractions import Fraction

from wardian.evals.suites.experts import Expert, python
from wardian.evals.suites.tiny.problem import Check, Problem

Pair = tuple[str, str, Fraction]
"""An expression as a person writes it, as Python writes it, and its value."""


SIGNS: dict[str, tuple[str, ...]] = {
    "+": ("+", "+", "+", "+", "plus"),
    "-": ("-", "-", "-", "-", "minus"),
    "*": ("*", "*", "*", "*", "times", "x", "multiplied by", "\u00d7"),
    "/": ("/", "/", "/", "/", "divided by", "over", "\u00f7"),
    "//": ("//",),
    "%": ("%", "mod", "modulo"),
    "**": ("**", "**", "to the power of", "^"),
}


DOES: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b,
    "//": lambda a, b: Fraction(a // b),
    "%": operator.mod,
    "**": lambda a, b: Fraction(a ** int(b)),
}


def answered(code: str) -> Callable[[], Expert]:
    """The expert that runs `code` and answers with what it printed."""

    def expert() -> Expert:
        return (yield python(code))

    return expert


def arithmetic_problem(prompt: str, code: str, value: Fraction | float) -> Problem:
    return Problem(
        family="arithmetic",
        prompt=prompt,
        files={},
        check=Check(kind="number", value=float(value) if value % 1 else int(value)),
        expert=answered(code),
    )


def number(rng: random.Random, *, decimals: float = 0.15, digits: int = 9) -> Pair:
    """A number; with a thousands comma now and then, which Python spells with an underscore."""
    if rng.random() < decimals:
        whole = rng.randint(0, 10 ** rng.randint(1, 4))
        said = f"{whole}.{rng.choice((rng.randint(1, 9), rng.randint(10, 99)))}"
        return said, said, Fraction(said)
    size = min(rng.choice((1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9)), digits)
    value = rng.randint(10 ** (size - 1) if size > 1 else 0, 10**size - 1)
    if size > 3 and rng.random() < 0.1:
        return f"{value:,}", f"{value:_}", Fraction(value)
    return str(value), str(value), Fraction(value)


def joined(rng: random.Random, left: Pair, sign: str, right: Pair, gap: str) -> Pair:
    said = rng.choice(SIGNS[sign])
    around = " " if said[0].isalpha() else gap
    return (
        f"{left[0]}{around}{said}{around}{right[0]}",
        f"{left[1]} {sign} {right[1]}",
        DOES[sign](left[2], right[2]),
    )


def printing(python_text: str, value: Fraction) -> str:
    """Rounded where a float would show its binary tail."""
    exact = not any(mark in python_text.replace("//", "") for mark in "/.")
    return f"print({python_text})" if exact else f"print(round({python_text}, 4))"


def eval_exact(code: str) -> Fraction:
    """The value of + - * / and brackets over decimal literals, exactly: a two-level parser."""
    tokens = _tokens(code)
    value, rest = _sum(tokens)
    assert not rest, code
    return value


def _tokens(code: str) -> list[str]:
    spaced = code.replace("(", " ( ").replace(")", " ) ")
    return [t.replace("_", "") for t in spaced.split()]


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign, (right, rest) = tokens[0], _product(tokens[1:])
        value, tokens = DOES[sign](value, right), rest
    return value, tokens


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _atom(tokens)
    while tokens and tokens[0] in "*/":
        sign, (right, rest) = tokens[0], _atom(tokens[1:])
        value, tokens = DOES[sign](value, right), rest
    return value, tokens


def _atom(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens[0] == "(":
        value, rest = _sum(tokens[1:])
        assert rest[0] == ")"
        return value, rest[1:]
    return Fraction(tokens[0]), tokens[1:]
