"""Listing: which files there are, how many, which is the largest."""

import random

from wardian.evals.suites.experts import Expert, Step, python, shell
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.world import (
    FOLDERS,
    distinct_paths,
    phrase,
    plain_word,
    quoted,
    stem,
    text,
)

SHOWN = 12
ENDINGS = (
    "txt",
    "md",
    "py",
    "csv",
    "json",
    "log",
    "toml",
    "js",
    "html",
    "png",
    "pdf",
    "yaml",
    "sh",
    "rs",
    "css",
    "ini",
)
_LANGUAGES = {
    "py": "Python",
    "js": "JavaScript",
    "md": "Markdown",
    "csv": "CSV",
    "json": "JSON",
    "txt": "text",
    "log": "log",
    "html": "HTML",
    "toml": "TOML",
    "pdf": "PDF",
    "yaml": "YAML",
}


def listed(result: str) -> str:
    """What `list_files` said, shortened when it is long."""
    rows = result.splitlines()
    return result if len(rows) <= SHOWN else "\n".join([*rows[:5], "and more"])


def folder_expert(folder: str | None) -> Expert:
    result = yield Step(name="list_files", arguments={"path": folder} if folder else {})
    if result == "(no files)":
        return "There are no files here." if folder is None else f"There are no files in {folder}."
    if result.startswith("no file "):
        return f"There is no folder named {folder}."
    return listed(result)


def some_files(rng: random.Random, count: int) -> dict[str, str]:
    return {path: text(rng, 1, 4) for path in distinct_paths(rng, count)}


def top_level(files: dict[str, str]) -> list[str]:
    return sorted({p.split("/")[0] + ("/" if "/" in p else "") for p in files})


def here(rng: random.Random) -> Problem:
    files = some_files(rng, rng.choice((0, 1, 2, 2, 3, 3, 4, 5, 6, 8)))
    if rng.random() < 0.08:
        files = {f"{stem(rng)}.{rng.choice(ENDINGS)}": "x\n" for _ in range(rng.randint(16, 30))}
    shown = top_level(files)
    templates = phrasings("listing.here")
    if not shown:
        check = Check(kind="contains", value=("no files",))
    elif len(shown) > SHOWN:
        check = Check(kind="contains", value=tuple(shown[:5]))
    else:
        check = Check(kind="rows", value=tuple(shown))
    return Problem(
        family="listing",
        prompt=phrase(rng, templates),
        files=files,
        check=check,
        expert=lambda: folder_expert(None),
    )


def in_folder(rng: random.Random) -> Problem:
    folder = rng.choice(FOLDERS) if rng.random() < 0.6 else plain_word(rng)
    names = {
        f"{folder}/{stem(rng)}.{rng.choice(ENDINGS)}" for _ in range(rng.choice((1, 2, 3, 4, 5)))
    }
    files = {n: text(rng, 1, 3) for n in sorted(names)} | some_files(rng, rng.choice((0, 1, 2)))
    shown = sorted(
        {
            folder + "/" + p[len(folder) + 1 :].split("/")[0]
            for p in files
            if p.startswith(folder + "/")
        }
    )
    check = Check(kind="rows", value=tuple(shown))
    templates = phrasings("listing.in_folder")
    if rng.random() < 0.08:
        files, check = some_files(rng, 1), Check(kind="contains", value=("no folder", folder))
        files = {k: v for k, v in files.items() if not k.startswith(folder)}
    spelled = rng.choice((folder, folder, folder, f"{folder}/", f'"{folder}"'))
    return Problem(
        family="listing",
        prompt=phrase(rng, templates, d=spelled),
        files=files,
        check=check,
        expert=lambda: folder_expert(folder),
    )


def with_ending(rng: random.Random) -> tuple[str, dict[str, str]]:
    ending = rng.choice(ENDINGS)
    files: dict[str, str] = {}
    for _ in range(rng.randint(1, 7)):
        other = rng.choice(ENDINGS)
        chosen = ending if rng.random() < 0.5 else other
        prefix = f"{rng.choice(FOLDERS)}/" if rng.random() < 0.25 else ""
        files[f"{prefix}{stem(rng)}.{chosen}"] = text(rng, 1, 3)
    return ending, files


def kind_said(rng: random.Random, ending: str) -> str:
    said = [f".{ending}", f".{ending}", ending, f"*.{ending}"]
    if ending in _LANGUAGES:
        said += [_LANGUAGES[ending]] * 2
    return rng.choice(said)


def ending_expert(ending: str) -> Expert:
    result = yield Step(name="list_files", arguments={"pattern": f"**/*.{ending}"})
    return f"There are no .{ending} files." if result == "(no files)" else listed(result)


def of_ending(rng: random.Random) -> Problem:
    ending, files = with_ending(rng)
    have = tuple(sorted(f for f in files if f.endswith(f".{ending}")))
    templates = phrasings("listing.of_ending")
    check = (
        Check(kind="rows", value=have)
        if have
        else Check(kind="contains", value=("no", f".{ending}"))
    )
    return Problem(
        family="listing",
        prompt=phrase(rng, templates, e=kind_said(rng, ending)),
        files=files,
        check=check,
        expert=lambda: ending_expert(ending),
    )


def printed(code: str) -> Expert:
    return (yield python(code))


def told(command: str) -> Expert:
    return (yield shell(command))


def how_many(rng: random.Random) -> Problem:
    ending, files = with_ending(rng)
    if rng.random() < 0.5:
        templates = phrasings("listing.how_many_of_ending")
        command = f'find . -name "*.{ending}" | wc -l'
        value, prompt = (
            sum(f.endswith(f".{ending}") for f in files),
            phrase(rng, templates, e=kind_said(rng, ending)),
        )
    else:
        templates = phrasings("listing.how_many")
        command, value, prompt = "find . -type f | wc -l", len(files), phrase(rng, templates)
    return Problem(
        family="listing",
        prompt=prompt,
        files=files,
        check=Check(kind="number", value=value),
        expert=lambda: told(command),
    )


def extreme(rng: random.Random) -> Problem:
    paths = distinct_paths(rng, rng.randint(2, 5))
    sizes = rng.sample(range(5, 900, 7), len(paths))
    files = {p: (text(rng, 30, 60) * 3)[: s - 1] + "\n" for p, s in zip(paths, sizes, strict=True)}
    actual = {p: len(body.encode()) for p, body in files.items()}
    if len(set(actual.values())) < len(actual):
        return extreme(rng)
    smallest = rng.random() < 0.3
    templates = phrasings("listing.extreme")
    said = rng.choice(
        ("smallest", "smallest", "shortest")
        if smallest
        else ("largest", "biggest", "largest", "longest")
    )
    pick = min if smallest else max
    every = 'filter(os.path.isfile, glob("**", recursive=True))'
    code = f"import os; from glob import glob; print({pick.__name__}({every}, key=os.path.getsize))"
    hidden_free = {p: n for p, n in actual.items() if not p.split("/")[-1].startswith(".")}
    return Problem(
        family="listing",
        prompt=phrase(rng, templates, x=said),
        files=files,
        check=Check(kind="equals", value=pick(hidden_free, key=lambda p: hidden_free[p])),
        expert=lambda: printed(code),
    )


def size_of(rng: random.Random) -> Problem:
    file = distinct_paths(rng, 1)[0]
    body = text(rng, 1, 50)
    templates = phrasings("listing.size_of")
    code = f'import os; print(os.path.getsize("{file}"))'

    def expert() -> Expert:
        result = yield python(code)
        return (
            f"There is no file named {file}."
            if "FileNotFoundError" in result
            else f"{result} bytes."
        )

    return Problem(
        family="listing",
        prompt=phrase(rng, templates, f=quoted(rng, file)),
        files={file: body},
        check=Check(kind="number", value=len(body.encode())),
        expert=expert,
    )


def exists(rng: random.Random) -> Problem:
    file, other = distinct_paths(rng, 2)
    there = rng.random() < 0.55
    files = {file: text(rng, 1, 3), other: text(rng, 1, 3)} if there else {other: text(rng, 1, 3)}
    templates = phrasings("listing.exists")
    code = f'import os; print("yes" if os.path.exists("{file}") else "no")'
    return Problem(
        family="listing",
        prompt=phrase(rng, templates, f=quoted(rng, file)),
        files=files,
        check=Check(kind="equals", value="yes" if there else "no"),
        expert=lambda: printed(code),
    )


def listing(rng: random.Random) -> Problem:
    return rng.choice(
        (here, here, in_folder, of_ending, how_many, how_many, extreme, size_of, exists)
    )(rng)
