"""Reading a file: the whole, one line, or the value of one key."""

import random

from wardian.evals.suites.experts import Expert, Step, python
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.counting import missing, name
from wardian.evals.suites.tiny.world import (
    KNOWN_SETTINGS,
    SETTING_ENDINGS,
    distinct_paths,
    lines,
    number_text,
    path,
    phrase,
    plain_word,
    quoted,
    sentence,
    text,
    word,
)

SHOWN_LINES = 20
"""A longer file is not shown whole."""
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
]


def read(file: str, first: int, last: int) -> Step:
    return Step(name="read_file", arguments={"path": file, "start_line": first, "end_line": last})


def failed(result: str) -> bool:
    """Whether a file tool's result says that the file is not there."""
    return result.startswith("no file '")


def without_range(result: str) -> str:
    """What `read_file` returned, without its closing `[lines a-b of n]`."""
    body, _, last = result.rpartition("\n")
    return body if last.startswith("[lines ") else result


def whole_expert(file: str) -> Expert:
    result = yield read(file, 1, SHOWN_LINES)
    if failed(result):
        return missing(file)
    if "\n[lines 1-" in result:
        count = result.rpartition(" of ")[2].rstrip("]")
        return f"{file} has {count} lines and begins: {result.splitlines()[0]}"
    if result == "(empty file)":
        return f"{file} is empty."
    return result


_WHOLE = phrasings("reading.whole")


def whole(rng: random.Random) -> Problem:
    file, other = distinct_paths(rng, 2)
    roll = rng.random()
    if roll < 0.2:
        rows = lines(rng, rng.randint(SHOWN_LINES + 1, 60), blanks=0.2)
        check = Check(kind="contains", value=(str(len(rows)), rows[0]))
    elif roll < 0.24:
        rows = []
        check = Check(kind="contains", value=("empty",))
    else:
        rows = lines(rng, rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 7)), blanks=0.05)
        check = Check(kind="equals", value="\n".join(rows))
    files = {file: "\n".join(rows) + "\n" if rows else ""}
    if rng.random() < 0.08:
        files, check = {other: text(rng, 1, 3)}, Check(kind="contains", value=(file, "no file"))
    return Problem(
        family="reading",
        prompt=phrase(rng, _WHOLE, f=name(rng, file)),
        files=files,
        check=check,
        expert=lambda: whole_expert(file),
    )


def line_expert(file: str, number: int) -> Expert:
    result = yield read(file, number, number)
    return missing(file) if failed(result) else without_range(result)


def numbered_line(rng: random.Random) -> Problem:
    file, other = distinct_paths(rng, 2)
    rows = lines(rng, rng.randint(2, 40), blanks=0.0)
    number = rng.randint(1, min(len(rows), rng.choice((3, 10, 40))))
    if number <= 10 and rng.random() < 0.45:
        templates = phrasings("reading.ordinal_line")
    else:
        templates = phrasings("reading.numbered_line")
    ordinal = _ORDINALS[number - 1] if number <= 10 else ""
    files, check = {file: "\n".join(rows) + "\n"}, Check(kind="equals", value=rows[number - 1])
    if rng.random() < 0.06:
        files, check = {other: text(rng, 1, 3)}, Check(kind="contains", value=(file, "no file"))
    return Problem(
        family="reading",
        prompt=phrase(rng, templates, o=ordinal, n=str(number), f=name(rng, file)),
        files=files,
        check=check,
        expert=lambda: line_expert(file, number),
    )


def last_expert(file: str) -> Expert:
    result = yield python(f'print(open("{file}").read().splitlines()[-1])')
    return missing(file) if "FileNotFoundError" in result else result


def last_line(rng: random.Random) -> Problem:
    file = distinct_paths(rng, 1)[0]
    rows = lines(rng, rng.randint(2, 40))
    templates = phrasings("reading.last_line")
    return Problem(
        family="reading",
        prompt=phrase(rng, templates, f=name(rng, file)),
        files={file: "\n".join(rows) + "\n"},
        check=Check(kind="equals", value=rows[-1]),
        expert=lambda: last_expert(file),
    )


def first_lines(rng: random.Random) -> Problem:
    file = distinct_paths(rng, 1)[0]
    rows = lines(rng, rng.randint(5, 40), blanks=0.05)
    count = rng.randint(2, 5)
    said = rng.choice((str(count), ("two", "three", "four", "five")[count - 2]))
    templates = phrasings("reading.first_lines")
    return Problem(
        family="reading",
        prompt=phrase(rng, templates, n=said, f=name(rng, file)),
        files={file: "\n".join(rows) + "\n"},
        check=Check(kind="equals", value="\n".join(rows[:count])),
        expert=lambda: line_range_expert(file, count),
    )


def line_range_expert(file: str, last: int) -> Expert:
    result = yield read(file, 1, last)
    return missing(file) if failed(result) else without_range(result)


_KEYS = (
    "port",
    "host",
    "user",
    "name",
    "version",
    "color",
    "colour",
    "timeout",
    "debug",
    "level",
    "path",
    "size",
    "title",
    "author",
    "email",
    "password",
    "limit",
    "language",
    "theme",
    "mode",
    "retries",
    "database",
    "region",
    "token",
    "width",
    "height",
    "speed",
    "price",
    "address",
    "phone",
    "status",
    "owner",
    "license",
)


def key_value(rng: random.Random) -> tuple[str, str]:
    key = rng.choice(_KEYS) if rng.random() < 0.6 else plain_word(rng)
    if rng.random() < 0.15:
        key = f"{key}_{rng.choice(_KEYS)}"
    roll = rng.random()
    if roll < 0.3:
        return key, str(rng.randint(0, 9999))
    if roll < 0.4:
        return key, number_text(rng)
    if roll < 0.5:
        return key, rng.choice(("true", "false", "yes", "no", "on", "off"))
    if roll < 0.9:
        return key, word(rng)
    return key, f"{plain_word(rng)}.{rng.choice(('com', 'org', 'local', 'txt'))}"


def settings(rng: random.Random) -> tuple[dict[str, str], str]:
    """Keys with their values, and the text of the file that holds them."""
    pairs: dict[str, str] = {}
    for _ in range(rng.randint(2, 9)):
        key, value = key_value(rng)
        if not any(key.startswith(k) or k.startswith(key) for k in pairs):
            pairs[key] = value
    joint = rng.choice((" = ", " = ", "=", ": ", ": "))
    mark = '"' if rng.random() < 0.15 and joint != "=" else ""
    rows = [
        f"{k}{joint}{mark if v.isalpha() else ''}{v}{mark if v.isalpha() else ''}"
        for k, v in pairs.items()
    ]
    if rng.random() < 0.25:
        rows.insert(0, rng.choice((f"[{plain_word(rng)}]", f"# {sentence(rng, 1, 4)}")))
    return pairs, "\n".join(rows) + "\n"


def key_expert(file: str, key: str) -> Expert:
    result = yield Step(name="search_files", arguments={"pattern": f"^{key}", "path": file})
    if failed(result):
        return missing(file)
    if result == "(no matches)":
        return f"There is no {key} in {file}."
    return result.split(":", 2)[2][len(key) :].lstrip(" =:").strip('"')


_KEY = phrasings("reading.key")


def keyed(rng: random.Random) -> Problem:
    file = path(rng, SETTING_ENDINGS, KNOWN_SETTINGS)
    pairs, body = settings(rng)
    key = rng.choice(list(pairs))
    check, files = Check(kind="equals", value=pairs[key]), {file: body}
    roll = rng.random()
    if roll < 0.05:
        key = next(
            k
            for k in iter(lambda: key_value(rng)[0], "")
            if not any(p.startswith(k) for p in pairs)
        )
        check = Check(kind="contains", value=(key, "no "))
    elif roll < 0.1:
        files, check = (
            {f"other-{rng.randint(1, 9)}.txt": body},
            Check(kind="contains", value=(file, "no file")),
        )
    chosen = key
    return Problem(
        family="reading",
        prompt=phrase(rng, _KEY, k=quoted(rng, key), f=name(rng, file)),
        files=files,
        check=check,
        expert=lambda: key_expert(file, chosen),
    )


def reading(rng: random.Random) -> Problem:
    return rng.choice(
        (whole, whole, numbered_line, numbered_line, last_line, first_lines, keyed, keyed, keyed)
    )(rng)
