"""A problem's check as tables that `wardian.rewards.specification` reads."""

import re
from typing import Any

from wardian.evals.suites.tiny.problem import Check, Problem

Table = dict[str, Any]


def verifier_of(problem: Problem) -> tuple[Table, ...]:
    """What `wardian.train.tiny.checks` decides of an episode, of any recorded run."""
    tables = [*_answer(problem.check), *_calls(problem.check)]
    match problem.check.kind:
        case "file":
            tables.append(_files(problem))
        case "number_file":
            path = next(iter(problem.check.files))
            tables.append(
                {"kind": "files", "files": [{"path": path, "number": float(problem.check.value)}]}
            )
        case "folder":
            path = str(problem.check.value)
            tables.append({"kind": "files", "files": [{"path": path, "folder": True}]})
        case _ if problem.family != "running":
            unchanged = [{"path": path, "text": text} for path, text in problem.files.items()]
            tables.append({"kind": "files", "files": unchanged, "only": True})
        case _:
            pass
    return tuple(tables)


def _answer(check: Check) -> list[Table]:
    match check.kind:
        case "equals":
            text = str(check.value).strip().removesuffix(".").strip()
            return [{"kind": "exact", "expected": [text, f"{text}.", f"{text} ."]}]
        case "number":
            value = float(check.value)
            tolerance = 1.1e-4 + abs(value) * 1e-9
            return [{"kind": "number", "expected": value, "tolerance": tolerance}]
        case "contains":
            return [
                {"kind": "contains", "texts": list(check.value), "without": list(check.without)}
            ]
        case "file" if check.value or check.without:
            return [
                {"kind": "contains", "texts": list(check.value), "without": list(check.without)}
            ]
        case "rows":
            return [{"kind": "items", "expected": list(dict.fromkeys(check.value))}]
        case "line_numbers":
            numbers = r"\D+".join(map(re.escape, check.value))
            return [{"kind": "regex", "pattern": rf"\D*{numbers}\D*", "whole": True}]
        case "beyond":
            return [{"kind": "regex", "pattern": r"(?i)\A\s*that is beyond me"}]
        case "greeting":
            return [{"kind": "contains", "texts": ["i am tiny"]}]
        case _:
            return []


def _calls(check: Check) -> list[Table]:
    return [{"kind": "calls", "at_most": 0}] if check.kind in ("beyond", "greeting") else []


def _files(problem: Problem) -> Table:
    """The named files hold what they should, and no other of the start has changed."""
    check = problem.check
    wanted = dict(check.files)
    for path, text in problem.files.items():
        if path not in wanted and path not in (check.value or ()):
            wanted[path] = text
    return {"kind": "files", "files": [{"path": p, "text": t} for p, t in wanted.items()]}
