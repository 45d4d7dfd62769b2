"""Words and small facts about numbers, through `python`."""

import math
import random

from wardian.evals.suites.experts import Expert
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.expressions import answered
from wardian.evals.suites.tiny.world import (
    distinct_words,
    number_text,
    phrase,
    quoted,
    sentence,
    text_path,
    word,
)


def _said(prompt: str, code: str, text: str) -> Problem:
    return Problem(
        family="strings",
        prompt=prompt,
        files={},
        check=Check(kind="equals", value=text),
        expert=answered(f"print({code})"),
    )


def letters(rng: random.Random) -> Problem:
    """How often a letter stands in a word."""
    w = word(rng).lower()
    letter = rng.choice(w) if rng.random() < 0.85 else rng.choice("aeinorst")
    prompt = phrase(
        rng,
        phrasings("strings.letters"),
        c=letter,
        q=f'"{letter}"',
        w=quoted(rng, w),
    )
    return _said(prompt, f'"{w}".count("{letter}")', str(w.count(letter)))


def length(rng: random.Random) -> Problem:
    w = word(rng)
    prompt = phrase(
        rng,
        phrasings("strings.length"),
        w=quoted(rng, w),
    )
    return _said(prompt, f'len("{w}")', str(len(w)))


def turned(rng: random.Random) -> Problem:
    w = word(rng) if rng.random() < 0.8 else str(rng.randint(100, 999999))
    kind = rng.choice(("reverse", "reverse", "upper", "lower"))
    if kind == "reverse":
        templates = phrasings("strings.reverse")
        return _said(phrase(rng, templates, w=quoted(rng, w)), f'"{w}"[::-1]', w[::-1])
    if kind == "upper":
        templates = phrasings("strings.upper")
        return _said(phrase(rng, templates, w=quoted(rng, w)), f'"{w}".upper()', w.upper())
    w = w.upper()
    templates = phrasings("strings.lower")
    return _said(phrase(rng, templates, w=quoted(rng, w)), f'"{w}".lower()', w.lower())


def ordered(rng: random.Random) -> Problem:
    backwards = rng.random() < 0.25
    if rng.random() < 0.5:
        items = [str(rng.randint(0, 10 ** rng.randint(1, 4))) for _ in range(rng.randint(3, 7))]
        result = sorted(items, key=int, reverse=backwards)
        inside = ", ".join(items)
        what = rng.choice(("these numbers: ", "the numbers ", "", ""))
    else:
        items = distinct_words(rng, rng.randint(3, 5))
        result = sorted(items, reverse=backwards)
        inside = ", ".join(f'"{i}"' for i in items)
        what = rng.choice(("these words: ", "the words ", "", "alphabetically: "))
        what = "" if backwards else what
    templates = phrasings("strings.descending") if backwards else phrasings("strings.ascending")
    prompt = phrase(rng, templates, t=what, x=", ".join(items))
    extra = ", reverse=True" if backwards else ""
    return _said(prompt, f'*sorted([{inside}]{extra}), sep=", "', ", ".join(result))


def words_in(rng: random.Random) -> Problem:
    said = sentence(rng, 3, 8).strip("-# ").replace('"', "").replace("\\", "")
    templates = phrasings("strings.words_in")
    return _said(
        phrase(rng, templates, q=f'"{said}"', s=said),
        f'len("{said}".split())',
        str(len(said.split())),
    )


def prime(rng: random.Random) -> Problem:
    n = rng.choice((rng.randint(2, 200), rng.randint(2, 5000)))
    is_prime = n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))
    templates = phrasings("strings.prime")
    code = f'"yes" if {n} > 1 and all({n} % i for i in range(2, {n})) else "no"'
    return _said(phrase(rng, templates, n=str(n)), code, "yes" if is_prime else "no")


def number_facts(rng: random.Random) -> Problem:
    a, b = rng.randint(2, 999), rng.randint(2, 999)
    kind = rng.choice(
        ("factorial", "gcd", "lcm", "even", "divisible", "binary", "hex", "abs", "round", "range")
    )
    n = str(a)
    match kind:
        case "factorial":
            a = rng.randint(1, 18)
            prompt = phrase(
                rng,
                phrasings("strings.factorial"),
                n=str(a),
            )
            return _said(prompt, f'__import__("math").factorial({a})', str(math.factorial(a)))
        case "gcd":
            prompt = phrase(
                rng,
                phrasings("strings.gcd"),
                a=n,
                b=str(b),
            )
            return _said(prompt, f'__import__("math").gcd({a}, {b})', str(math.gcd(a, b)))
        case "lcm":
            prompt = phrase(
                rng,
                phrasings("strings.lcm"),
                a=n,
                b=str(b),
            )
            return _said(prompt, f'__import__("math").lcm({a}, {b})', str(math.lcm(a, b)))
        case "even":
            prompt = phrase(
                rng,
                phrasings("strings.even"),
                n=n,
            )
            if " or " in prompt:
                return _said(prompt, f'"odd" if {a} % 2 else "even"', "odd" if a % 2 else "even")
            return _said(prompt, f'"no" if {a} % 2 else "yes"', "no" if a % 2 else "yes")
        case "divisible":
            b = rng.randint(2, 19)
            prompt = phrase(
                rng,
                phrasings("strings.divisible"),
                a=n,
                b=str(b),
            )
            return _said(prompt, f'"no" if {a} % {b} else "yes"', "no" if a % b else "yes")
        case "binary":
            prompt = phrase(
                rng,
                phrasings("strings.binary"),
                n=n,
            )
            return _said(prompt, f'format({a}, "b")', format(a, "b"))
        case "hex":
            prompt = phrase(
                rng,
                phrasings("strings.hexadecimal"),
                n=n,
            )
            return _said(prompt, f'format({a}, "x")', format(a, "x"))
        case "abs":
            prompt = phrase(rng, phrasings("strings.absolute"), n=n)
            return _said(prompt, f"abs(-{a})", n)
        case "round":
            x = f"{a}.{rng.choice((1, 2, 3, 4, 6, 7, 8, 9))}{rng.randint(1, 99)}"
            prompt = phrase(
                rng,
                phrasings("strings.rounded"),
                x=x,
            )
            return _said(prompt, f"round({x})", str(round(float(x))))
        case _:
            prompt = phrase(
                rng,
                phrasings("strings.sum_to"),
                n=n,
            )
            return _said(prompt, f"sum(range(1, {a} + 1))", str(a * (a + 1) // 2))


def repeated(rng: random.Random) -> Problem:
    """Text to say again. Nothing else teaches copying as quickly."""
    parts = [_item(rng) for _ in range(rng.choice((1, 2, 4, 8, 12, 16, 24)))]
    said = " ".join(parts)
    templates = phrasings("strings.repeated")
    prompt = phrase(rng, templates, t="{t}").replace("{t}", said)
    return Problem(
        family="strings",
        prompt=prompt,
        files={},
        check=Check(kind="equals", value=said),
        expert=lambda: _says(said),
    )


def _item(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.6:
        return word(rng)
    if roll < 0.8:
        return number_text(rng)
    if roll < 0.95:
        return text_path(rng)
    return sentence(rng, 2, 4)


def _says(answer: str) -> Expert:
    yield from ()
    return answer


def strings(rng: random.Random) -> Problem:
    makers = (
        letters,
        letters,
        length,
        turned,
        turned,
        ordered,
        words_in,
        prime,
        number_facts,
        number_facts,
        number_facts,
    )
    return rng.choice(makers)(rng)
