"""Decides, without the expert, whether an episode solved its problem."""

import re

from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.train.tiny.execution import Episode

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def is_solved(problem: Problem, episode: Episode) -> bool:
    """Whether the answer and the workspace are as the check asks."""
    check, answer = problem.check, episode.answer.strip()
    if check.kind not in ("file", "number_file", "folder") and not _unchanged(problem, episode):
        return False
    match check.kind:
        case "equals":
            return _plain(answer) == _plain(check.value)
        case "number":
            return _is_number(answer, float(check.value))
        case "contains":
            return _contains(answer, check)
        case "rows":
            return set(answer.replace(", ", "\n").splitlines()) == set(check.value)
        case "line_numbers":
            return re.findall(r"\d+", answer) == list(check.value)
        case "beyond":
            return answer.lower().startswith("that is beyond me") and not episode.calls
        case "greeting":
            return "i am tiny" in answer.lower() and not episode.calls
        case "folder":
            return str(check.value) in episode.folders
        case "number_file":
            name = next(iter(check.files))
            return _is_number(episode.files.get(name, ""), float(check.value))
        case "file":
            return _contains(answer, check) and _files_match(check, episode, problem)
        case _:
            raise AssertionError(check.kind)


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").strip()


def _contains(answer: str, check: Check) -> bool:
    low = answer.lower()
    return all(v.lower() in low for v in check.value) and not any(
        v.lower() in low for v in check.without
    )


def _is_number(answer: str, value: float) -> bool:
    """Whether the one number in `answer` is `value`, up to rounding at the fourth decimal."""
    found = _NUMBER.findall(answer)
    if len(found) != 1:
        return False
    given = float(found[0].replace(",", ""))
    return abs(given - value) <= 0.00011 + abs(value) * 1e-9


def _files_match(check: Check, episode: Episode, problem: Problem) -> bool:
    """Named files hold what they should, and no other file changed."""
    for name, text in check.files.items():
        if episode.files.get(name, "\0").rstrip("\n") != text.rstrip("\n"):
            return False
    return all(
        episode.files.get(n) == t
        for n, t in problem.files.items()
        if n not in check.files and n not in check.value
    )


def _unchanged(problem: Problem, episode: Episode) -> bool:
    if problem.family == "running":
        return True
    return dict(episode.files) == dict(problem.files)
