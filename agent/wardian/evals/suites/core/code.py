"""Family `code`: a broken program, with tests that show it and others that nobody sees."""

from collections.abc import Sequence
from functools import partial

from wardian.evals.suites.core.kinds import Kind
from wardian.evals.suites.core.programs import PROGRAMS, Broken, Bug
from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Case, Draft, hidden_cases, solved
from wardian.evals.suites.experts import Step, shell
from wardian.evals.tasks import Split

HIDDEN_CASES = 6
VISIBLE = '''\
"""Run it: python3 tests/test_{name}.py"""

import subprocess
import sys

GIVEN = {given!r}
WANTED = {wanted!r}

done = subprocess.run([sys.executable, "{path}"], input=GIVEN, capture_output=True, text=True)
if done.stdout.split() != WANTED.split():
    sys.exit(f"wanted:\\n{{WANTED}}\\ngot:\\n{{done.stdout}}{{done.stderr}}")
print("1 passed")
'''


def repair(world: World, broken: Broken, bug: Bug) -> Draft:
    name = broken.program.__name__
    path = f"{world.choice(('src', 'lib', 'app'))}/{name}.py"
    shown, secret = failing_input(world, broken, bug), failing_input(world, broken, bug)
    more = [broken.inputs(world) for _ in range(HIDDEN_CASES - 1)]
    verifier, hidden = hidden_cases(path, [case(broken, given) for given in (secret, *more)])
    test = f"tests/test_{name}.py"
    right = next(line for line in broken.source.splitlines() if bug.right in line)
    mend = {"path": path, "old": right.replace(bug.right, bug.wrong), "new": right}
    return Draft(
        prompt=f"`python3 {test}` fails: {path} does not do what its first line says. Find the"
        " fault and mend the program. Do not change the test. Other tests, which you cannot see,"
        " will be run too.",
        files={
            path: broken.with_bug(bug),
            test: VISIBLE.format(
                name=name, path=path, given=shown, wanted=case(broken, shown).stdout
            ),
        },
        hidden=hidden,
        protected=("tests/**",),
        verifier=(verifier,),
        expert=solved(
            "The fault is mended.",
            shell(f"python3 {test}"),
            Step(name="read_file", arguments={"path": path}),
            Step(name="edit_file", arguments=mend),
            shell(f"python3 {test}"),
        ),
    )


def case(broken: Broken, given: str) -> Case:
    return Case(stdin=given, stdout="\n".join(broken.program(given.splitlines())))


def failing_input(world: World, broken: Broken, bug: Bug) -> str:
    """One on which the fault shows."""
    faulty = broken.faulty(bug)
    while True:
        given = broken.inputs(world)
        if faulty(given.splitlines()) != broken.program(given.splitlines()):
            return given


def kinds(split: Split) -> Sequence[Kind]:
    """Each program of the split with each of its bugs."""
    return [
        (
            f"{broken.program.__name__.replace('_', '-')}-{letter}",
            partial(repair, broken=broken, bug=bug),
        )
        for broken in PROGRAMS[split]
        for letter, bug in zip("ab", broken.bugs, strict=True)
    ]
