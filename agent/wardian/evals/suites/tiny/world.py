"""Random words, names, sentences, files and phrasings: the world the tasks are set in."""

import random
import re
from functools import cache
from importlib.resources import files

from wardian.evals.suites.tiny.phrasings import phrasings

TEXT_ENDINGS = ("txt", "txt", "txt", "md", "md", "log", "rst", "text")
CODE_ENDINGS = ("py", "py", "js", "sh", "c", "html", "css", "rs", "go")
SETTING_ENDINGS = ("toml", "ini", "cfg", "conf", "env", "yaml", "yml", "txt", "properties")
KNOWN_TEXTS = (
    "README.md", "README.md", "README.md", "README.rst", "README.txt", "CHANGELOG.md", "LICENSE",
    "CONTRIBUTING.md", "TODO.md", "TODO", "todo.txt", "notes.txt", "notes.md", "NOTES.md",
    "requirements.txt", "Makefile", "Dockerfile", "docs/index.md", "notes/todo.txt",
    "SECURITY.md", "ARCHITECTURE.md", "diary.txt", "log.txt", "app.log", "server.log",
    "story.txt", "letter.txt", "test.txt", "file.txt", "a.txt", "b.txt", "x.txt", "data.txt",
    "input.txt", "output.txt", "shopping.txt", "list.txt", "words.txt", "names.txt", "poem.txt",
)  # fmt: skip
KNOWN_CODE = (
    "main.py", "app.py", "setup.py", "src/main.py", "src/app.js", "index.html", "style.css",
    "script.sh", "utils.py", "tests/test_main.py", "src/lib.rs", "main.go", "__init__.py",
    "conftest.py", "run.sh", "src/index.js", "lib/util.c",
)  # fmt: skip
KNOWN_SETTINGS = (
    "config.toml", "settings.ini", "config.yaml", "config.ini", ".env", "app.conf", "setup.cfg",
    "pyproject.toml", "server.conf", "settings.toml", "config/app.ini", "database.ini",
)  # fmt: skip
FOLDERS = (
    "notes", "docs", "src", "data", "logs", "reports", "tests", "lib", "archive", "projects",
    "work", "old", "drafts", "config", "backup", "files", "texts", "scripts",
)  # fmt: skip
_ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "pr",
    "sh",
    "sk",
    "sl",
    "sp",
    "st",
    "th",
    "tr",
]
_NUCLEI = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ea", "ee", "ou", "oo"]
_CODAS = ["", "", "", "n", "r", "l", "s", "t", "m", "k", "x", "nd", "rt", "lk"]
_FOREIGN = (
    "café",
    "naïve",
    "über",
    "señor",
    "jalapeño",
    "crème",
    "Zürich",
    "façade",
    "Łódź",
    "smörgås",
)


@cache
def words() -> tuple[str, ...]:
    """Lower-case English words, then names of people, places, days and months."""
    return tuple(
        files("wardian.evals.suites.tiny").joinpath("words.txt").read_text("utf-8").split()
    )


def invented(rng: random.Random) -> str:
    """A word that is in no list, so that the network cannot learn words instead of copying."""
    parts = range(rng.choice((1, 2, 2, 2, 3)))
    return "".join(rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in parts)


def word(rng: random.Random) -> str:
    return invented(rng) if rng.random() < 0.3 else rng.choice(words())


def plain_word(rng: random.Random) -> str:
    """A lower-case word of at least three letters."""
    while True:
        found = word(rng).lower()
        if len(found) > 2 and found.isalpha():
            return found


def distinct_words(rng: random.Random, count: int) -> list[str]:
    """`count` words none of which is part of another."""
    found: list[str] = []
    while len(found) < count:
        new = plain_word(rng)
        if not any(new in other or other in new for other in found):
            found.append(new)
    return found


def stem(rng: random.Random) -> str:
    """A file name without its ending."""
    roll = rng.random()
    base = plain_word(rng)
    if roll < 0.55:
        return base
    if roll < 0.65:
        return f"{base}{rng.randint(1, 99)}"
    if roll < 0.85:
        return base + rng.choice("_-") + plain_word(rng)
    if roll < 0.93:
        return (
            f"{base}{rng.choice('_-')}{rng.choice((rng.randint(1, 12), rng.randint(2019, 2026)))}"
        )
    return base.capitalize()


def path(rng: random.Random, endings: tuple[str, ...], known: tuple[str, ...] = ()) -> str:
    """A file path, sometimes a well-known one, sometimes in a folder."""
    if known and rng.random() < 0.35:
        return rng.choice(known)
    name = f"{stem(rng)}.{rng.choice(endings)}"
    return f"{folder(rng)}/{name}" if rng.random() < 0.22 else name


def folder(rng: random.Random) -> str:
    return rng.choice(FOLDERS) if rng.random() < 0.7 else plain_word(rng)


def text_path(rng: random.Random) -> str:
    if rng.random() < 0.15:
        return path(rng, CODE_ENDINGS, KNOWN_CODE)
    return path(rng, TEXT_ENDINGS, KNOWN_TEXTS)


def distinct_paths(rng: random.Random, count: int) -> list[str]:
    """Text paths of which none is a folder of, equal to, or the end of another."""
    found: list[str] = []
    while len(found) < count:
        new = text_path(rng)
        clash = any(
            old.lower() == new.lower()
            or old.startswith(new)
            or new.startswith(old)
            or old.endswith(new)
            or new.endswith(old)
            for old in found
        )
        if not clash:
            found.append(new)
    return found


def sentence(rng: random.Random, low: int = 2, high: int = 9) -> str:
    """A line of words; usually begins with a capital and ends with a full stop."""
    line = [word(rng) for _ in range(rng.randint(low, high))]
    if rng.random() < 0.15:
        line[rng.randrange(len(line))] = number_text(rng)
    if rng.random() < 0.02:
        line[rng.randrange(len(line))] = rng.choice(_FOREIGN)
    text = " ".join(line)
    roll = rng.random()
    if roll < 0.5:
        return text[0].upper() + text[1:] + rng.choice(("", ".", ".", ".", "!", "?"))
    if roll < 0.56:
        return f"- {text}"
    if roll < 0.6:
        return f"# {text[0].upper()}{text[1:]}"
    if roll < 0.64 and len(line) > 2:
        cut = rng.randrange(1, len(line))
        return " ".join(line[:cut]) + ", " + " ".join(line[cut:])
    if roll < 0.66:
        return f"{rng.randint(1, 20)}. {text}"
    return text


def number_text(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.6:
        return str(rng.randint(0, 9999))
    if roll < 0.8:
        return f"{rng.randint(0, 999)}.{rng.randint(1, 99)}"
    return f"{rng.randint(2019, 2027)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def lines(rng: random.Random, count: int, *, blanks: float = 0.08) -> list[str]:
    """Lines of text of which the first and the last are not blank."""
    made = [sentence(rng) if rng.random() > blanks else "" for _ in range(count)]
    for edge in (0, -1):
        made[edge] = made[edge] or sentence(rng)
    return made


def line_count(body: str) -> int:
    return len(body.splitlines())


def word_count(body: str) -> int:
    return len(body.split())


def character_count(body: str) -> int:
    return len(body)


def text(rng: random.Random, low: int = 1, high: int = 40) -> str:
    """A file's text; now and then without a final newline."""
    body = "\n".join(lines(rng, rng.randint(low, high)))
    return body if rng.random() < 0.08 else body + "\n"


def quoted(rng: random.Random, value: str) -> str:
    """`value` as a person might set it off in a request."""
    mark = rng.choice(("", "", "", "", '"', '"', "'", "'", "`"))
    return f"{mark}{value}{mark}"


def always_quoted(rng: random.Random, value: str) -> str:
    mark = rng.choice(('"', '"', '"', "'", "'", "`"))
    return value if mark in value else f"{mark}{value}{mark}"


_CHOICE = re.compile(r"\(([^()]*)\)")


def phrase(rng: random.Random, templates: tuple[str, ...], **values: str) -> str:
    """One of `templates` with each (a|b) decided and each {name} filled in, then roughened."""
    chosen = rng.choice(templates)
    while _CHOICE.search(chosen):
        chosen = _CHOICE.sub(lambda m: rng.choice(m.group(1).split("|")), chosen)
    chosen = re.sub(r" +([?.!]?)$", r"\1", re.sub(r"  +", " ", chosen))
    if rng.random() < 0.04:
        chosen = _mistyped(rng, chosen)
    starts_with_value = chosen.startswith("{")
    return _roughened(rng, chosen.format(**values), keep_first=starts_with_value)


_PLAIN_WORD = re.compile(r"(?<![\w{])[A-Za-z]{4,}(?![\w}])")


def _mistyped(rng: random.Random, template: str) -> str:
    """`template` with one letter of one of its own words lost, doubled, or in the wrong place."""
    found = list(_PLAIN_WORD.finditer(template))
    if not found:
        return template
    spot = rng.choice(found)
    at = rng.randrange(spot.start() + 1, spot.end() - 1)
    wrong = rng.choice(("", template[at] * 2, template[at + 1] + template[at]))
    skipped = 2 if len(wrong) == 2 and wrong[0] != wrong[1] else 1
    return template[:at] + wrong + template[at + skipped :]


def _roughened(rng: random.Random, said: str, *, keep_first: bool) -> str:
    """Politeness, missing capitals and missing full stops."""
    mark = said[-1] if said[-1] in ".?" else ""
    closed = bool(mark)
    roll = rng.random()
    if closed and roll < 0.06:
        said = said[:-1] + rng.choice(phrasings("closings")) + mark
    elif not keep_first and roll < 0.14:
        said = f"{rng.choice(phrasings('openings'))} {said[0].lower()}{said[1:]}"
    if not keep_first and rng.random() < 0.3:
        said = said[0].lower() + said[1:]
    if mark == "?" and rng.random() < 0.2:
        said = said[:-1]
    elif mark == "." and rng.random() < 0.6:
        said = said[:-1] + rng.choice(("", "", "", "", "!", "?"))
    return said
