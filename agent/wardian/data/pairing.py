"""Which attempts make pairs, and which tasks are worth trying again."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wardian.data.choice import Choice
from wardian.data.choosing import Attempt, Drop, family_and_name, levelled, merit, place
from wardian.data.rows import PromptRow
from wardian.evals.tasks import Split, Suite

ALONE = "it is the only attempt at its task"
TOO_HARD = "of a task, too few attempts solved it"
TOO_EASY = "of a task, too many solved it"
NO_PARTNER = "none is left at its task that was so much better or worse"
ALIKE = "all attempts at its task earned about the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    better: Attempt
    worse: Attempt


def pairs(attempts: Iterable[Attempt], choice: Choice, drop: Drop) -> list[Pair]:
    """Of each task's attempts that began alike the best with the worst, the second best with the
    second worst, and so on, as long as they differ and their rewards are apart by the margin."""
    groups = groups_of(attempts, choice.seed)
    found: list[Pair] = []
    for group in groups:
        if len(group) == 1:
            drop(group[0].origin.run_id, ALONE)
            continue
        couples = list(_couples(group, choice))
        used = {one.origin.run_id for pair in couples for one in (pair.better, pair.worse)}
        for one in group:
            if one.origin.run_id not in used:
                drop(one.origin.run_id, NO_PARTNER if couples else ALIKE)
        found += couples
    return levelled(found, lambda pair: family_and_name(pair.better), choice.caps, drop)


def _couples(group: Sequence[Attempt], choice: Choice) -> Iterator[Pair]:
    """`group` is sorted, the best first."""
    left = list(group)
    limit = choice.caps.per_task
    for better in group:
        if better not in left or (limit is not None and limit <= 0):
            continue
        worse = next((one for one in reversed(left) if one.digest != better.digest), None)
        if worse is None or (better.reward or 0.0) - (worse.reward or 0.0) < choice.margin:
            continue
        left.remove(better)
        left.remove(worse)
        limit = None if limit is None else limit - 1
        yield Pair(better=better, worse=worse)


def groups_of(attempts: Iterable[Attempt], seed: int) -> list[list[Attempt]]:
    """Scored attempts at one task from one prompt, the best first; groups in a mixed order."""
    found: defaultdict[tuple[str, bytes], list[Attempt]] = defaultdict(list)
    for one in attempts:
        if one.reward is not None:
            found[one.origin.group, one.prompt].append(one)
    keys = sorted(found, key=lambda key: (place(key[0], seed), key[1]))
    return [sorted(found[key], key=merit, reverse=True) for key in keys]


def labelled(attempts: Iterable[Attempt], choice: Choice, drop: Drop) -> list[tuple[Attempt, bool]]:
    """Attempts that were clearly good or bad, of each kind at most so many a task."""
    taken: Counter[tuple[str, bool]] = Counter()
    found: list[tuple[Attempt, bool]] = []
    for group in groups_of(attempts, choice.seed):
        for one in group:
            assert one.reward is not None
            is_good = one.reward >= choice.threshold
            if not is_good and one.reward > choice.threshold - choice.margin:
                drop(one.origin.run_id, "it was neither good nor bad")
                continue
            key = one.origin.group, is_good
            if choice.caps.per_task is not None and taken[key] >= choice.caps.per_task:
                drop(one.origin.run_id, "its task has enough like it")
                continue
            taken[key] += 1
            found.append((one, is_good))
    return levelled(found, lambda one: family_and_name(one[0]), choice.caps, drop)


def prompt_rows(
    attempts: Iterable[Attempt], suites: Sequence[tuple[str, Suite]], choice: Choice, drop: Drop
) -> Iterator[tuple[PromptRow, list[Attempt]]]:
    """Tasks of the train split that some attempts solved and some did not, with those attempts.

    `suites` are as they were named, and read.
    """
    by_task: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for one in attempts:
        if one.reward is not None:
            by_task[one.origin.suite, one.origin.task].append(one)
    tasks = [(name, suite, task) for name, suite in suites for task in suite.tasks]
    low, high = choice.difficulty
    for name, suite, task in sorted(tasks, key=lambda one: place(one[2].id, choice.seed)):
        tried = by_task.get((suite.name, task.id), [])
        rewards = [one.reward or 0.0 for one in tried]
        solved = sum(value >= choice.threshold for value in rewards) / max(1, len(rewards))
        if task.split is not Split.TRAIN:
            reason = f"of a task, its split is {task.split}"
        elif not task.verifier:
            reason = "of a task, it has no verifier"
        elif not tried:
            reason = "of a task, nobody tried it"
        elif not low < solved < high:
            reason = TOO_HARD if solved <= low else TOO_EASY
        else:
            row = PromptRow(
                suite=name,
                suite_digest=suite.digest,
                task=task.id,
                family=task.family,
                prompt=task.prompt,
                attempts=len(tried),
                solved=solved,
                mean_reward=sum(rewards) / len(rewards),
            )
            yield row, tried
            continue
        drop(f"task {task.id}", reason)
