"""Family `search`: questions to a folder of memos that only several of them together answer."""

from dataclasses import dataclass
from typing import Any

from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import DEPARTMENTS, World
from wardian.evals.suites.drafts import Draft, solved
from wardian.evals.suites.experts import Expert, Step


def find(pattern: str) -> Step:
    return Step(name="search_files", arguments={"pattern": pattern, "path": "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Firm:
    """Who does what where, and the memos that say so."""

    files: dict[str, str]
    people: list[str]
    projects: list[str]
    lead: dict[str, str]
    """project → person"""
    office: dict[str, str]
    """person → town"""
    desk: dict[str, int]
    """person → extension"""
    department: dict[str, str]
    budget: dict[str, int]
    """project → thousands, as last changed"""
    replaced: dict[str, str]
    """project → the one it took the place of"""


def firm(world: World) -> Firm:
    people, projects = world.people(10), world.codenames(9)
    desks = dict(zip(people, world.numbers(10, 2000, 8999), strict=True))
    towns = world.towns(6)
    office = {person: world.choice(towns) for person in people}
    department = {person: world.choice(DEPARTMENTS) for person in people}
    lead = dict(zip(projects, world.rng.sample(people, 9), strict=True))
    replaced = {projects[0]: projects[1], projects[2]: projects[3]}
    old = {project: world.number(20, 400) for project in projects}
    budget = {project: old[project] for project in projects}
    memos = [
        f"Directory entry\n\n{person} works in {department[person]} and sits in the"
        f" {office[person]} office. Extension {desks[person]}.\n"
        for person in people
    ]
    for project in projects:
        person = lead[project]
        memos.append(
            f"Project sheet: {project}\n\nThe {project} project is led by {person}. Its budget is"
            f" {old[project]} thousand. Review on {world.date(2025)}.\n"
        )
    for new, gone in replaced.items():
        memos.append(f"Note\n\nFrom spring on, {new} takes the place of {gone}, which is closed.\n")
    for project in world.rng.sample(projects, 4):
        budget[project] = old[project] + world.number(5, 90)
        memos.append(
            f"Minutes of {world.date(2025)}\n\nIt was decided to raise the budget of {project}"
            f" from {old[project]} to {budget[project]} thousand.\n"
        )
    for _ in range(12):
        one, other = world.rng.sample(people, 2)
        memos.append(
            f"Chat\n\n{one} asked {other} for the {world.goods(1)[0]} that was left in"
            f" {world.choice(towns)}. Room {world.number(100, 999)}.\n"
        )
    numbers = world.numbers(len(memos), 100, 999)
    files = {f"memos/{n}.txt": memo for n, memo in zip(numbers, memos, strict=True)}
    return Firm(
        files=files, people=people, projects=projects, lead=lead, office=office, desk=desks,
        department=department, budget=budget, replaced=replaced,
    )  # fmt: skip


def question(made: Firm, text: str, verifier: dict[str, Any], expert: Any) -> Draft:
    unchanged = {
        "kind": "files",
        "only": True,
        "files": [{"path": path, "text": memo} for path, memo in made.files.items()],
    }
    return Draft(
        prompt=f"The folder memos/ is all that is written down about a firm. {text}",
        files=made.files,
        verifier=(verifier, unchanged),
        expert=expert,
    )


def part(text: str, before: str, after: str) -> str:
    return text.partition(before)[2].partition(after)[0]


def replacement_desk(world: World) -> Draft:
    """Three hops: what replaced it, who leads that, where they are reached."""
    made = firm(world)
    new, gone = world.rng.choice(list(made.replaced.items()))
    desk = made.desk[made.lead[new]]

    def expert() -> Expert:
        found = yield find(f"takes the place of {gone}")
        project = part(found, "From spring on, ", " takes")
        found = yield find(f"The {project} project is led by")
        person = part(found, "led by ", ".")
        found = yield find(f"{person} works in")
        return part(found, "Extension ", ".")

    return question(
        made,
        f"What is the extension of the person who leads the project that took the place of {gone}?"
        " Answer with the number only.",
        {"kind": "number", "expected": desk, "whole": True},
        expert,
    )


def led_from(world: World) -> Draft:
    """All projects whose leads sit in one town."""
    made = firm(world)
    town = made.office[made.lead[world.choice(made.projects)]]
    wanted = [p for p in made.projects if made.office[made.lead[p]] == town]

    def expert() -> Expert:
        found = yield find(f"sits in the {town} office")
        there = [part(line, ".txt:", " works").split(":", 1)[1] for line in found.splitlines()]
        led = yield find("project is led by")
        return "\n".join(
            part(line, "The ", " project")
            for line in led.splitlines()
            if part(line, "led by ", ".") in there
        )

    return question(
        made,
        f"Which projects are led by somebody who sits in the {town} office? Projects that are"
        " closed count too. Answer with their names only, one a line.",
        {"kind": "items", "expected": wanted, "ignore_case": True},
        expert,
    )


def latest_budget(world: World) -> Draft:
    """A sum of figures some of which were changed by later minutes."""
    made = firm(world)
    chosen = world.rng.sample(made.projects, 4)
    total = sum(made.budget[project] for project in chosen)

    def expert() -> Expert:
        amounts: list[int] = []
        for project in chosen:
            raised = yield find(f"raise the budget of {project} ")
            more = yield find("thousand")
            if "no matches" in raised:
                sheet = yield find(f"The {project} project is led by .* Its budget is")
                amounts.append(int(part(sheet, "budget is ", " thousand")))
            else:
                line = next(
                    one for one in more.splitlines() if f"raise the budget of {project} " in one
                )
                amounts.append(int(part(line.partition(" from ")[2], " to ", " thousand")))
        return str(sum(amounts))

    return question(
        made,
        f"What are the budgets of {', '.join(chosen[:-1])} and {chosen[-1]} together, as last"
        " decided, in thousands? Answer with the number only.",
        {"kind": "number", "expected": total, "whole": True},
        expert,
    )


def not_there(world: World) -> Draft:
    """A question whose answer no memo has, although much is near it."""
    made = firm(world)
    idle = next(person for person in made.people if person not in made.lead.values())
    project = world.choice(made.projects)
    kind = world.number(0, 1)
    asked = (
        f"Which project does {idle} lead?"
        if kind == 0
        else f"In which year was the project {project} begun?"
    )
    step = find(f"led by {idle}") if kind == 0 else find(project)
    return question(
        made,
        f"{asked} If the memos do not say, answer with exactly: not stated.",
        {"kind": "exact", "expected": ["not stated", "not stated."], "ignore_case": True},
        solved("not stated", step),
    )


def busiest_department(world: World) -> Draft:
    """Counting over two kinds of memos; the answer is a name and a number."""
    made = firm(world)
    counts: dict[str, int] = dict.fromkeys(DEPARTMENTS, 0)
    for project in made.projects:
        counts[made.department[made.lead[project]]] += 1
    best = min(counts, key=lambda d: (-counts[d], d))

    def expert() -> Expert:
        entries = yield find("works in")
        where = {
            part(line, ".txt:", " works").split(":", 1)[1]: part(line, "works in ", " and")
            for line in entries.splitlines()
        }
        led = yield find("project is led by")
        tally: dict[str, int] = {}
        for line in led.splitlines():
            department = where[part(line, "led by ", ".")]
            tally[department] = tally.get(department, 0) + 1
        top = min(tally, key=lambda d: (-tally[d], d))
        return f"{top}: {tally[top]}"

    return question(
        made,
        "People of which department lead the most projects, closed ones counted, and how many? At"
        " a tie take the first in alphabetical order. Answer like this: Legal: 2",
        {"kind": "exact", "expected": [f"{best}: {counts[best]}"]},
        expert,
    )


KINDS = named(replacement_desk, led_from, latest_budget, not_there, busiest_department)
