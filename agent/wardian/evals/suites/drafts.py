"""What a generator of tasks gives, and the programs that graders run."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardian.evals.suites.experts import Expert, Step

HIDDEN_CHECK = ".hidden/check.py"
"""In the grader's copy of the workspace only."""
CHECK_COMMAND = f"python3 -I {HIDDEN_CHECK}"
"""Isolated, so that no file of the workspace is imported in place of the standard library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task before it has a name, and how it can be solved."""

    prompt: str
    verifier: tuple[dict[str, Any], ...]
    expert: Callable[[], Expert]
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    hidden: Mapping[str, str] = field(default_factory=dict[str, str])
    protected: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def solved(answer: str, *steps: Step) -> Callable[[], Expert]:
    """An expert that makes these calls, whatever they give, and answers."""

    def expert() -> Expert:
        for step in steps:
            _ = yield step
        return answer

    return expert


def answered(*steps: Step) -> Callable[[], Expert]:
    """An expert that makes these calls and answers with what the last one printed."""

    def expert() -> Expert:
        result = ""
        for step in steps:
            result = yield step
        return result.strip()

    return expert


def hidden_check(body: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A verifier and its hidden file: a program that looks at the workspace it starts in.

    `body` calls `expect(is_right, what)`, and reads with `text(path)`, which is None for no file.
    """
    verifier = {"kind": "tests", "command": CHECK_COMMAND, "seconds": 60.0}
    return verifier, {HIDDEN_CHECK: CHECKER.format(body=body)}


CHECKER = """\
import csv, io, json, os, sys

passed = 0


def expect(is_right, what):
    global passed
    if not is_right:
        sys.exit("wrong: " + what)
    passed += 1


def text(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)


def loaded(path):
    try:
        return json.loads(text(path))
    except (TypeError, ValueError):
        return None


def rows(path):
    found = text(path)
    return None if found is None else [r for r in csv.reader(io.StringIO(found)) if r]


{body}
print(passed, "passed")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program's input and the output that is right."""

    stdin: str
    stdout: str


def hidden_cases(program: str, cases: Sequence[Case]) -> tuple[dict[str, Any], dict[str, str]]:
    """A verifier and its hidden file: a program of the workspace prints what it should.

    The right outputs are gone from the disk before the program is started, and it cannot read them
    in the memory of the grader.
    """
    verifier = {"kind": "tests", "command": CHECK_COMMAND, "seconds": 60.0}
    given = json.dumps([[case.stdin, case.stdout] for case in cases])
    return verifier, {HIDDEN_CHECK: RUNNER.format(cases=repr(given), program=repr(program))}


RUNNER = """\
import ctypes, json, os, subprocess, sys

PR_SET_DUMPABLE = 4
CASES = json.loads({cases})
os.unlink(__file__)
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
for given, wanted in CASES:
    done = subprocess.run(
        [sys.executable, {program}], input=given, capture_output=True, text=True, timeout=20
    )
    if done.returncode or done.stdout.split() != wanted.split():
        sys.exit("for the input %r: %r %s" % (given[:200], done.stdout[:200], done.stderr[-300:]))
print(len(CASES), "passed")
"""
