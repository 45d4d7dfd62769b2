"""Tasks of several steps: what one call found goes into the next."""

import random

from wardian.evals.suites.experts import Expert, Step, python
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.numbers import (
    column,
    numbers_in_file,
    total_written,
    two_files,
)
from wardian.evals.suites.tiny.tasks.reading import read, settings, without_range
from wardian.evals.suites.tiny.tasks.searching import found_in, planted, search
from wardian.evals.suites.tiny.world import (
    character_count,
    distinct_paths,
    distinct_words,
    line_count,
    path,
    phrase,
    plain_word,
    quoted,
    text,
    word,
    word_count,
)


def found_then_counted(target: str, code: str) -> Expert:
    result = yield search(target)
    if result == "(no matches)":
        return f"No file mentions {target}."
    return (yield python(code.replace("{p}", found_in(result)[0])))


def count_in_found(rng: random.Random) -> Problem:
    target = plain_word(rng)
    files = planted(rng, target, rng.choice(((1, 0), (0, 1), (0, 1, 0), (1,), (0, 0))), longest=15)
    body = next((b for b in files.values() if target in b), None)
    code, unit, truth = rng.choice(
        (
            ('print(len(open("{p}").readlines()))', "lines", line_count),
            ('print(len(open("{p}").read().split()))', "words", word_count),
            ('print(len(open("{p}").read()))', "characters", character_count),
        )
    )
    templates = phrasings("steps.count_in_found")
    check = (
        Check(kind="contains", value=("No file", target))
        if body is None
        else Check(kind="number", value=truth(body))
    )
    return Problem(
        family="steps",
        prompt=phrase(rng, templates, u=unit, w=quoted(rng, target)),
        files=files,
        check=check,
        expert=lambda: found_then_counted(target, code),
    )


def found_then_keyed(target: str, key: str) -> Expert:
    result = yield search(target)
    file = found_in(result)[0]
    result = yield Step(name="search_files", arguments={"pattern": f"^{key}", "path": file})
    return result.split(":", 2)[2][len(key) :].lstrip(" =:").strip('"')


def key_in_found(rng: random.Random) -> Problem:
    pairs, body = settings(rng)
    key = rng.choice(list(pairs))
    while True:
        target = plain_word(rng)
        if target not in body:
            break
    files = {path(rng, ("toml", "ini", "conf", "txt", "cfg")): body + f"# {target}\n"}
    files |= {p: b for p, b in planted(rng, target, (0,)).items() if p not in files}
    templates = phrasings("steps.key_in_found")
    return Problem(
        family="steps",
        prompt=phrase(rng, templates, k=key, w=quoted(rng, target)),
        files=files,
        check=Check(kind="equals", value=pairs[key]),
        expert=lambda: found_then_keyed(target, key),
    )


def first_of_found(rng: random.Random) -> Problem:
    target = plain_word(rng)
    files = planted(rng, target, rng.choice(((1, 0), (0, 1), (1,))), longest=12)
    body = next(b for b in files.values() if target in b)

    def expert() -> Expert:
        file = found_in((yield search(target)))[0]
        return without_range((yield read(file, 1, 1)))

    templates = phrasings("steps.first_of_found")
    return Problem(
        family="steps",
        prompt=phrase(rng, templates, w=quoted(rng, target)),
        files=files,
        check=Check(kind="equals", value=body.splitlines()[0]),
        expert=expert,
    )


def compared(rng: random.Random) -> Problem:
    first, second = distinct_paths(rng, 2)
    files = {first: text(rng, 1, 20), second: text(rng, 1, 20)}
    unit, code, truth = rng.choice(
        (
            ("lines", "len(open(f).readlines())", line_count),
            ("words", "len(open(f).read().split())", word_count),
            ("", "len(open(f).read())", character_count),
            ("characters", "len(open(f).read())", character_count),
        )
    )
    if truth(files[first]) == truth(files[second]):
        return compared(rng)
    templates = phrasings("steps.compared_by") if unit else phrasings("steps.longer")

    def expert() -> Expert:
        return (yield python(f'print(max("{first}", "{second}", key=lambda f: {code}))'))

    return Problem(
        family="steps",
        prompt=phrase(rng, templates, u=unit, a=quoted(rng, first), b=quoted(rng, second)),
        files=files,
        check=Check(kind="equals", value=max((first, second), key=lambda p: truth(files[p]))),
        expert=expert,
    )


def over_all(rng: random.Random) -> Problem:
    ending = rng.choice(("txt", "txt", "md", "log", "py"))
    files: dict[str, str] = {}
    for _ in range(rng.randint(1, 5)):
        folder = f"{plain_word(rng)}/" if rng.random() < 0.25 else ""
        files[f"{folder}{plain_word(rng)}.{ending if rng.random() < 0.75 else 'dat'}"] = text(
            rng, 1, 12
        )
    unit, code, truth = rng.choice(
        (
            ("words", "len(open(f).read().split())", word_count),
            ("lines", "len(open(f).readlines())", line_count),
        )
    )
    said = rng.choice((f".{ending}", ending, f"*.{ending}"))
    templates = phrasings("steps.over_all")

    def expert() -> Expert:
        every = f'glob("**/*.{ending}", recursive=True)'
        return (yield python(f"from glob import glob; print(sum({code} for f in {every}))"))

    return Problem(
        family="steps",
        prompt=phrase(rng, templates, u=unit, e=said),
        files=files,
        check=Check(
            kind="number", value=sum(truth(b) for p, b in files.items() if p.endswith(f".{ending}"))
        ),
        expert=expert,
    )


def replaced_in_found(rng: random.Random) -> Problem:
    old, new = distinct_words(rng, 2)
    files = planted(rng, old, rng.choice(((1, 0), (0, 1), (1,))))
    file, body = next((p, b) for p, b in files.items() if old in b)

    def expert() -> Expert:
        found = found_in((yield search(old)))[0]
        yield Step(
            name="edit_file", arguments={"path": found, "old": old, "new": new, "replace_all": True}
        )
        return f"Replaced {old} with {new} in {found}."

    templates = phrasings("steps.replaced_in_found")
    return Problem(
        family="steps",
        prompt=phrase(rng, templates, a=quoted(rng, old), b=quoted(rng, new)),
        files=files,
        check=Check(kind="file", value=(file,), files={file: body.replace(old, new)}),
        expert=expert,
    )


def line_copied(rng: random.Random) -> Problem:
    source, target = (p.split("/")[-1] for p in distinct_paths(rng, 2))
    rows = [
        " ".join(word(rng) for _ in range(rng.randint(1, 7))) for _ in range(rng.randint(2, 12))
    ]
    number = rng.choice((1, 1, rng.randint(1, len(rows))))
    if source == target:
        return line_copied(rng)

    def expert() -> Expert:
        line = without_range((yield read(source, number, number)))
        yield Step(name="write_file", arguments={"path": target, "content": line + "\n"})
        return f"Wrote {target}."

    said = "the first line" if number == 1 else f"line {number}"
    templates = phrasings("steps.line_copied")
    return Problem(
        family="steps",
        prompt=phrase(rng, templates, l=said, a=quoted(rng, source), b=quoted(rng, target)),
        files={source: "\n".join(rows) + "\n"},
        check=Check(kind="file", value=(target,), files={target: rows[number - 1]}),
        expert=expert,
    )


def steps(rng: random.Random) -> Problem:
    makers = (
        count_in_found,
        count_in_found,
        key_in_found,
        first_of_found,
        numbers_in_file,
        numbers_in_file,
        total_written,
        two_files,
        compared,
        over_all,
        replaced_in_found,
        line_copied,
        column,
        column,
    )
    return rng.choice(makers)(rng)
