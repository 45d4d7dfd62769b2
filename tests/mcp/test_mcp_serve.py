"""Wardian as a tool server, called by the SDK's own client."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from wardian import Agent
from wardian.cli.mcp_serve import the_token
from wardian.errors import ConfigurationError
from wardian.runs import RunStore
from wardian.serve.mcp import listener_on, make_server, serve_http
from wardian.serve.mcp_session import Caller, Session
from wardian_policies import Policy
from wardian_policies.types import Budgets
from wardian_tools.mcp.setting import Setting

COMMAND = [sys.executable, "-P", "-m", "wardian", "mcp", "serve"]
MODES = ["legacy", "auto"]
"""Protocol up to 2025-11-25, and since."""


def session_of(setting: Setting, policy: str, store: Path, **more: Any) -> Session:
    caller = Caller()
    budgets = Budgets(steps=None, tool_calls=more.pop("tool_calls", None), wall_seconds=None)
    agent: Agent[Any] = Agent(
        caller,
        policy=Policy.load(policy),
        budgets=budgets,
        workspace=setting.workspace,
        store=RunStore(store),
        **more,
    )
    return Session(agent, caller)


def served(
    session: Session, work: Callable[[Client], Awaitable[Any]], mode: str = "auto", **client: Any
) -> Any:
    async def run() -> Any:
        try:
            async with Client(make_server(session), mode=mode, **client) as connected:
                return await work(connected)
        finally:
            await session.close()

    return asyncio.run(run())


def text(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


def events(store: Path) -> list[dict[str, Any]]:
    (log,) = store.rglob("*.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_tools_run_in_the_sandbox_and_the_session_is_a_run(
    setting: Setting, tmp_path: Path
) -> None:
    async def work(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"python", "shell", "read_file"} <= names
        assert not (await client.call_tool("python", {"code": "x = 41"})).is_error
        assert text(await client.call_tool("python", {"code": "x + 1"})) == "42"
        assert "one" in text(await client.call_tool("read_file", {"path": "a.txt"}))
        outside = await client.call_tool("shell", {"command": "ls /root /home/*/.ssh"})
        assert outside.is_error

    served(session_of(setting, "default", tmp_path / "runs"), work)
    found = [json.dumps(event) for event in events(tmp_path / "runs")]
    assert "mcp-client" in found[1]
    assert sum("call_started" in event for event in found) == 4
    assert "run_finished" in found[-1]


def test_another_program_gets_nothing_of_private_files(setting: Setting, tmp_path: Path) -> None:
    (setting.workspace / ".env").write_text("very-private")

    async def work(client: Client) -> None:
        assert "very-private" not in text(await client.call_tool("shell", {"command": "cat .env"}))
        assert (await client.call_tool("read_file", {"path": ".env"})).is_error

    served(session_of(setting, "default", tmp_path / "runs"), work)


def test_only_what_the_policy_may_let_run_is_offered(setting: Setting, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'extends = "default"\n[tools]\nask = ["python"]\n'
        'deny = ["shell", "write_file(path=docs/**)"]\n'
    )
    session = session_of(setting, str(policy), tmp_path / "runs")

    async def work(client: Client) -> set[str]:
        return {tool.name for tool in (await client.list_tools()).tools}

    offered = served(session, work)
    assert "shell" not in offered
    assert {"python", "write_file", "read_file"} <= offered


def test_what_the_policy_denies_is_refused_and_recorded(setting: Setting, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[tools]\ndefault = "allow"\ndeny = ["shell(rm*)"]\n')

    async def work(client: Client) -> None:
        denied = await client.call_tool("shell", {"command": "rm a.txt"})
        assert denied.is_error
        assert "deny shell(rm*)" in text(denied)
        assert text(await client.call_tool("shell", {"command": "echo twin"})) == "twin"

    served(session_of(setting, str(policy), tmp_path / "runs"), work)
    assert (setting.workspace / "a.txt").exists()
    assert any("deny shell(rm*)" in json.dumps(event) for event in events(tmp_path / "runs"))


@pytest.mark.parametrize("mode", MODES)
def test_where_the_policy_asks_and_nobody_can_be_asked_the_call_is_refused(
    setting: Setting, tmp_path: Path, mode: str
) -> None:
    async def work(client: Client) -> None:
        refused = await client.call_tool("shell", {"command": "touch made"})
        assert refused.is_error
        assert "no way to ask its user" in text(refused)

    served(session_of(setting, "strict", tmp_path / "runs"), work, mode)
    assert not (setting.workspace / "made").exists()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("action", "content", "runs"),
    [
        ("accept", {"allow": True}, True),
        ("accept", {"allow": False}, False),
        ("accept", {"allow": "true"}, False),
        ("decline", None, False),
        ("cancel", None, False),
    ],
)
def test_where_the_policy_asks_the_clients_user_decides(
    setting: Setting, tmp_path: Path, mode: str, action: Any, content: Any, runs: bool
) -> None:
    asked: list[str] = []

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action=action, content=content)

    async def work(client: Client) -> None:
        result = await client.call_tool("write_file", {"path": "made", "content": "\x1b[2J"})
        assert result.is_error is not runs

    session = session_of(setting, "strict", tmp_path / "runs")
    served(session, work, mode, elicitation_callback=elicit)
    assert (setting.workspace / "made").exists() == runs
    (question,) = asked
    assert "write_file" in question
    assert "\x1b" not in question


def test_an_answer_about_one_call_lets_no_other_run(setting: Setting, tmp_path: Path) -> None:
    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        raise AssertionError("not used")

    async def work(client: Client) -> None:
        first = await client.session.call_tool(
            "shell", {"command": "touch harmless"}, allow_input_required=True
        )
        assert isinstance(first, types.InputRequiredResult)
        yes: types.InputResponses = {
            "allow": types.ElicitResult(action="accept", content={"allow": True})
        }
        with pytest.raises(MCPError, match="another call"):
            await client.session.call_tool(
                "shell",
                {"command": "touch harmful"},
                input_responses=yes,
                request_state=first.request_state,
                allow_input_required=True,
            )

    session = session_of(setting, "strict", tmp_path / "runs")
    served(session, work, elicitation_callback=elicit)
    assert not (setting.workspace / "harmful").exists()
    assert not (setting.workspace / "harmless").exists()


def test_a_call_the_client_cancels_is_ended(setting: Setting, tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.call_tool("shell", {"command": "true"})
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.call_tool("shell", {"command": "sleep 50; touch late"})
        assert text(await client.call_tool("shell", {"command": "pgrep sleep || echo none"})) == (
            "none"
        )

    served(session_of(setting, "default", tmp_path / "runs"), work)


def test_a_session_ends_at_its_budget_of_calls(setting: Setting, tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for _ in range(2):
            assert not (await client.call_tool("list_files", {})).is_error
        over = await client.call_tool("list_files", {})
        assert over.is_error
        assert "limit" in text(over) or "budget" in text(over)

    served(session_of(setting, "default", tmp_path / "runs", tool_calls=2), work)


def test_a_session_that_is_closed_starts_no_run(setting: Setting, tmp_path: Path) -> None:
    session = session_of(setting, "default", tmp_path / "runs")

    async def work(client: Client) -> None:
        await session.close()
        late = await client.call_tool("python", {"code": "1"})
        assert (late.is_error, text(late)) == (True, "Not run: the session is over.")

    served(session, work)
    assert not list((tmp_path / "runs").rglob("*.jsonl"))


def test_wrong_calls_are_answered_and_end_nothing(setting: Setting, tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for _ in range(5):
            wrong = await client.call_tool("read_file", {"pth": "a.txt"})
            assert "did you mean path?" in text(wrong)
        with pytest.raises(MCPError, match="no tool 'nothing'"):
            await client.call_tool("nothing", {})
        assert not (await client.call_tool("read_file", {"path": "a.txt"})).is_error

    served(session_of(setting, "default", tmp_path / "runs"), work)


def test_the_command_serves_over_standard_streams(setting: Setting, tmp_path: Path) -> None:
    command = [*COMMAND[1:], "--tools", "python,list_files"]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**kept, "WARDIAN_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    parameters = StdioServerParameters(
        command=sys.executable, args=command, env=environment, cwd=setting.workspace
    )

    async def run() -> None:
        async with Client(parameters) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == [
                "list_files",
                "python",
            ]
            assert text(await client.call_tool("python", {"code": "print(6 * 7)"})) == "42"

    asyncio.run(run())
    assert "run_finished" in json.dumps(events(tmp_path / "home" / "runs")[-1])


def asked(method: str, **params: Any) -> bytes:
    """A request of the legacy protocol as one line."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


@pytest.mark.parametrize("over", ["stdio", "http"])
def test_a_signal_ends_the_session_and_leaves_the_workspace_clean(
    setting: Setting, tmp_path: Path, over: str
) -> None:
    """As a supervisor stops it: without a word to those who are connected."""
    before = sorted(path.name for path in setting.workspace.iterdir())
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**kept, "WARDIAN_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    token = tmp_path / "token"
    token.write_text("long-enough-for-anybody")
    options = ["--http", "0", "--token-file", str(token)] if over == "http" else []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*COMMAND, *options], env=environment, cwd=setting.workspace, stdin=pipe, stdout=pipe,
        stderr=pipe,
    ) as server:  # fmt: skip
        if over == "http":
            call_over_http(server, token.read_text())
        else:
            call_over_stdio(server)
        assert {path.name for path in setting.workspace.iterdir()} > set(before)
        server.send_signal(signal.SIGTERM)
        assert server.wait(300) == 128 + signal.SIGTERM
    assert sorted(path.name for path in setting.workspace.iterdir()) == before
    assert "run_finished" in json.dumps(events(tmp_path / "home" / "runs")[-1])


def call_over_stdio(server: "subprocess.Popen[bytes]") -> None:
    client = {"capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    call = asked("tools/call", name="shell", arguments={"command": "echo heard"})
    assert server.stdin
    assert server.stdout
    for line, answers in (
        (asked("initialize", protocolVersion="2025-06-18", **client), True),
        (json.dumps(ready).encode(), False),
        (call, True),
    ):
        server.stdin.write(line + b"\n")
        server.stdin.flush()
        said = server.stdout.readline() if answers else b""
    assert b"heard" in said


def call_over_http(server: "subprocess.Popen[bytes]", token: str) -> None:
    assert server.stderr
    url = server.stderr.readline().decode().split()[-1]

    async def call() -> None:
        headers = {"authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=300) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            assert text(await client.call_tool("shell", {"command": "echo heard"})) == "heard"

    asyncio.run(call())


def test_http_takes_the_token_and_nothing_else(setting: Setting, tmp_path: Path) -> None:
    session = session_of(setting, "default", tmp_path / "runs")

    async def run() -> None:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve_http(session, listener_on(0), "t0p-secret-token", ready.set_result)
        )
        url = f"http://127.0.0.1:{await ready}/mcp"
        try:
            await attack(url)
            headers = {"authorization": "Bearer t0p-secret-token"}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=300) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                assert text(await client.call_tool("python", {"code": "1 + 1"})) == "2"
        finally:
            serving.cancel()
            await asyncio.wait((serving,))

    async def attack(url: str) -> None:
        async with httpx2.AsyncClient() as http:
            right = {"authorization": "Bearer t0p-secret-token"}
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "t0p"}):
                assert (await http.post(url, json={}, headers=headers)).status_code == 401
            elsewhere = await http.post(url.replace("/mcp", "/other"), headers=right)
            assert elsewhere.status_code == 404
            for name in ("host", "origin"):  # a page in the user's browser, by a name of its own
                foreign = {**right, name: "http://evil.example" if name == "origin" else "evil"}
                answer = await http.post(url, json={}, headers=foreign)
                assert answer.status_code in (403, 421), name

    asyncio.run(run())


def test_a_token_that_is_easily_guessed_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("short\n")
    with pytest.raises(ConfigurationError, match="no token of at least 16"):
        the_token(token)
    token.write_text("long-enough-for-anybody\n")
    assert the_token(token) == "long-enough-for-anybody"


def test_a_port_that_is_taken_is_said_before_any_token(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**kept, "WARDIAN_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    with listener_on(0) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--http", str(port)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert f"Cannot listen on 127.0.0.1:{port}: address already in use." in done.stderr
    assert "token" not in done.stderr
