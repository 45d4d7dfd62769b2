"""Built tools in real boxes: checks, rights, pinning, and a whole build over HTTP."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.building.conftest import SLUGIFY, TESTS, draft

from wardian import Agent, Policy, RunStore, ScriptedModel
from wardian.building.checking import Draft, Report, check
from wardian.building.describe import NotATool
from wardian.building.loading import load_built
from wardian.building.running import Open, run_built
from wardian.building.store import BuiltTools, ToolChanged, digest
from wardian.cli.task_input import UsageError
from wardian.cli.tool_arguments import tool_arguments, usage
from wardian.errors import ConfigurationError, ExitCode
from wardian.events import CallFinished
from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text
from wardian_sandbox.types import Confinement, Egress, ResourceLimits
from wardian_tools import Output, ResultStatus, ToolContext

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


def test_versions_are_kept_rolled_back_and_removed(tools: BuiltTools, slugify: Draft) -> None:
    second = Draft(source=slugify.source + b"# second\n", tests=slugify.tests)
    tools.keep("slugify", slugify, task="first")
    tools.keep("slugify", second, task="second")
    assert tools.read("slugify")[0] == second
    assert tools.roll_back("slugify").current == 1
    assert tools.read("slugify")[0] == slugify
    with pytest.raises(ConfigurationError, match="no earlier version"):
        tools.roll_back("slugify")
    assert tools.roll_back("slugify", 2).current == 2
    assert tools.keep("slugify", slugify, task="third").current == 3
    tools.remove("slugify")
    assert tools.all() == []
    assert not (tools.root / "slugify").exists()


@pytest.mark.parametrize("name", ["tool.py", "test_tool.py"])
def test_a_changed_file_is_refused_whichever_it_is(
    name: str, tools: BuiltTools, slugify: Draft
) -> None:
    tools.keep("slugify", slugify, task="x")
    path = tools.root / "slugify" / "1" / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ToolChanged, match="not what you approved"):
        tools.read("slugify")
    loaded, notices = load_built(tools)
    assert (loaded, len(notices)) == ([], 1)


def test_text_moved_from_one_file_to_the_other_has_another_hash() -> None:
    assert digest(Draft(source=b"ab", tests=b"c")) != digest(Draft(source=b"a", tests=b"bc"))


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"tools": {"../x": {"current": 1, "versions": []}}}', '{"tools": {"x": 3}}'],
    ids=["torn", "list", "outside", "number"],
)
def test_a_damaged_list_of_tools_is_an_error_with_a_remedy(index: str, tools: BuiltTools) -> None:
    tools.root.mkdir()
    (tools.root / "index.json").write_text(index)
    with pytest.raises(ConfigurationError, match="build your tools again"):
        tools.all()


def test_a_draft_is_listed_until_it_is_kept_or_removed(tools: BuiltTools, slugify: Draft) -> None:
    tools.keep_draft("slugify", slugify, "task")
    tools.keep_draft("other", slugify, "task")
    assert tools.drafts() == ["other", "slugify"]
    tools.keep("slugify", slugify, task="task")
    tools.remove("other")
    assert tools.drafts() == []
    assert [one.name for one in tools.all()] == ["slugify"]


def test_no_draft_is_read_from_elsewhere(tools: BuiltTools, slugify: Draft) -> None:
    tools.keep_draft("slugify", slugify, "x")
    tools.keep("drafts", slugify, task="x")
    assert tools.draft("slugify") == (slugify, "x")
    for name in ("../drafts/1", "..", "", "slugify/../slugify"):
        with pytest.raises(ConfigurationError, match="There is no draft"):
            tools.draft(name)


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


async def never(context: ToolContext, arguments: dict[str, Any]) -> Output:
    raise AssertionError


OPTIONS = '''\
@tool
def probe(first: str, many: list[int], big: bool = False, ratio: float | None = None) -> str:
    """Probe."""
'''


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["a", "[1, 2]"], {"first": "a", "many": [1, 2]}),
        (["--first", "a", "--many", "1", "--many=2"], {"first": "a", "many": [1, 2]}),
        (["--many=[1]", "a", "--big"], {"first": "a", "many": [1], "big": True}),
        (["a", "1", "--no-big", "--ratio", "0.5"], {"first": "a", "many": [1], "ratio": 0.5}),
        (["--many=1", "--", "--first"], {"first": "--first", "many": [1]}),
        (["--arguments", '{"first": "3", "many": []}'], {"first": "3", "many": []}),
        (["3", "1"], {"first": "3", "many": [1]}),
    ],
    ids=range(7),
)
def test_words_become_arguments(words: list[str], given: dict[str, Any]) -> None:
    tool = Draft(source=OPTIONS.encode(), tests=b"").described().as_tool(never)
    full = {"big": False, "ratio": None, **given}
    assert tool_arguments(tool, words) == full
    assert usage(tool) == "--first STRING --many ARRAY [--big BOOLEAN] [--ratio NUMBER]"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a"], "many: Field required"),
        (["a", "x"], "many.0: Input should be a valid integer"),
        (["a", "1", "true", "1", "5"], "'5' is one value too many"),
        (["--frist", "a"], "has no option --frist. Did you mean '--first'?"),
        (["--first"], "--first needs a value"),
        (["--arguments", "[1]"], "not a JSON object"),
        (["--arguments", "{"], "not JSON"),
    ],
    ids=range(7),
)
def test_words_that_do_not_fit_are_a_usage_error(words: list[str], problem: str) -> None:
    tool = Draft(source=OPTIONS.encode(), tests=b"").described().as_tool(never)
    with pytest.raises(UsageError) as raised:
        tool_arguments(tool, words)
    assert problem in str(raised.value)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def agent(tmp_path: Path) -> Command:
    """`agent(*arguments)`: the real command, without a terminal."""
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ |= {"WARDIAN_HOME": str(tmp_path / "home"), "OPENAI_API_KEY": "sk-test-not-a-key"}
    (tmp_path / "workspace").mkdir(exist_ok=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "wardian", *arguments],
            env=environ,
            cwd=tmp_path / "workspace",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_a_tool_is_built_over_http_mended_approved_and_run_without_a_model(
    agent: Command, tmp_path: Path
) -> None:
    chancy = SLUGIFY.replace("return", "import time\n    return str(time.time_ns()) +")
    lax = TESTS.replace('== "two-words"', "")
    writes = [("tool.py", chancy), ("test_tool.py", lax)]
    script = [
        stream_calls([("write_file", {"path": path, "content": text}) for path, text in writes]),
        stream_text("Done."),
        stream_calls([("write_file", {"path": "tool.py", "content": SLUGIFY})]),
        stream_text("Mended."),
    ]
    with ScriptedServer(script) as server:
        asked = ["-m", "openai/x", "--base-url", server.base_url]
        built = agent("tool", "build", "Turn a title into a slug", *asked)
        told = [json.loads(one.body)["messages"][-1]["content"] for one in server.received]
    assert built.returncode == ExitCode.APPROVAL, built.stderr
    assert "The tool is not deterministic" in told[2]
    assert SLUGIFY.strip() in built.stderr
    assert "It computes from its arguments alone" in built.stderr
    refused = agent("tool", "approve", "slugify", "--sha256", "0" * 64)
    assert refused.returncode == ExitCode.CONFIGURATION
    assert agent("tool", "run", "slugify", "x").returncode == ExitCode.CONFIGURATION
    sha256 = built.stderr.rpartition("--sha256 ")[2].split(".")[0]
    assert agent("tool", "approve", "slugify", "--sha256", sha256).returncode == 0
    ran = agent("tool", "run", "slugify", "--title", "Hello, World", "--separator=_")
    assert (ran.returncode, ran.stdout) == (0, "hello_world\n")
    failed = agent("tool", "run", "slugify", " ")
    assert failed.returncode == ExitCode.NOT_ACHIEVED
    assert "the title is empty (tool.py, line 15)" in failed.stderr
    assert "slugify  1        none" in agent("tool", "list").stdout


def test_a_built_tool_is_offered_to_the_model_of_a_run(
    agent: Command, tmp_path: Path, slugify: Draft
) -> None:
    BuiltTools(tmp_path / "home" / "tools").keep("slugify", slugify, task="x")
    script = [stream_calls([("slugify", {"title": "A b"})]), stream_text("Done.")] * 2
    with ScriptedServer(script) as server:
        asked = ["-m", "openai/x", "--base-url", server.base_url]
        ran = agent("run", "Slug it.", *asked)
        offered = [
            tool["function"]["name"] for tool in json.loads(server.received[0].body)["tools"]
        ]
        only = agent("run", "Slug it.", *asked, "--tools", "slugify")
        alone = [tool["function"]["name"] for tool in json.loads(server.received[2].body)["tools"]]
    assert (ran.returncode, only.returncode) == (0, 0), ran.stderr + only.stderr
    assert {"slugify", "python", "todo"} <= set(offered)
    assert alone == ["slugify"]


def test_the_built_in_model_is_not_asked_to_write_tools(agent: Command) -> None:
    refused = agent("tool", "build", "Anything")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "cannot write tools" in refused.stderr


def test_a_folder_that_is_worked_on_defines_no_tools(agent: Command, tmp_path: Path) -> None:
    planted = tmp_path / "workspace" / ".wardian" / "tools" / "evil" / "1"
    planted.mkdir(parents=True)
    (planted / "tool.py").write_text(SLUGIFY)
    assert agent("tool", "list").stdout == ""
