"""Which attempts are chosen, over all sorts of sets of them."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.data.choosing import Attempt, Caps, best_of_each
from wardian.data.duplicates import Seen
from wardian.data.rows import Origin, Status

CELLS = st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0]))


def attempt(number: int, family: str, task: int, reward: float) -> Attempt:
    name = f"{family}/{task}"
    return Attempt(
        origin=Origin(run_id=f"{number:03}", task=name, group=name, family=family),
        reward=reward,
        status=Status.OK,
        has_ids=True,
        tokens=10,
        sampled=number,
        digest=str(number).encode(),
        prompt=b"",
    )


@settings(max_examples=60)
@given(st.lists(CELLS, max_size=25), st.integers(1, 3), st.integers(1, 6))
def test_the_chosen_are_each_tasks_best_and_within_every_cap(
    cells: list[tuple[str, int, float]], per_task: int, per_family: int
) -> None:
    made = [attempt(number, *cell) for number, cell in enumerate(cells)]
    dropped: list[str] = []

    def choose(given: list[Attempt], caps: Caps) -> list[Attempt]:
        return best_of_each(given, caps, Seen(1.0), 0, lambda name, _: dropped.append(name))

    caps = Caps(per_task=per_task, per_family=per_family)
    chosen = choose(made, caps)
    assert all(n <= per_family for n in Counter(one.origin.family for one in chosen).values())
    assert all(n <= per_task for n in Counter(one.origin.group for one in chosen).values())
    assert len(chosen) + len(dropped) == len(made)
    for one in chosen:
        mates = [other for other in made if other.origin.group == one.origin.group]
        assert all(other in chosen for other in mates if (other.reward or 0) > (one.reward or 0))
    assert choose(made[::-1], caps) == chosen


@settings(max_examples=30)
@given(st.lists(CELLS, min_size=1, max_size=25))
def test_balanced_families_have_no_more_than_the_middle_one(
    cells: list[tuple[str, int, float]],
) -> None:
    made = [attempt(number, *cell) for number, cell in enumerate(cells)]
    caps = Caps(per_task=None, balanced=True)
    chosen = best_of_each(made, caps, Seen(1.0), 0, lambda *_: None)
    before = sorted(Counter(one.origin.family for one in made).values())
    after = Counter(one.origin.family for one in chosen)
    assert max(after.values()) <= before[(len(before) - 1) // 2]
    assert len(after) == len(before)
