"""Family `maths`: questions whose answers are worked out, not recalled."""

import itertools
import math
from fractions import Fraction

from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Draft, answered
from wardian.evals.suites.experts import python


def whole(value: int) -> tuple[dict[str, object], ...]:
    return ({"kind": "number", "expected": value, "whole": True},)


def divisible(world: World) -> Draft:
    limit = world.number(20_000, 90_000)
    first, second, third = world.rng.sample((3, 4, 5, 7, 9, 11, 13), 3)
    count = sum(
        1
        for n in range(1, limit + 1)
        if (n % first == 0 or n % second == 0) and n % third and str(n) != str(n)[::-1]
    )
    code = f"""
print(sum(1 for n in range(1, {limit} + 1)
    if (n % {first} == 0 or n % {second} == 0) and n % {third} != 0 and str(n) != str(n)[::-1]))
"""
    return Draft(
        prompt=f"How many whole numbers from 1 to {limit} are divisible by {first} or {second}, not"
        f" divisible by {third}, and do not read the same backwards? Answer with the number only.",
        verifier=whole(count),
        expert=answered(python(code)),
    )


def paths(world: World) -> Draft:
    """Shortest lattice paths round holes."""
    width, height = world.number(7, 11), world.number(7, 11)
    cells = [(x, y) for x in range(1, width) for y in range(1, height)]
    holes = sorted(world.rng.sample(cells, 5))
    ways = {(0, 0): 1}
    for x in range(width + 1):
        for y in range(height + 1):
            if (x, y) != (0, 0):
                ways[x, y] = (
                    0 if (x, y) in holes else ways.get((x - 1, y), 0) + ways.get((x, y - 1), 0)
                )
    code = f"""
from functools import lru_cache
holes = set({holes})
@lru_cache(None)
def ways(x, y):
    if x < 0 or y < 0 or (x, y) in holes: return 0
    return 1 if (x, y) == (0, 0) else ways(x - 1, y) + ways(x, y - 1)
print(ways({width}, {height}))
"""
    return Draft(
        prompt=f"On a grid, in how many ways can one walk from (0, 0) to ({width}, {height}) by"
        " steps of one to the right or one up, without entering any of the points"
        f" {', '.join(map(str, holes))}? Answer with the number only.",
        verifier=whole(ways[width, height]),
        expert=answered(python(code)),
    )


def dice(world: World) -> Draft:
    """A probability as a fraction in lowest terms."""
    sides = world.rng.sample((4, 6, 8, 10, 12), 3)
    outcomes = [
        (a, b, c)
        for a in range(1, sides[0] + 1)
        for b in range(1, sides[1] + 1)
        for c in range(1, sides[2] + 1)
    ]
    limit = world.number(9, sum(sides) - 8)
    good = sum(1 for roll in outcomes if sum(roll) > limit and len(set(roll)) == 3)
    share = Fraction(good, len(outcomes))
    code = f"""
from fractions import Fraction
from itertools import product
rolls = list(product(*(range(1, n + 1) for n in {sides})))
print(Fraction(sum(sum(r) > {limit} and len(set(r)) == 3 for r in rolls), len(rolls)))
"""
    return Draft(
        prompt=f"Three dice with {sides[0]}, {sides[1]} and {sides[2]} sides are thrown, their"
        f" sides numbered from 1. What is the probability that the sum is greater than {limit} and"
        " all three numbers differ? Answer with the fraction in lowest terms only, like 3/8.",
        verifier=({"kind": "exact", "expected": [str(share)]},),
        expert=answered(python(code)),
    )


def powers(world: World) -> Draft:
    base, exponent = world.number(1_000, 9_999), world.number(10**7, 10**8)
    prime = world.rng.choice((99_991, 99_989, 99_971, 99_961, 99_929, 99_923))
    inverse = world.number(2, 9_999)
    value = pow(base, exponent, prime) * pow(inverse, -1, prime) % prime
    code = f"print(pow({base}, {exponent}, {prime}) * pow({inverse}, -1, {prime}) % {prime})"
    return Draft(
        prompt=f"Find the least x ≥ 0 with {inverse}·x ≡ {base}^{exponent} (mod {prime})."
        f" {prime} is prime. Answer with the number only.",
        verifier=whole(value),
        expert=answered(python(code)),
    )


def route(world: World) -> Draft:
    """The shortest way in a network that is given as a file."""
    towns = world.towns(8)
    roads = {frozenset(pair): world.number(12, 80) for pair in itertools.pairwise(towns)}
    while len(roads) < 14:
        ends = world.rng.sample(towns, 2)
        roads.setdefault(frozenset(ends), world.number(20, 140))
    best = dict.fromkeys(towns, math.inf) | {towns[0]: 0}
    for _ in towns:
        for pair, length in roads.items():
            one, other = sorted(pair)
            best[one] = min(best[one], best[other] + length)
            best[other] = min(best[other], best[one] + length)
    lines = [
        f"{a} - {b}: {n} km"
        for (a, b), n in ((world.shuffled(sorted(p)), n) for p, n in roads.items())
    ]
    code = f"""
import heapq, re
roads = {{}}
for line in open("roads.txt"):
    a, b, n = re.match(r"(.+) - (.+): (\\d+) km", line).groups()
    roads.setdefault(a, []).append((b, int(n))); roads.setdefault(b, []).append((a, int(n)))
heap, seen = [(0, {towns[0]!r})], set()
while heap:
    far, town = heapq.heappop(heap)
    if town == {towns[-1]!r}: break
    if town in seen: continue
    seen.add(town)
    for other, n in roads[town]: heapq.heappush(heap, (far + n, other))
print(far)
"""
    return Draft(
        prompt=f"roads.txt lists roads, which can be driven both ways. How many kilometres is the"
        f" shortest way from {towns[0]} to {towns[-1]}? Answer with the number only.",
        files={"roads.txt": "\n".join(world.shuffled(lines)) + "\n"},
        verifier=whole(int(best[towns[-1]])),
        expert=answered(python(code)),
    )


def knapsack(world: World) -> Draft:
    """The best load within a weight and a count."""
    goods = world.goods(12)
    items = [(name, world.number(3, 30), world.number(10, 99)) for name in goods]
    weight, count = world.number(45, 75), world.number(3, 5)
    best: dict[tuple[int, int], int] = {(0, 0): 0}
    for _, heavy, worth in items:
        for (used, number), value in list(best.items()):
            key = (used + heavy, number + 1)
            if key[0] <= weight and key[1] <= count:
                best[key] = max(best.get(key, 0), value + worth)
    lines = ["item,weight,value", *(f"{n},{w},{v}" for n, w, v in items)]
    code = f"""
import csv
from itertools import combinations
items = [(int(r["weight"]), int(r["value"])) for r in csv.DictReader(open("items.csv"))]
print(max(sum(v for _, v in c) for k in range({count} + 1) for c in combinations(items, k)
    if sum(w for w, _ in c) <= {weight}))
"""
    return Draft(
        prompt=f"From items.csv choose at most {count} items, each at most once, that together"
        f" weigh at most {weight}. What is the greatest total value? Answer with the number only.",
        files={"items.csv": "\n".join(lines) + "\n"},
        verifier=whole(max(best.values())),
        expert=answered(python(code)),
    )


def equations(world: World) -> Draft:
    """Three unknowns out of three receipts."""
    names, prices = world.goods(3), world.numbers(3, 3, 60)
    while True:
        counts = [[world.number(1, 9) for _ in names] for _ in range(3)]
        (a, b, c), (d, e, f), (g, h, i) = counts
        if a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g):
            break
    lines = [
        " + ".join(f"{n} x {name}" for n, name in zip(row, names, strict=True))
        + f" = {sum(n * price for n, price in zip(row, prices, strict=True))} coins"
        for row in counts
    ]
    wanted = world.numbers(3, 11, 40)
    total = sum(n * price for n, price in zip(wanted, prices, strict=True))
    code = f"""
import re
from itertools import product
rows = [[int(n) for n in re.findall(r"\\d+", line)] for line in open("receipts.txt")]
for p in product(range(1, 101), repeat=2):
    a, b, c, total = rows[0]
    z, rest = divmod(total - a * p[0] - b * p[1], c)
    if rest == 0 and all(r[0] * p[0] + r[1] * p[1] + r[2] * z == r[3] for r in rows):
        print({wanted[0]} * p[0] + {wanted[1]} * p[1] + {wanted[2]} * z)
        break
"""
    return Draft(
        prompt="receipts.txt has three receipts with whole prices that are the same on all of them."
        f" What do {wanted[0]} x {names[0]}, {wanted[1]} x {names[1]} and {wanted[2]} x {names[2]}"
        " cost together? Answer with the number only.",
        files={"receipts.txt": "\n".join(lines) + "\n"},
        verifier=whole(total),
        expert=answered(python(code)),
    )


KINDS = named(divisible, paths, dice, powers, route, knapsack, equations)
