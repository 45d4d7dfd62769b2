"""What can be told of a shell line without running it."""

import random
import shlex
import subprocess
from pathlib import Path

import pytest

from wardian_policies.shell_lines import understand, understand_argv

PIECES = [
    *" \t'\"\\$`;&|<>(){}[]*?~#!^=%@+:,./-\n\r",
    "a",
    "B7",
    "é",
    "x=",
    "--",
    "\x1b",
    "&&",
    "$(",
]


def lines(count: int) -> list[str]:
    source = random.Random(4)
    return ["".join(source.choices(PIECES, k=source.randint(1, 9))) for _ in range(count)]


def test_a_shell_gives_a_plain_line_exactly_these_words(tmp_path: Path) -> None:
    for name in ("a", "-x", "B7"):  # something for a pattern to expand to
        (tmp_path / name).write_text("")
    plain = [line for line in lines(60_000) if understand(line).argv is not None]
    assert len(plain) > 500
    script = "".join(f'set -- {line}\nprintf \'%s\\0\' "$#" "$@"\n' for line in plain)
    done = subprocess.run(
        ["sh"], input=script.encode(), cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stderr == b""
    given = done.stdout.decode().split("\0")[:-1]
    for line in plain:
        count = int(given.pop(0))
        words, given = given[:count], given[count:]
        assert tuple(words) == understand(line).argv, line


def test_a_plain_line_is_split_as_by_the_standard_library() -> None:
    for line in lines(5_000):
        if (argv := understand(line).argv) is not None:
            assert argv == tuple(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "git push; rm -rf x",
        "git status $(rm x)",
        "git status `rm x`",
        'git log "$(rm x)"',
        "cat <<END\nrm x\nEND",
        "ls *.py",
        "ls ~",
        "ls {a,b}",
        "X=1 make",
        "ls > out",
        "ls &",
        "ls # x",
        "! ls",
        "cd x",
        "eval ls",
        "exec ls",
        "export PATH=x",
        ". ./x.sh",
        "command ls",
        "if true",
        "ls\nrm x",
        "ls\\ x",
        "ls 'x",
        "echo a\x1b[2K",
        "",
        "''",
    ],
)
def test_what_a_shell_interprets_is_not_plain_and_says_why(line: str) -> None:
    understood = understand(line)
    assert understood.argv is None
    assert understood.why


@pytest.mark.parametrize(
    "line",
    [
        "git push origin",
        "  git   push origin",
        "'git' \"push\" origin",
        "/usr/bin/git push origin",
        "cd x && git push origin",
        "true; git push origin",
        "X=1 Y=2 git push origin",
        "git >out push origin",
        "git push origin 2>&1 | tail",
        "echo $(git push origin)",
        'echo "$(git push origin)"',
        "echo `git push origin`",
        "(git push origin)",
        "{ git push origin; }",
        "if true; then git push origin; fi",
        "! git push origin",
        "git pu\\sh origin",
        "time git push origin",
        "env A=b git push origin",
        "sudo -u bob git push origin",
        "timeout -k 5 60 git push origin",
        "xargs -n 1 git push origin",
        "sh -c 'git push origin'",
        "bash -lc 'cd x; git push origin'",
        "env -S 'git push origin'",
        "eval 'git push origin'",
        "eval git push origin",
        "nohup nice -n 5 git push origin",
        "find . -exec git push origin ';'",
        "sh -c \"sh -c 'git push origin'\"",
        "true\ngit push origin",
    ],
)
def test_a_program_is_found_behind_whatever(line: str) -> None:
    found = [argv[:3] for argv in understand(line).commands]
    assert ("git", "push", "origin") in found


@pytest.mark.parametrize("line", ["git status", "echo 'git push; x'", "grep -c push x"])
def test_a_harmless_line_names_no_push(line: str) -> None:
    assert all(argv[:2] != ("git", "push") for argv in understand(line).commands)


def test_words_given_as_such_are_never_for_a_shell() -> None:
    assert understand_argv(("echo", "$(x)", "; rm")).argv == ("echo", "$(x)", "; rm")
    assert understand_argv(()).argv is None


@pytest.mark.parametrize("piece", ["'a'", "a ", "x;", "$(", '"', "a\\", "env ", "( ", "''"])
def test_a_long_hostile_line_is_read_in_time(piece: str) -> None:
    # With a quadratic or worse reading this would take minutes.
    line = understand(piece * 20_000)
    assert line.commands is not None
