"""Searching: which file mentions a word, on which line, and how many files do."""

import random

from wardian.evals.suites.experts import Expert, Step, shell
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.counting import missing, name
from wardian.evals.suites.tiny.tasks.reading import failed
from wardian.evals.suites.tiny.world import (
    always_quoted,
    distinct_paths,
    distinct_words,
    phrase,
    plain_word,
    quoted,
    text,
)


def planted(
    rng: random.Random, target: str, counts: tuple[int, ...], *, longest: int = 6
) -> dict[str, str]:
    """One file per count, with a line that holds `target` that often; none holds it otherwise."""
    files: dict[str, str] = {}
    for file, count in zip(distinct_paths(rng, len(counts)), counts, strict=True):
        rows = [r for r in text(rng, 1, longest).splitlines() if target not in r.lower()]
        for _ in range(count):
            parts = rng.choice(rows).split(" ")[:6] if rows else []
            parts.insert(rng.randint(0, len(parts)), target)
            row = " ".join(p for p in parts if p)
            while row.count(target) > 1 or not row.strip():
                row = f"{plain_word(rng)} {target}"
            rows.insert(rng.randint(0, len(rows)), row)
        # A row made from another planted row would hold the target twice.
        files[file] = "\n".join(r for r in rows) + "\n"
    return files


def search(pattern: str, file: str | None = None) -> Step:
    return Step(
        name="search_files", arguments={"pattern": pattern} | ({"path": file} if file else {})
    )


def found_in(result: str) -> list[str]:
    """The paths in a search result, each once, in order."""
    return list(dict.fromkeys(row.split(":", 1)[0] for row in result.splitlines()))


def which_file_expert(target: str) -> Expert:
    result = yield search(target)
    if result == "(no matches)":
        return f"No file mentions {target}."
    paths = found_in(result)
    if len(paths) == 1:
        return f"{paths[0]} mentions {target}."
    return f"{', '.join(paths[:-1])} and {paths[-1]} mention {target}."


_WHICH = phrasings("searching.which")


def target_words(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return " ".join(distinct_words(rng, 2))
    if rng.random() < 0.06:
        return str(rng.randint(100, 99999))
    return plain_word(rng)


def spelled(rng: random.Random, target: str) -> str:
    if " " in target:
        return always_quoted(rng, target)
    roll = rng.random()
    if roll < 0.12:
        return f"the word {quoted(rng, target)}"
    if roll < 0.24 and target.isalpha():
        return f"{rng.choice(('the', 'the', 'a', 'my', 'some'))} {target}"
    return quoted(rng, target)


def which_file(rng: random.Random) -> Problem:
    target = target_words(rng)
    counts = rng.choice(
        (
            (1, 0),
            (1, 0),
            (0, 1, 0),
            (1, 0, 0),
            (1,),
            (0, 1),
            (1, 1, 0),
            (1, 1),
            (2, 0),
            (0, 0),
            (0,),
            (1, 1, 1),
            (2, 1),
        )
    )
    files = planted(rng, target, counts)
    have = [f for f, body in files.items() if target in body]
    without = tuple(f for f in files if f not in have)
    value = (*have, target) if have else ("No file", target)
    return Problem(
        family="searching",
        prompt=phrase(rng, _WHICH, w=spelled(rng, target)),
        files=files,
        check=Check(kind="contains", value=value, without=without),
        expert=lambda: which_file_expert(target),
    )


def which_line_expert(file: str, target: str) -> Expert:
    result = yield search(target, file)
    if failed(result):
        return missing(file)
    if result == "(no matches)":
        return f"{file} does not mention {target}."
    numbers = [row.split(":")[1] for row in result.splitlines()]
    if len(numbers) == 1:
        return f"On line {numbers[0]}."
    return f"On lines {', '.join(numbers[:-1])} and {numbers[-1]}."


_LINE = phrasings("searching.line")


def which_line(rng: random.Random) -> Problem:
    target = target_words(rng)
    count = rng.choice((1, 1, 1, 1, 2, 2, 3, 0))
    files = planted(rng, target, (count,), longest=30)
    file = next(iter(files))
    at = [str(n) for n, row in enumerate(files[file].splitlines(), 1) if target in row]
    check = (
        Check(kind="line_numbers", value=tuple(at))
        if at
        else Check(kind="contains", value=("not", target))
    )
    if rng.random() < 0.05:
        file = next(p for p in iter(lambda: distinct_paths(rng, 1)[0], "") if p not in files)
        check = Check(kind="contains", value=(file, "no file"))
    chosen = file
    return Problem(
        family="searching",
        prompt=phrase(rng, _LINE, w=spelled(rng, target), f=name(rng, file)),
        files=files,
        check=check,
        expert=lambda: which_line_expert(chosen, target),
    )


def how_many_expert(target: str) -> Expert:
    return (yield shell(f'grep -rl "{target}" . | wc -l'))


def how_many(rng: random.Random) -> Problem:
    target = target_words(rng)
    counts = tuple(rng.choice((0, 1, 1, 2)) for _ in range(rng.randint(1, 5)))
    files = planted(rng, target, counts)
    templates = phrasings("searching.how_many")
    return Problem(
        family="searching",
        prompt=phrase(rng, templates, w=spelled(rng, target)),
        files=files,
        check=Check(kind="number", value=sum(target in body for body in files.values())),
        expert=lambda: how_many_expert(target),
    )


def quote_expert(target: str) -> Expert:
    result = yield search(target)
    if result == "(no matches)":
        return f"No file mentions {target}."
    return result.split(":", 2)[2]


def quote(rng: random.Random) -> Problem:
    """The text of the line that mentions a word."""
    target = plain_word(rng)
    files = planted(rng, target, rng.choice(((1, 0), (1,), (0, 1), (0, 1, 0))))
    line = next(row for body in files.values() for row in body.splitlines() if target in row)
    templates = phrasings("searching.quote")
    return Problem(
        family="searching",
        prompt=phrase(rng, templates, w=spelled(rng, target)),
        files=files,
        check=Check(kind="equals", value=line.rstrip()),
        expert=lambda: quote_expert(target),
    )


def searching(rng: random.Random) -> Problem:
    return rng.choice(
        (which_file, which_file, which_file, which_line, which_line, how_many, quote)
    )(rng)
