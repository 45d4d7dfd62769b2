"""Counts of one file, by a line of Python that opens it."""

import random
from collections.abc import Callable

from wardian.evals.suites.experts import Expert, python
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.world import (
    distinct_paths,
    line_count,
    phrase,
    plain_word,
    quoted,
    text,
    word,
    word_count,
)

ALIASES = {"README.md": phrasings("counting.readme_aliases")}
"""What people call a file without its ending."""


def missing(path: str) -> str:
    return f"There is no file named {path}."


def counted(code: str, path: str) -> Callable[[], Expert]:
    """The expert that answers with what `code` prints, or says that `path` is not there."""

    def expert() -> Expert:
        result = yield python(code)
        return missing(path) if "FileNotFoundError" in result else result

    return expert


def name(rng: random.Random, path: str) -> str:
    """How a request spells a path: as it is, set off, or after "the file"."""
    if path in ALIASES and rng.random() < 0.25:
        return rng.choice(ALIASES[path])
    if rng.random() < 0.15:
        return f"{rng.choice(('the file', 'file', 'my file'))} {quoted(rng, path)}"
    return quoted(rng, path)


_KINDS: tuple[tuple[tuple[str, ...], str, Callable[[str], object]], ...] = (
    (
        phrasings("counting.lines"),
        'print(len(open("{p}").readlines()))',
        line_count,
    ),
    (
        phrasings("counting.words"),
        'print(len(open("{p}").read().split()))',
        word_count,
    ),
    (phrasings("counting.characters"), 'print(len(open("{p}").read()))', len),
    (
        phrasings("counting.blank_lines"),
        'print(sum(not x.strip() for x in open("{p}")))',
        lambda t: sum(not x.strip() for x in t.splitlines()),
    ),
    (
        phrasings("counting.longest_line"),
        'print(max(open("{p}").read().splitlines(), key=len))',
        lambda t: max(t.splitlines(), key=len),
    ),
    (
        phrasings("counting.longest_line_length"),
        'print(max(len(x) for x in open("{p}").read().splitlines()))',
        lambda t: max(len(x) for x in t.splitlines()),
    ),
    (
        phrasings("counting.longest_word"),
        'print(max(open("{p}").read().split(), key=len))',
        lambda t: max(t.split(), key=len),
    ),
    (
        phrasings("counting.distinct_words"),
        'print(len(set(open("{p}").read().split())))',
        lambda t: len(set(t.split())),
    ),
)
_WEIGHTS = (8, 8, 4, 1, 2, 1, 1, 2)


def of_file(rng: random.Random) -> Problem:
    templates, code, truth = rng.choices(_KINDS, _WEIGHTS)[0]
    path, other = distinct_paths(rng, 2)
    body = text(rng, 1, 60)
    files = {path: body, other: text(rng, 1, 4)} if rng.random() < 0.3 else {path: body}
    value = truth(body)
    check = (
        Check(kind="number", value=value)
        if isinstance(value, int)
        else Check(kind="equals", value=value)
    )
    if rng.random() < 0.07:
        files = {other: text(rng, 1, 4)}
        check = Check(kind="contains", value=(path, "no file"))
    prompt = phrase(rng, templates, f=name(rng, path))
    return Problem(
        family="counting",
        prompt=prompt,
        files=files,
        check=check,
        expert=counted(code.format(p=path), path),
    )


_OCCURRENCES = phrasings("counting.occurrences")


def occurrences(rng: random.Random) -> Problem:
    path = distinct_paths(rng, 1)[0]
    target = plain_word(rng) if rng.random() < 0.8 else word(rng)
    body = text(rng, 2, 20)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 6))):
        spot = rng.randint(0, len(body.split(" ")))
        parts = body.split(" ")
        body = " ".join([*parts[:spot], target, *parts[spot:]])
    spelled = quoted(rng, target)
    templates = tuple(t for t in _OCCURRENCES if "many {w} are" not in t or spelled != target)
    return Problem(
        family="counting",
        prompt=phrase(rng, templates, w=spelled, f=name(rng, path)),
        files={path: body},
        check=Check(kind="number", value=body.count(target)),
        expert=counted(f'print(open("{path}").read().count("{target}"))', path),
    )


def mentioning_lines(rng: random.Random) -> Problem:
    path = distinct_paths(rng, 1)[0]
    target = plain_word(rng)
    rows = text(rng, 2, 20).splitlines()
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
        spot = rng.randrange(len(rows))
        rows[spot] = f"{rows[spot]} {target}"
    templates = phrasings("counting.mentioning_lines")
    return Problem(
        family="counting",
        prompt=phrase(rng, templates, w=quoted(rng, target), f=name(rng, path)),
        files={path: "\n".join(rows) + "\n"},
        check=Check(kind="number", value=sum(target in row for row in rows)),
        expert=counted(f'print(sum("{target}" in x for x in open("{path}")))', path),
    )


def counting(rng: random.Random) -> Problem:
    return rng.choice((of_file, of_file, of_file, occurrences, mentioning_lines))(rng)
