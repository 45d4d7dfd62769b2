"""`agent tool`: built over HTTP, approved, run with no model; words become arguments."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.building.conftest import SLUGIFY, TESTS
from tests.command import Command, bare_environment, command

from wardian.building.checking import Draft
from wardian.building.store import BuiltTools
from wardian.cli.task_input import UsageError
from wardian.cli.tool_arguments import tool_arguments, usage
from wardian.errors import ExitCode
from wardian.models.scripted_server import ScriptedServer, stream_calls, stream_text
from wardian_tools import Output, ToolContext


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


@pytest.fixture
def agent(tmp_path: Path) -> Command:
    """`agent(*arguments)`: the real command, without a terminal."""
    environment = bare_environment() | {
        "WARDIAN_HOME": str(tmp_path / "home"),
        "OPENAI_API_KEY": "sk-test-not-a-key",
    }
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    return command(environment, workspace)


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
