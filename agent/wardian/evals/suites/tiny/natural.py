"""Requests as newcomers type them: written by hand, used for testing only, never for training."""

from collections.abc import Mapping
from typing import Any

from wardian.evals.suites.experts import Expert
from wardian.evals.suites.tiny.problem import Check, Problem

README = """# Garden planner

Plan your beds, seeds and watering.

## Install

Run the installer and follow the steps.

## Use

Open the planner and add a bed.
Each bed has a name and a size.

## Questions

Ask on the forum.
"""
TODO = "buy milk\ncall the dentist\nwater the tomatoes\n"
POEM = "Roses are red.\nViolets are blue.\nThe garden is quiet.\n"
FOLDER: Mapping[str, str] = {
    "README.md": README,
    "notes/todo.txt": TODO,
    "notes/ideas.txt": "a greenhouse made of old windows\nteach the parrot to count\n",
    "src/main.py": 'import sys\n\n\ndef main():\n    print("planner")\n\n\nmain()\n',
    "config.toml": 'port = 8123\nhost = "localhost"\ncolor = "green"\n',
    "numbers.txt": "12\n7\n30\n1\n",
    "prices.csv": "item,price\nseeds,4.50\nspade,19.99\npot,3.00\n",
    "poem.txt": POEM,
}


def _number(value: float) -> Check:
    return Check(kind="number", value=value)


def _has(*texts: str) -> Check:
    return Check(kind="contains", value=texts)


def _is(text: str) -> Check:
    return Check(kind="equals", value=text)


def _file(path: str, text: str) -> Check:
    return Check(kind="file", value=(), files={path: text})


_BEYOND = Check(kind="beyond")
_HELLO = Check(kind="greeting")

REQUESTS: tuple[tuple[str, Check], ...] = (
    ("What is 1234 * 5678?", _number(7006652)),
    ("what's 15% of 80", _number(12)),
    ("17 + 25", _number(42)),
    ("Calculate (12 + 8) * 3.", _number(60)),
    ("how much is 99 divided by 4?", _number(24.75)),
    ("2 to the power of 16", _number(65536)),
    ("What is the square root of 2025?", _number(45)),
    ("I need the average of 4, 8 and 15.", _number(9)),
    ("add 3.5 and 2.25", _number(5.75)),
    ("How many minutes are there in 3 days?", _number(4320)),
    ("what is 1000000 minus 1", _number(999999)),
    ("Multiply 250 by 16 and tell me the result", _number(4000)),
    ("Which number is bigger: 381 or 318?", _number(381)),
    ("is 91 a prime number?", _is("no")),
    ("How many r's are in strawberry?", _number(3)),
    ("Spell the word planet backwards", _is("tenalp")),
    ("How many lines are in README.md?", _number(16)),
    ("how many lines does the readme have", _number(16)),
    ("Count the words in poem.txt", _number(10)),
    ("word count of notes/todo.txt please", _number(8)),
    ("How many characters does numbers.txt contain?", _number(10)),
    ("How often does the word bed appear in README.md?", _number(3)),
    ("Show me notes/todo.txt", _is(FOLDER["notes/todo.txt"].strip())),
    ("What does poem.txt say?", _is(FOLDER["poem.txt"].strip())),
    ("read line 2 of poem.txt", _is("Violets are blue.")),
    ("What's the first line of README.md?", _is("# Garden planner")),
    ("show the last line of notes/todo.txt", _is("water the tomatoes")),
    ("What port is configured in config.toml?", _number(8123)),
    ("Which color does config.toml use?", _is("green")),
    ("Tell me the host from config.toml", _is("localhost")),
    ("Which file mentions parrot?", _has("notes/ideas.txt")),
    ("Where do I mention the dentist?", _has("notes/todo.txt")),
    ("Is there any file that talks about a greenhouse?", _has("notes/ideas.txt")),
    ("find the word forum", _has("README.md")),
    ("Does any file contain the word dragon?", _has("no", "dragon")),
    ("On what line of README.md is the word forum?", Check(kind="line_numbers", value=("16",))),
    ("How many files mention planner?", _number(2)),
    ("What files are in the notes folder?", _has("ideas.txt", "todo.txt")),
    ("Which files do I have here?", _has("README.md", "config.toml", "poem.txt")),
    ("How many .txt files are there?", _number(4)),
    ("list all python files", _has("src/main.py")),
    ("Is there a file called secrets.txt?", _has("no")),
    ("Sum the numbers in numbers.txt", _number(50)),
    ("What's the biggest number in numbers.txt?", _number(30)),
    ("Add all numbers from numbers.txt and save the result in total.txt", _file("total.txt", "50")),
    ("What is the total price in prices.csv?", _number(27.49)),
    ("How many words does the file that mentions parrot have?", _number(11)),
    ("Which is longer, poem.txt or numbers.txt?", _has("poem.txt")),
    ("How many lines do all the txt files have together?", _number(12)),
    ('Create a file hello.txt with the text "Hello world"', _file("hello.txt", "Hello world")),
    ("write 'see you soon' to bye.txt", _file("bye.txt", "see you soon")),
    (
        "Add the line 'feed the cat' to notes/todo.txt",
        _file("notes/todo.txt", TODO + "feed the cat"),
    ),
    ("Replace red with pink in poem.txt", _file("poem.txt", POEM.replace("red", "pink"))),
    ("copy poem.txt to backup.txt", _file("backup.txt", FOLDER["poem.txt"])),
    ("rename numbers.txt to figures.txt", _file("figures.txt", FOLDER["numbers.txt"])),
    ("Run echo good morning", _is("good morning")),
    ("run the command `wc -l poem.txt`", _has("3", "poem.txt")),
    ("What is in shopping.txt?", _has("no file", "shopping.txt")),
    ("How many words are in missing.md?", _has("no file", "missing.md")),
    ("Write me a short poem about the sea.", _BEYOND),
    ("Who was the first person on the moon?", _BEYOND),
    ("What's the weather going to be like tomorrow?", _BEYOND),
    ("Translate good morning into Spanish", _BEYOND),
    ("Summarize README.md", _BEYOND),
    ("can you build me a website", _BEYOND),
    ("What should I cook tonight?", _BEYOND),
    ("Explain how airplanes fly", _BEYOND),
    ("hi", _HELLO),
    ("Who are you?", _HELLO),
    ("hello, what can you do?", _HELLO),
)


def _no_expert() -> Expert:
    raise AssertionError("nobody wrote a solution for a request that is only tested")
    yield  # a generator, as every expert is


def natural_problems() -> list[Problem]:
    """Each request in the same small folder."""
    return [_problem(prompt, check) for prompt, check in REQUESTS]


def _problem(prompt: str, check: Check) -> Problem:
    files: dict[str, Any] = dict(FOLDER)
    return Problem(family="natural", prompt=prompt, files=files, check=check, expert=_no_expert)
