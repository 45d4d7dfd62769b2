"""Small programs that the family `code` breaks and has mended.

Each is a function from the lines of the standard input to the lines that are printed. Its source,
taken from here, is what a task's workspace holds, with one of `BUGS` put in.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wardian.evals.suites.core.inputs import (
    account_input,
    bracket_input,
    frequent_input,
    grade_input,
    invoice_input,
    leap_input,
    meeting_input,
    range_input,
    roman_input,
    run_input,
)
from wardian.evals.suites.core.world import World
from wardian.evals.tasks import Split

Program = Callable[[list[str]], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    right: str
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A program, what it is for, what can be wrong in it, and inputs to try it with."""

    program: Program
    purpose: str
    bugs: tuple[Bug, ...]
    inputs: Callable[[World], str]

    @property
    def source(self) -> str:
        name = self.program.__name__
        return (
            f'"""{self.purpose}"""\n\nimport sys\n\n\n{inspect.getsource(self.program)}\n\n'
            f'if __name__ == "__main__":\n'
            f"    print(*{name}(sys.stdin.read().splitlines()), sep=chr(10))\n"
        )

    def with_bug(self, bug: Bug) -> str:
        assert self.source.count(bug.right) == 1, bug
        return self.source.replace(bug.right, bug.wrong)

    def faulty(self, bug: Bug) -> Program:
        """The program with a bug in it, to be called."""
        names: dict[str, Any] = {"__name__": self.program.__name__}
        exec(self.with_bug(bug), names)  # noqa: S102 - text of this very file
        faulty: Program = names[self.program.__name__]
        return faulty


def ranges(lines: list[str]) -> list[str]:
    spans = sorted(tuple(int(n) for n in line.split("-")) for line in lines if line)
    merged: list[list[int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return [f"{first}-{last}" for first, last in merged]


def roman(lines: list[str]) -> list[str]:
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
    found: list[str] = []
    for line in lines:
        total = 0
        digits = [values[letter] for letter in line.strip().upper()]
        for digit, after in zip(digits, [*digits[1:], 0]):  # noqa: B905 - old Python runs it too
            total += -digit if digit < after else digit
        found.append(str(total))
    return found


def invoice(lines: list[str]) -> list[str]:
    total = 0
    printed: list[str] = []
    for line in lines:
        name, count, cents = line.split(",")
        price = int(count) * int(cents)
        if int(count) >= 10:
            price -= (price * 5 + 50) // 100
        total += price
        printed.append(f"{name} {price / 100:.2f}")
    return [*printed, f"total {total / 100:.2f}"]


def frequent(lines: list[str]) -> list[str]:
    counts: dict[str, int] = {}
    for line in lines:
        for written in line.lower().split():
            word = written.strip(".,;:!?")
            if word:
                counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [f"{word} {counts[word]}" for word in ranked[:5]]


def accounts(lines: list[str]) -> list[str]:
    balance: dict[str, int] = {}
    refused = 0
    for line in lines:
        verb, *rest = line.split()
        amount = int(rest[-1])
        if verb == "deposit":
            balance[rest[0]] = balance.get(rest[0], 0) + amount
        elif balance.get(rest[0], 0) >= amount:
            balance[rest[0]] -= amount
            if verb == "transfer":
                balance[rest[1]] = balance.get(rest[1], 0) + amount
        else:
            refused += 1
    return [*(f"{name} {balance[name]}" for name in sorted(balance)), f"refused {refused}"]


def runs(lines: list[str]) -> list[str]:
    coded: list[str] = []
    for line in lines:
        groups: list[list[object]] = []
        for letter in line:
            if groups and groups[-1][0] == letter:
                groups[-1][1] = int(str(groups[-1][1])) + 1
            else:
                groups.append([letter, 1])
        coded.append("".join(f"{n if n != 1 else ''}{letter}" for letter, n in groups))
    return coded


def leap_days(lines: list[str]) -> list[str]:
    found: list[str] = []
    for line in lines:
        first, last = sorted(int(year) for year in line.split())
        count = 0
        for year in range(first, last + 1):
            if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
                count += 1
        found.append(f"{first}..{last}: {count}")
    return found


def brackets(lines: list[str]) -> list[str]:
    pairs = {")": "(", "]": "[", "}": "{"}
    verdicts: list[str] = []
    for line in lines:
        open_ones: list[str] = []
        fault = 0
        for place, letter in enumerate(line, start=1):
            if letter in "([{":
                open_ones.append(letter)
            elif letter in pairs and (not open_ones or open_ones.pop() != pairs[letter]):
                fault = place
                break
        if not fault and open_ones:
            fault = len(line) + 1
        verdicts.append(f"fault at {fault}" if fault else "balanced")
    return verdicts


def grades(lines: list[str]) -> list[str]:
    marks: dict[str, list[int]] = {}
    for line in lines:
        name, mark = line.rsplit(" ", 1)
        marks.setdefault(name, []).append(int(mark))
    printed: list[str] = []
    for name in sorted(marks):
        ordered = sorted(marks[name])
        if len(ordered) > 2:
            ordered = ordered[1:]
        mean = sum(ordered) / len(ordered)
        printed.append(f"{name} {mean:.1f} {'pass' if mean >= 5 else 'fail'}")
    return printed


def meetings(lines: list[str]) -> list[str]:
    taken: list[tuple[int, int]] = []
    answers: list[str] = []
    for line in lines:
        begin, end = (int(t[:2]) * 60 + int(t[3:]) for t in line.split("-"))
        if end <= begin:
            answers.append("invalid")
        elif any(begin < other_end and other_begin < end for other_begin, other_end in taken):
            answers.append("clash")
        else:
            taken.append((begin, end))
            answers.append("booked")
    return [*answers, f"minutes {sum(end - begin for begin, end in taken)}"]


RANGES = Broken(
    program=ranges,
    purpose="Merges ranges of whole numbers (3-7) that overlap or touch.",
    bugs=(
        Bug(right="merged[-1][1] + 1:", wrong="merged[-1][1]:"),
        Bug(right="max(merged[-1][1], last)", wrong="last"),
    ),
    inputs=range_input,
)
ROMAN = Broken(
    program=roman,
    purpose="Gives the numbers that Roman numerals stand for, whatever their case.",
    bugs=(
        Bug(right="if digit < after", wrong="if digit <= after"),
        Bug(right='"D": 500', wrong='"D": 50'),
    ),
    inputs=roman_input,
)
INVOICE = Broken(
    program=invoice,
    purpose="Prices an invoice (name,count,cents each); from 10 pieces on 5 % less, rounded.",
    bugs=(
        Bug(right="int(count) >= 10", wrong="int(count) > 10"),
        Bug(right="(price * 5 + 50) // 100", wrong="price * 5 // 100"),
    ),
    inputs=invoice_input,
)
FREQUENT = Broken(
    program=frequent,
    purpose="Gives the five most frequent words, whatever their case; ties in alphabetical order.",
    bugs=(
        Bug(right="(-counts[word], word)", wrong="-counts[word]"),
        Bug(right="line.lower().split()", wrong="line.split()"),
    ),
    inputs=frequent_input,
)
ACCOUNTS = Broken(
    program=accounts,
    purpose="Keeps accounts: deposit NAME N, withdraw NAME N, transfer FROM TO N; none below zero.",
    bugs=(
        Bug(right=">= amount:", wrong="> amount:"),
        Bug(
            right="balance[rest[1]] = balance.get(rest[1], 0) + amount",
            wrong="balance[rest[1]] = amount",
        ),
    ),
    inputs=account_input,
)
RUNS = Broken(
    program=runs,
    purpose="Codes runs of letters: aaab is 3ab, a letter alone stays as it is.",
    bugs=(
        Bug(right="{n if n != 1 else ''}", wrong="{n}"),
        Bug(right="int(str(groups[-1][1])) + 1", wrong="2"),
    ),
    inputs=run_input,
)
LEAP_DAYS = Broken(
    program=leap_days,
    purpose="Counts the leap years from one year to another, both included, in whichever order.",
    bugs=(
        Bug(right="range(first, last + 1)", wrong="range(first, last)"),
        Bug(right="(year % 100 != 0 or year % 400 == 0)", wrong="year % 100 != 0"),
    ),
    inputs=leap_input,
)
BRACKETS = Broken(
    program=brackets,
    purpose="Says whether brackets are balanced, or at which letter (from 1) the first fault is.",
    bugs=(
        Bug(right="enumerate(line, start=1)", wrong="enumerate(line)"),
        Bug(right="if not fault and open_ones:", wrong="if fault and open_ones:"),
    ),
    inputs=bracket_input,
)
GRADES = Broken(
    program=grades,
    purpose="Averages marks by name; who has more than two has the worst one left out. 5 passes.",
    bugs=(
        Bug(right="len(ordered) > 2", wrong="len(ordered) > 1"),
        Bug(right="ordered[1:]", wrong="ordered[:-1]"),
    ),
    inputs=grade_input,
)
MEETINGS = Broken(
    program=meetings,
    purpose="Books a room (09:00-10:30); one meeting may begin when another ends.",
    bugs=(
        Bug(
            right="begin < other_end and other_begin < end",
            wrong="begin <= other_end and other_begin <= end",
        ),
        Bug(right="if end <= begin:", wrong="if end < begin:"),
    ),
    inputs=meeting_input,
)
PROGRAMS: Mapping[Split, tuple[Broken, ...]] = {
    Split.TEST: (RANGES, ACCOUNTS, BRACKETS, MEETINGS),
    Split.DEV: (INVOICE, GRADES),
    Split.TRAIN: (ROMAN, FREQUENT, RUNS, LEAP_DAYS),
}
"""Whoever has seen one split's programs has seen none of another's."""
