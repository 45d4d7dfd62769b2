"""Writing: create, append, replace, copy, rename."""

import random

from wardian.evals.suites.experts import Expert, Step, python, shell
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks.counting import missing
from wardian.evals.suites.tiny.tasks.reading import failed
from wardian.evals.suites.tiny.world import (
    always_quoted,
    distinct_paths,
    distinct_words,
    folder,
    number_text,
    phrase,
    quoted,
    sentence,
    text,
    word,
)


def content(rng: random.Random) -> str:
    """One line to write, free of the marks that would need escaping."""
    roll = rng.random()
    if roll < 0.15:
        return number_text(rng)
    if roll < 0.3:
        return word(rng)
    made = sentence(rng, 2, 8).lstrip("-# ").rstrip()
    return "".join(c for c in made if c not in "\"'\\`")


def create_expert(path: str, body: str) -> Expert:
    yield Step(name="write_file", arguments={"path": path, "content": body + "\n"})
    return f"Wrote {path}."


def create(rng: random.Random) -> Problem:
    path, other = distinct_paths(rng, 2)
    body = content(rng)
    said = always_quoted(rng, body) if rng.random() < 0.75 else body
    templates = phrasings("writing.create")
    if said == body:
        templates = phrasings("writing.create_unquoted")
    files = {other: text(rng, 1, 3)} if rng.random() < 0.3 else {}
    prompt = phrase(rng, templates, t="{t}", f=quoted(rng, path)).replace("{t}", said)
    return Problem(
        family="writing",
        prompt=prompt,
        files=files,
        check=Check(kind="file", value=(path,), files={path: body}),
        expert=lambda: create_expert(path, body),
    )


def append_expert(path: str, line: str) -> Expert:
    result = yield python(f'open("{path}", "a").write("{line}\\n")')
    return missing(path) if "FileNotFoundError" in result else f"Added a line to {path}."


def append(rng: random.Random) -> Problem:
    path = distinct_paths(rng, 1)[0]
    line = content(rng)
    said = always_quoted(rng, line) if rng.random() < 0.8 else line
    templates = phrasings("writing.append")
    if said == line:
        templates = phrasings("writing.append_unquoted")
    body = text(rng, 1, 6).rstrip("\n") + "\n"
    prompt = phrase(rng, templates, t="{t}", f=quoted(rng, path)).replace("{t}", said)
    return Problem(
        family="writing",
        prompt=prompt,
        files={path: body},
        check=Check(kind="file", value=(path,), files={path: body + line}),
        expert=lambda: append_expert(path, line),
    )


def replace_expert(path: str, old: str, new: str) -> Expert:
    result = yield Step(
        name="edit_file", arguments={"path": path, "old": old, "new": new, "replace_all": True}
    )
    if result.startswith("---"):
        return f"Replaced {old} with {new} in {path}."
    return missing(path) if failed(result) else f"{path} does not contain {old}."


def unquoted(_: random.Random, value: str) -> str:
    return value


def replace(rng: random.Random) -> Problem:
    path, other = distinct_paths(rng, 2)
    old, new = distinct_words(rng, 2)
    if rng.random() < 0.15:
        old, new = str(rng.randint(100, 999)), str(rng.randint(1000, 9999))
    elif rng.random() < 0.15:
        old = f"{old} {distinct_words(rng, 1)[0]}"
    rows = [r for r in text(rng, 1, 6).splitlines() if old not in r]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        parts = [word(rng) for _ in range(rng.randint(1, 5))]
        parts.insert(rng.randint(0, len(parts)), old)
        rows.insert(rng.randint(0, len(rows)), " ".join(parts))
    body = "\n".join(rows) + "\n"
    files, check = (
        {path: body},
        Check(kind="file", value=(path,), files={path: body.replace(old, new)}),
    )
    roll = rng.random()
    if roll < 0.08:
        kept = "\n".join(r for r in rows if old not in r) + "\nkept\n"
        files, check = {path: kept}, Check(kind="file", value=("not", old), files={path: kept})
    elif roll < 0.14:
        files, check = (
            {other: body},
            Check(kind="file", value=(path, "no file"), files={other: body}),
        )
    quote = always_quoted if " " in old or rng.random() < 0.35 else unquoted
    templates = phrasings("writing.replace")
    return Problem(
        family="writing",
        prompt=phrase(rng, templates, a=quote(rng, old), b=quote(rng, new), f=quoted(rng, path)),
        files=files,
        check=check,
        expert=lambda: replace_expert(path, old, new),
    )


def moved_expert(command: str, source: str, target: str) -> Expert:
    result = yield shell(f"{command} {source} {target}")
    if result != "(no output)":
        return missing(source)
    return f"{'Copied' if command == 'cp' else 'Renamed'} {source} to {target}."


def move(rng: random.Random) -> Problem:
    paths = [p.split("/")[-1] for p in distinct_paths(rng, 3)]
    source, target, other = paths
    if len({p.lower() for p in paths}) < 3:
        return move(rng)
    command = rng.choice(("cp", "cp", "mv"))
    body = text(rng, 1, 4)
    after = {source: body, target: body} if command == "cp" else {target: body}
    check = Check(kind="file", value=(source, target), files=after, without=("no file",))
    files = {source: body}
    if rng.random() < 0.1:
        files, check = (
            {other: body},
            Check(kind="file", value=(source, "no file"), files={other: body}),
        )
    templates = phrasings("writing.copy") if command == "cp" else phrasings("writing.rename")
    return Problem(
        family="writing",
        prompt=phrase(rng, templates, a=quoted(rng, source), b=quoted(rng, target)),
        files=files,
        check=check,
        expert=lambda: moved_expert(command, source, target),
    )


def new_folder(rng: random.Random) -> Problem:
    name = folder(rng)
    templates = phrasings("writing.new_folder")

    def expert() -> Expert:
        yield shell(f"mkdir -p {name}")
        return f"Made the folder {name}."

    return Problem(
        family="writing",
        prompt=phrase(rng, templates, d=quoted(rng, name)),
        files={},
        check=Check(kind="folder", value=name),
        expert=expert,
    )


def writing(rng: random.Random) -> Problem:
    return rng.choice(
        (create, create, create, append, append, replace, replace, replace, move, move, new_folder)
    )(rng)
