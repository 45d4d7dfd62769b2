"""A verifier as a table of a task file: `kind`, and what that kind wants.

    [verifier]
    kind = "number"
    expected = 42

Packages offer kinds of their own by an entry point of the group `wardian.verifiers`: its name is
the kind, and it names a class or function that takes the table's other keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.models.catalogue import resolve_model
from wardian.rewards.calls import CallsMade
from wardian.rewards.combine import AllOf, WeightedSum
from wardian.rewards.commands import CommandExit, HiddenTests
from wardian.rewards.containers import HarborTests
from wardian.rewards.environments import EnvironmentReward
from wardian.rewards.files import FileState
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.rewards.maths import MathsMatch
from wardian.rewards.parts import Contains, ItemsMatch
from wardian.rewards.steps import StepRewards
from wardian.rewards.texts import ExactMatch, JsonMatch, NumberMatch, RegexMatch
from wardian.rewards.types import GradingFailed, Verifier
from wardian_policies.schema import nearest

GROUP = "wardian.verifiers"
MAX_NESTED = 8
KINDS: dict[str, type[Any]] = {
    "exact": ExactMatch,
    "regex": RegexMatch,
    "contains": Contains,
    "items": ItemsMatch,
    "number": NumberMatch,
    "json": JsonMatch,
    "maths": MathsMatch,
    "files": FileState,
    "command": CommandExit,
    "tests": HiddenTests,
    "harbor": HarborTests,
    "verifiers": EnvironmentReward,
    "calls": CallsMade,
    "steps": StepRewards,
}
JUDGE_KEYS = {"model", "rubric", "reference"}


def verifier_of(table: Mapping[str, Any], depth: int = 0) -> Verifier:
    """The verifier that a table describes.

    Raises: ConfigurationError naming the key, with the nearest one where it is unknown.
    """
    given = dict(table)
    kind = given.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigurationError("A verifier has no kind.", f"Write one of {', '.join(kinds())}.")
    if depth > MAX_NESTED:
        raise ConfigurationError("Verifiers are nested too deeply.", "Flatten them.")
    if kind in ("all", "sum"):
        return _combined(kind, given, depth)
    if kind == "judge":
        return _judge(given)
    if kind in KINDS:
        return _built_in(kind, given)
    if kind not in offered():
        raise ConfigurationError(
            f"There is no verifier of the kind '{kind}'.", nearest(kind, kinds())
        )
    try:
        return offered()[kind]()(**given)
    except Exception as problem:
        raise ConfigurationError(
            f"The verifier '{kind}' of a package cannot be made: {problem!r:.300}.",
            "See what that package says it takes.",
        ) from problem


def kinds() -> list[str]:
    return sorted({*KINDS, "all", "sum", "judge", *offered()})


@cache
def offered() -> dict[str, Callable[[], Callable[..., Verifier]]]:
    """What installed packages offer: by kind, what loads it."""
    from importlib.metadata import entry_points

    taken = {*KINDS, "all", "sum", "judge"}
    return {one.name: one.load for one in entry_points(group=GROUP) if one.name not in taken}


def _built_in(kind: str, given: dict[str, Any]) -> Verifier:
    from pydantic import ValidationError

    _check_keys(kind, given, {one.name for one in fields(KINDS[kind]) if one.init})
    try:
        made = cast("Verifier", _adapter(kind).validate_python(given))
        if isinstance(made, JsonMatch):
            made.checking()
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its keys"
        # Who writes a task knows lists.
        said = first["msg"].lower().replace("tuple", "list")
        raise ConfigurationError(
            f"The verifier '{kind}' cannot use {key}: {said}.", "Mend the task."
        ) from problem
    except GradingFailed as problem:
        raise ConfigurationError(problem.cause, problem.remedy) from problem
    return made


@cache
def _adapter(kind: str) -> Any:
    """Made once: a suite has many tasks and few kinds."""
    from pydantic import TypeAdapter

    return TypeAdapter(KINDS[kind])


def _check_keys(kind: str, given: Mapping[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise ConfigurationError(
                f"The verifier '{kind}' takes no '{key}'.", nearest(key, sorted(known))
            )


def _combined(kind: str, given: dict[str, Any], depth: int) -> Verifier:
    _check_keys(kind, given, {"of", "weights"} if kind == "sum" else {"of"})
    tables = given.get("of")
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError(f"The verifier '{kind}' needs a list 'of' others.", "Add it.")
    parts = tuple(
        verifier_of(cast("Mapping[str, Any]", one), depth + 1)
        for one in cast("list[object]", tables)
        if isinstance(one, Mapping)
    )
    if len(parts) < len(cast("list[object]", tables)):
        raise ConfigurationError(f"What '{kind}' is of are tables.", 'Write { kind = "…", … }.')
    if kind == "all":
        return AllOf(parts)
    try:
        weights = tuple(float(one) for one in given.get("weights", [1.0] * len(parts)))
    except (TypeError, ValueError) as problem:
        raise ConfigurationError("The weights are not all numbers.", "Mend them.") from problem
    if len(weights) != len(parts):
        raise ConfigurationError(
            f"There are {len(parts)} verifiers and {len(weights)} weights.", "Give one for each."
        )
    return WeightedSum(parts, weights)


def _judge(given: dict[str, Any]) -> Verifier:
    _check_keys("judge", given, JUDGE_KEYS)
    if not all(isinstance(value, str) for value in given.values()):
        raise ConfigurationError("What a judge takes is text.", "Put it in quotes.")
    if missing := sorted({"model", "rubric"} - given.keys()):
        raise ConfigurationError(f"The judge lacks a {missing[0]}.", "Add it.")
    try:
        rubric = Rubric.parse(given["rubric"])
    except GradingFailed as problem:
        raise ConfigurationError(problem.cause, problem.remedy) from problem
    model = resolve_model(given["model"])
    return RubricJudge(model=model, rubric=rubric, reference=given.get("reference", ""))
