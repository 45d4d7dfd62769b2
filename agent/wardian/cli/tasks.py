"""`agent tasks`: the tasks of suites: listed, tried, made anew, and made of runs."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.closing import counted
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.run_options import SandboxName
from wardian.cli.sanitise import visible
from wardian.cli.task_input import UsageError
from wardian.cli.tasks_harvest import harvest
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.evals.checking import Finding, Verdict, check_task
from wardian.evals.harbor import INSTRUCTION, built, is_harbor
from wardian.evals.loading import built_in_names, load_suite
from wardian.evals.suites.catalogue import GENERATORS, fresh
from wardian.evals.tasks import Split, Task, row_of
from wardian.evals.writing import write_suite

SuiteArgument = Annotated[
    str, typer.Argument(metavar="SUITE", help="A built-in suite, a folder, or a file.")
]
SplitOption = Annotated[
    Split | None, typer.Option("--split", help="Only tasks of this split.", show_default=False)
]
FamilyOption = Annotated[
    str | None, typer.Option("--family", metavar="NAME", help="Only tasks of this family.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("List, try and make tasks that models are evaluated with.")
    group.command("list", epilog="Example: agent tasks list core --split test")(list_tasks)
    group.command("show", epilog="Example: agent tasks show core code/ranges-a-test-000")(show)
    group.command("check", epilog="Example: agent tasks check core --family code")(check)
    group.command("build", epilog="Example: agent tasks build harbor-tasks/")(build)
    group.command("new", epilog="Example: agent tasks new core --count 2 --seed 7 -o fresh")(new)
    group.command(
        "harvest",
        epilog="Example: agent tasks harvest last --check 'python3 tests/test_it.py' -o mine",
    )(harvest)
    app.add_typer(group, name="tasks")


def list_tasks(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="Its tasks; else the built-in suites.")
    ] = None,
    *,
    split: SplitOption = None,
    family: FamilyOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the built-in suites, or the tasks of one suite."""
    if suite is None:
        return list_suites(as_json=as_json)
    tasks = load_suite(suite, split, family).tasks
    if as_json:
        print_json([brief(task) for task in tasks])
        return ExitCode.DONE
    rows = [(task.id, task.family, str(task.split), task.prompt) for task in tasks]
    print_table(("TASK", "FAMILY", "SPLIT", "PROMPT"), rows, "The suite has no tasks.")
    return ExitCode.DONE


def list_suites(*, as_json: bool) -> int:
    suites = [load_suite(name) for name in built_in_names()]
    facts: list[dict[str, Any]] = [
        {
            "name": suite.name,
            "version": suite.version,
            "families": list(suite.families),
            "tasks": dict(Counter(str(task.split) for task in suite.tasks)),
        }
        for suite in suites
    ]
    if as_json:
        print_json(facts)
        return ExitCode.DONE
    rows = [
        (one["name"], one["version"], *(str(one["tasks"].get(s, 0)) for s in Split), families)
        for one in facts
        for families in [", ".join(one["families"])]
    ]
    headers = ("SUITE", "VERSION", *(split.upper() for split in Split), "FAMILIES")
    print_table(headers, rows, "There are no suites.")
    return ExitCode.DONE


def brief(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "family": task.family,
        "split": str(task.split),
        "prompt": task.prompt,
        "tags": list(task.tags),
        "digest": task.digest,
    }


def show(
    suite: SuiteArgument,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    *,
    as_json: JsonOption = False,
) -> int:
    """Show one task: what is asked, the files it begins with, and how it is graded."""
    found = one_of(load_suite(suite).tasks, task)
    if as_json:
        print_json(row_of(found))
        return ExitCode.DONE
    lines = [
        f"{found.id} ({found.family}, {found.split})",
        "",
        found.prompt,
        "",
        *(f"file: {path}, {len(text)} characters" for path, text in found.files.items()),
        *([f"workspace: {found.workspace}"] if found.workspace else []),
        *(f"hidden: {path}, {len(text)} characters" for path, text in found.hidden.items()),
        *([f"protected: {', '.join(found.protected)}"] if found.protected else []),
        *(f"verifier: {json.dumps(one, ensure_ascii=False)}" for one in found.verifier),
    ]
    write(sys.stdout, visible("\n".join(lines)) + "\n")
    return ExitCode.DONE


def one_of(tasks: tuple[Task, ...], identity: str) -> Task:
    """Raises: UsageError."""
    found = [task for task in tasks if task.id == identity]
    if not found:
        raise UsageError(f"The suite has no task {identity!r:.200}.", "See `agent tasks list`.")
    return found[0]


def check(
    suite: SuiteArgument,
    *,
    split: SplitOption = None,
    family: FamilyOption = None,
    task: Annotated[str | None, typer.Option(metavar="ID", help="Only this task.")] = None,
    sandbox: SandboxName = None,
    as_json: JsonOption = False,
) -> int:
    """Try the tasks of a suite: each must not pass undone, and must pass as its solution does it.

    A solution comes with generated tasks; another task has one in its `meta`: solution =
    { commands = [ … ], answer = "…" }. Exit code 1 says that a task is broken.
    """
    tasks = load_suite(suite, split, family).tasks
    if task is not None:
        tasks = (one_of(tasks, task),)
    findings = asyncio.run(found_out(tasks, sandbox or "auto", quiet=as_json))
    if as_json:
        print_json([{"id": f.task.id, "verdict": str(f.verdict), "why": f.why} for f in findings])
    counts = Counter(finding.verdict for finding in findings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    write(sys.stderr, f"{counted(len(findings), 'task')}: {said}\n")
    return ExitCode.NOT_ACHIEVED if counts[Verdict.BROKEN] else ExitCode.DONE


async def found_out(tasks: tuple[Task, ...], sandbox: str, *, quiet: bool) -> list[Finding]:
    findings: list[Finding] = []
    for task in tasks:
        finding = await check_task(task, sandbox=sandbox)
        findings.append(finding)
        if not quiet:
            why = f": {finding.why}" if finding.why else ""
            write(sys.stdout, visible(f"{finding.verdict} {task.id}{why}") + "\n")
    return findings


def build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A Harbor task, or a folder of such.")
    ],
) -> int:
    """Make the images of Harbor tasks, and keep the files they begin with. Nothing is pulled.

    Needs a Docker daemon. After it: agent eval DIR --sandbox docker
    """
    found = sorted(path.parent for path in folder.rglob(INSTRUCTION) if is_harbor(path.parent))
    if not found:
        raise UsageError(
            f"There is no Harbor task in {folder}.", "One is a folder with an instruction.md."
        )
    for one in found:
        kept = built(one, lambda line: write(sys.stderr, visible(f"  {line}") + "\n"))
        write(sys.stdout, visible(f"{one}: {kept}") + "\n")
    return ExitCode.DONE


def new(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="core or tiny.")],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where they are written.")
    ],
    family: FamilyOption = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Of each family.")] = 8,
    seed: Annotated[
        int, typer.Option(min=1, help="Other seeds give other tasks; 0 is the suite's own.")
    ] = 1,
    split: Annotated[
        Split, typer.Option(help="Names, places and programs of one are in no other.")
    ] = Split.TRAIN,
) -> int:
    """Write fresh instances of a built-in suite as files: a folder each.

    They are the same for the same seed, and none of them is in another split or in the suite.
    """
    made = fresh(suite, split=split, seed=seed, count=count, family=family)
    generator = GENERATORS[suite]
    name = f"{generator.name}-{split}-{seed}"
    folders = write_suite((one.task for one in made), output, name=name, version=generator.version)
    for folder in folders:
        write(sys.stdout, visible(f"{folder}") + "\n")
    write(sys.stderr, f"{counted(len(folders), 'task')} written: agent eval {output}\n")
    return ExitCode.DONE
