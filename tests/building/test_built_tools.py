"""Built tools: checked before they are accepted, confined when they run, decided by the policy."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.building.conftest import draft

from wardian import Agent, Policy, RunStore, ScriptedModel
from wardian.building.checking import Draft, Report, check
from wardian.building.describe import NotATool
from wardian.building.loading import load_built
from wardian.building.running import Open, run_built
from wardian.building.store import BuiltTools
from wardian.events import CallFinished
from wardian_sandbox.types import Confinement, Egress, ResourceLimits
from wardian_tools import Output, ResultStatus

WITHIN = Confinement(limits=ResourceLimits(wall_seconds=20))
CALLS = "def test_it():\n    probe('x')\n"


def checked(one: Draft, opened: Open) -> Report:
    return asyncio.run(check(one, opened, WITHIN))


def called(one: Draft, opened: Open, within: Confinement = WITHIN, **arguments: Any) -> Output:
    description = one.described()
    arguments = arguments or {"text": "x"}
    return asyncio.run(
        run_built(description.name, one.source, description.effects, arguments, opened, within)
    )


def test_a_tool_whose_tests_pass_and_repeat_is_accepted(slugify: Draft, opened: Open) -> None:
    assert checked(slugify, opened) == Report(tests=("test_words_are_joined",), calls=1)


@pytest.mark.parametrize(
    ("body", "tests", "problem"),
    [
        ("import time\nreturn str(time.time_ns())", CALLS, "not deterministic"),
        ("import os\nreturn os.urandom(4).hex()", CALLS, r"not deterministic.*“probe\('x'\) gave"),
        ("return str({'a', 'b', 'c', 'd', 'e'})", CALLS, "not deterministic"),
        ("return text", "def test_it():\n    assert probe('x') == 'y'\n", "1 of 1 tests failed"),
        ("return text", "x = 1\n", "no function whose name begins with test_"),
        ("return text", "def test_it():\n    pass\n", "do not call the tool"),
        ("return text", "raise SystemExit\n", "cannot be run"),
        ("return text", "import absent_module\n", "cannot be run"),
        ("return text", "import os\nos._exit(0)\n", "ended without a report"),
        ("return object()", CALLS, "not JSON serializable"),
    ],
    ids=["time", "chance", "order", "fails", "none", "idle", "exits", "import", "gone", "object"],
)
def test_a_tool_that_does_not_pass_is_refused_with_what_to_mend(
    body: str, tests: str, problem: str, opened: Open
) -> None:
    with pytest.raises(NotATool, match=problem):
        checked(draft(body, tests), opened)


def test_tests_that_never_end_are_stopped(opened: Open) -> None:
    endless = draft("return text", "def test_it():\n    while True: probe('x')\n")
    short = Confinement(limits=ResourceLimits(wall_seconds=1))
    with pytest.raises(NotATool, match="were stopped"):
        asyncio.run(check(endless, opened, short))


READ = "return open('secret.txt').read()"
WRITE = "open('out.txt', 'w').write(text)\nreturn 'written'"
LEAVE = "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)\nreturn 'out'"


@pytest.mark.parametrize(
    ("body", "effects", "works"),
    [
        (READ, "()", False),
        (READ, "{'reads'}", True),
        (WRITE, "()", False),
        (WRITE, "{'reads'}", False),
        (WRITE, "{'writes'}", True),
        (LEAVE, "{'writes'}", False),
    ],
    ids=["reads-undeclared", "reads", "writes-undeclared", "writes-as-reader", "writes", "leaves"],
)
def test_a_tool_has_no_more_rights_than_it_declares(
    body: str, effects: str, works: bool, opened: Open, tmp_path: Path
) -> None:
    (tmp_path / "workspace" / "secret.txt").write_text("secret")
    generous = Confinement(egress=Egress(hosts=("127.0.0.1:9",)), limits=WITHIN.limits)
    output = called(draft(body, CALLS, effects=effects), opened, generous)
    assert (output.status is ResultStatus.OK) == works
    assert output.content != "secret" or works
    assert (tmp_path / "workspace" / "out.txt").exists() == (works and body == WRITE)


def test_its_callers_rights_bound_it_too(opened: Open, tmp_path: Path) -> None:
    reader = Confinement(writable=(), limits=WITHIN.limits)
    output = called(draft(WRITE, CALLS, effects="{'writes'}"), opened, reader)
    assert output.status is ResultStatus.ERROR
    assert not (tmp_path / "workspace" / "out.txt").exists()


@pytest.mark.parametrize(
    ("body", "content", "status"),
    [
        ("print('noise')\nreturn 'clean'", "clean", ResultStatus.OK),
        ("raise ValueError('no')", "ValueError: no (tool.py, line 7)", ResultStatus.ERROR),
        ("return float('nan')", "ValueError: Out of range", ResultStatus.ERROR),
        ("import os\nos._exit(3)", "it gave no result.", ResultStatus.ERROR),
        ("return 'x' * 300_000", "it gave no result.", ResultStatus.ERROR),
    ],
    ids=["prints", "raises", "nan", "dies", "huge"],
)
def test_what_a_call_gives_is_its_value_or_one_line_on_why_not(
    body: str, content: str, status: ResultStatus, opened: Open
) -> None:
    output = called(draft(body, CALLS), opened)
    assert output.status is status
    assert output.content.startswith(content)
    assert len(output.content) < 5_000


def test_one_call_leaves_nothing_for_the_next(opened: Open) -> None:
    body = (
        "import pathlib\nplace = pathlib.Path.home() / 'mark'\nwas = place.exists()\n"
        "place.write_text('x')\nreturn str(was)"
    )
    one = draft(body, CALLS)
    assert [called(one, opened).content for _ in range(2)] == ["False", "False"]


def in_a_run(tools: BuiltTools, tmp_path: Path, script: list[Any], **options: Any) -> list[Any]:
    loaded, _ = load_built(tools)
    runs = RunStore(tmp_path / "runs")
    agent: Agent[str] = Agent(
        ScriptedModel(script),
        tools=["write_file", "read_file"],
        more_tools=loaded,
        workspace=tmp_path / "workspace",
        store=runs,
        **options,
    )
    events = runs.load(agent.run_sync("Do it.").run_id).events
    return [e.result for e in events if isinstance(e, CallFinished)]


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_in_a_run_it_works_on_what_the_run_works_on(
    mode: str, tools: BuiltTools, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    upper = "t = open(text).read().upper()\nopen(text, 'w').write(t)\nreturn t"
    tools.keep("probe", draft(upper, CALLS, effects="{'writes'}"), task="x")
    script = [
        [("write_file", {"path": "a.txt", "content": "low"})],
        [("probe", {"text": "a.txt"})],
        [("read_file", {"path": "a.txt"})],
        "Done.",
    ]
    results = in_a_run(tools, tmp_path, script, workspace_mode=mode)
    assert [r.content for r in results[1:]] == ["LOW", "LOW"]
    assert (workspace / "a.txt").exists() == (mode == "mount")


def test_a_file_changed_while_a_run_goes_on_is_not_run(
    tools: BuiltTools, tmp_path: Path, slugify: Draft
) -> None:
    (tmp_path / "workspace").mkdir()
    tools.keep("slugify", slugify, task="x")
    call = [("slugify", {"title": "A b"})]
    loaded, _ = load_built(tools)
    path = tools.root / "slugify" / "1" / "tool.py"
    path.write_text(path.read_text().replace("lower()", "upper()"))
    agent: Agent[str] = Agent(
        ScriptedModel([call, "Done."]),
        tools=loaded,
        workspace=tmp_path / "workspace",
        store=RunStore(tmp_path / "runs"),
    )
    run = agent.run_sync("x")
    events = RunStore(tmp_path / "runs").load(run.run_id).events
    (result,) = [e.result for e in events if isinstance(e, CallFinished)]
    assert "not what you approved" in result.content


def test_the_policy_decides_its_calls(tools: BuiltTools, tmp_path: Path, slugify: Draft) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "p.toml").write_text('extends = "default"\n[tools]\ndeny = ["slugify"]\n')
    tools.keep("slugify", slugify, task="x")
    policy = Policy.load(tmp_path / "p.toml")
    call = [("slugify", {"title": "A b"})]
    (result,) = in_a_run(tools, tmp_path, [call, "Done."], policy=policy)
    assert result.status is ResultStatus.DENIED
