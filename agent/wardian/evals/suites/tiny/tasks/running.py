"""Running a shell command that the person gives, and saying what it printed."""

import random

from wardian.evals.suites.experts import Expert, shell
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.world import distinct_paths, phrase, plain_word, text


def run_expert(command: str) -> Expert:
    result = yield shell(command)
    return "Done." if result == "(no output)" else result


def _command(rng: random.Random) -> tuple[str, dict[str, str], Check]:
    """A command, the files it needs, and what it prints (computed here, not run)."""
    file, other = distinct_paths(rng, 2)
    file = file.split("/")[-1]
    body = text(rng, 1, 5).rstrip("\n") + "\n"
    rows = body.splitlines()
    said = " ".join(plain_word(rng) for _ in range(rng.randint(1, 4)))
    number = rng.randint(1, 9)
    a, b = rng.randint(1, 9999), rng.randint(1, 999)
    table: tuple[tuple[str, dict[str, str], str], ...] = (
        (f"echo {said}", {}, said),
        (f'echo "{said}"', {}, said),
        (f"head -n 1 {file}", {file: body}, rows[0]),
        (f"tail -n 1 {file}", {file: body}, rows[-1]),
        (
            f"head -{min(number, len(rows))} {file}",
            {file: body},
            "\n".join(rows[: min(number, len(rows))]),
        ),
        (f"wc -l {file}", {file: body}, f"{len(rows)} {file}"),
        (f"wc -w < {file}", {file: body}, str(len(body.split()))),
        (f"cat {file}", {file: body}, body),
        (
            f"sort {file}",
            {file: "".join(sorted({w + chr(10) for w in said.split()}, reverse=True))},
            "\n".join(sorted(set(said.split()))),
        ),
        (f"touch {file}", {}, "Done."),
        ("ls", {file: body}, file if not file.startswith(".") else ""),
        ("ls | wc -l", {file: body}, "1" if not file.startswith(".") else "0"),
        (f"echo $(({a} + {b}))", {}, str(a + b)),
        (f"basename {other}", {}, other.split("/")[-1]),
        (f"seq {number}", {}, "\n".join(str(i) for i in range(1, number + 1))),
        (f"echo {said} | wc -w", {}, str(len(said.split()))),
        (f"printf {said.split()[0]}", {}, said.split()[0]),
        (f"mkdir {said.split()[0]}", {}, "Done."),
        (f"grep -c e {file}", {file: body}, str(sum("e" in r for r in rows))),
        (f"echo {said} | tr a-z A-Z", {}, said.upper()),
        ("true", {}, "Done."),
        (f"expr {a} + {b}", {}, str(a + b)),
    )
    command, files, output = rng.choice(table)
    if command.startswith("grep -c") and output == "0":
        command, files, output = table[0]
    return command, files, Check(kind="equals", value=output.rstrip())


def running(rng: random.Random) -> Problem:
    command, files, check = _command(rng)
    if check.value == "":
        return running(rng)
    mark = rng.choice(("", "", "", "`", "`", '"', "'"))
    mark = "" if mark in command else mark
    templates = phrasings("running.running")
    if not mark:
        templates = tuple(t for t in templates if t.endswith("{c}"))
    prompt = phrase(rng, templates, c="{c}").replace("{c}", f"{mark}{command}{mark}")
    return Problem(
        family="running",
        prompt=prompt,
        files=files,
        check=check,
        expert=lambda: run_expert(command),
    )


def failing(rng: random.Random) -> Problem:
    """A command that fails without a word, or is not there."""
    if rng.random() < 0.5:
        code = rng.choice((1, 1, 2, 3, 4, 7, 42))
        command = rng.choice(
            (
                f"exit {code}",
                f"(exit {code})",
                f"sh -c 'exit {code}'",
                "false" if code == 1 else f"exit {code}",
            )
        )
        check = Check(kind="contains", value=("failed", str(code)))
    else:
        command = plain_word(rng) + "x"
        check = Check(kind="contains", value=("failed", "127"))
    templates = phrasings("running.failing")

    def expert() -> Expert:
        result = yield shell(command)
        code = result.rpartition("[exit code ")[2].rstrip("]")
        return f"The command failed with exit code {code}."

    prompt = phrase(rng, templates, c="{c}").replace("{c}", command)
    return Problem(family="running", prompt=prompt, files={}, check=check, expert=expert)


def shell_tasks(rng: random.Random) -> Problem:
    return failing(rng) if rng.random() < 0.12 else running(rng)
