"""Inputs that the programs of `programs` are tried with."""

from wardian.evals.suites.core.world import World


def range_input(world: World) -> str:
    low = world.number(2, 10)
    middle = sorted(world.numbers(8, 20, 90))
    spans = [f"{low}-{low + 9}", f"{low + 2}-{low + 4}", f"{low + 10}-{low + 12}"]
    spans += [f"{a}-{a + world.number(0, 6)}" for a in middle]
    return "\n".join(world.shuffled(spans))


def roman_input(world: World) -> str:
    known = ["MCMXCIV", "xlix", " CDXLIV", "MMXXV", "DCCC", "IX", "XX", "mdclxvi", "CCC", "XC", "D"]
    return "\n".join(["MMDII", "viii ", "XIX", *world.rng.sample(known, 5)])


def invoice_input(world: World) -> str:
    names = world.goods(6)
    counts = [10, 11, 9, *(world.number(1, 30) for _ in range(3))]
    return "\n".join(
        f"{name},{count},{world.number(50, 999) * 2 + 1}"
        for name, count in zip(names, counts, strict=True)
    )


def frequent_input(world: World) -> str:
    words = [word for word in world.goods(9) for _ in range(world.number(1, 5))]
    marked = [f"{word.title()}," if index % 3 == 0 else word for index, word in enumerate(words)]
    marked = world.shuffled(marked)
    return "\n".join([" ".join(marked[:9]), " ".join(marked[9:]) + " !"])


def account_input(world: World) -> str:
    names = [person.split()[0] for person in world.people(3)]
    lines = [f"deposit {name} {world.number(20, 60)}" for name in names]
    lines += [f"deposit {names[0]} 5", f"transfer {names[1]} newcomer 7"]
    lines += [f"transfer {names[0]} {names[1]} {world.number(5, 80)}" for _ in range(3)]
    lines += [f"withdraw {names[2]} {world.number(5, 80)}" for _ in range(3)]
    exact = world.number(3, 9)
    return "\n".join([*lines, f"deposit last {exact}", f"withdraw last {exact}"])


def run_input(world: World) -> str:
    words: list[str] = []
    for _ in range(4):
        letters = world.rng.choices("abcdxyz", k=5)
        words.append("".join(letter * world.rng.choice((1, 1, 2, 3, 12)) for letter in letters))
    return "\n".join([*words, "aaab", "abbb" + "c" * world.number(10, 15), "z"])


def leap_input(world: World) -> str:
    spans = ["1900 1900", "2000 2000", "1896 1904"]
    spans += [f"{world.number(1800, 2200)} {world.number(1800, 2200)}" for _ in range(4)]
    start = 4 * world.number(400, 520)
    return "\n".join([*spans, f"{start} {start}", f"{start - 3} {start}"])


def bracket_input(world: World) -> str:
    lines = ["([{}])", "(]", "((", "a)b", "", "{[}]", "x(y[z]w)v", "]["]
    more = ["".join(world.rng.choices("()[]{}ab", k=world.number(4, 10))) for _ in range(5)]
    return "\n".join([*lines[: world.number(5, 8)], *more])


def grade_input(world: World) -> str:
    names = world.people(4)
    lines = [f"{name} {world.number(1, 10)}" for name in names for _ in range(world.number(1, 5))]
    lines += [f"{names[0]} {mark}" for mark in (2, 9, 4)] + [
        "Even Steven 5",
        "Two Marks 3",
        "Two Marks 8",
    ]
    return "\n".join(world.shuffled(lines))


def meeting_input(world: World) -> str:
    hour = world.number(8, 11)
    lines = [f"{hour:02}:00-{hour + 1:02}:00", f"{hour + 1:02}:00-{hour + 1:02}:30"]
    lines += [f"{hour:02}:15-{hour:02}:45", f"{hour - 1:02}:30-{hour + 2:02}:00", "14:00-14:00"]
    for _ in range(4):
        begin, length = world.number(12 * 60, 17 * 60), world.number(10, 90)
        end = begin + length
        lines.append(f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}")
    return "\n".join(lines)
