"""Which servers a run may use: the user's list, narrowed by the policy."""

from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.cli.servers import tool_servers, tools_of_servers
from wardian.errors import ConfigurationError
from wardian.local_only import narrowed
from wardian.mcp import listed, servers_for_run, setting
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.scripted import ScriptedModel
from wardian.settings import Paths, load_settings, paths
from wardian_policies import Policy
from wardian_tools.mcp.definitions import Definition, Offer
from wardian_tools.mcp.entries import Entry, read_servers
from wardian_tools.mcp.pins import Pin, write_pins
from wardian_tools.mcp.servers import McpServers

LIST = """
[servers.boxed]
command = "boxed"
workspace = "write"

[servers.free]
command = "free"
sandbox = "none"
"""


@pytest.fixture
def places(tmp_path: Path, raw_tools: tuple[Definition, ...]) -> Paths:
    found = paths({"WARDIAN_HOME": str(tmp_path / "home")})
    found.mcp_servers.parent.mkdir()
    found.mcp_servers.write_text(LIST)
    entries = read_servers(found.mcp_servers)
    pins = {name: Pin.of(entry, Offer(tools=raw_tools)) for name, entry in entries.items()}
    write_pins(found.mcp_approved, pins)
    return found


def policy(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.toml"
    file.write_text(f'extends = "default"\n{text}')
    return Policy.load(file)


def of_run(places: Paths, policy: Policy, **more: Any) -> McpServers:
    return servers_for_run(places, {"TOKEN": "t0k"}, Path(), policy, **more)


def names(servers: McpServers) -> set[str]:
    return {tool.name for tool in servers.tools}


def test_a_server_without_a_box_needs_the_policys_leave_too(places: Paths, tmp_path: Path) -> None:
    refused = of_run(places, Policy.load("default"))
    assert names(refused) == {"boxed__add", "boxed__say"}
    assert 'unsandboxed = ["free"] would grant it' in refused.notices[0]
    granted = of_run(places, policy(tmp_path, '[mcp]\nunsandboxed = ["free"]\n'))
    assert {"free__add", "boxed__add"} <= names(granted)
    assert granted.notices == ("MCP server 'free' runs without a sandbox, with your own rights.",)


def test_a_policy_names_the_servers_that_a_run_may_use(places: Paths, tmp_path: Path) -> None:
    assert names(of_run(places, policy(tmp_path, '[mcp]\nservers = ["other*"]\n'))) == set()
    assert names(of_run(places, Policy.load("ci"))) == set()


def test_names_and_globs_choose_among_tools(places: Paths) -> None:
    found = of_run(places, Policy.load("default"), names=["python", "boxed__a*"])
    assert names(found) == {"boxed__add"}


def test_no_server_writes_the_workspace_of_a_run_on_a_copy(places: Paths) -> None:
    found = of_run(places, Policy.load("default"), is_copied=True)
    assert "only reads the workspace" in found.notices[0]
    entry = listed(places)["boxed"]
    rules = Policy.load("default")
    written = setting({}, Path(), rules).program(entry)
    copied = setting({}, Path(), rules, is_copied=True).program(entry)
    assert written.within.writable == ("**",)
    assert ".git/hooks/**" in written.within.protected
    assert copied.within.writable == ()


@pytest.mark.parametrize("is_here", [True, False])
def test_servers_of_a_model_elsewhere_do_not_see_what_is_private(
    places: Paths, is_here: bool
) -> None:
    found = of_run(places, Policy.load("default"))
    url = "http://192.0.2.1/v1"
    model = (
        ScriptedModel([])
        if is_here
        else ChatModel("m", endpoint=Endpoint(base_url=url), model_id="m")
    )
    Agent(model, servers=found, store=False)
    hidden = found.setting.program(listed(places)["boxed"]).within.hidden
    assert ("**/.env" in hidden) is not is_here


def test_a_policy_may_give_a_server_more_variables(places: Paths, tmp_path: Path) -> None:
    rules = policy(tmp_path, '[secrets]\ngive = ["TOKEN to mcp:boxed", "TOKEN to mcp:x"]\n')
    environ = {"TOKEN": "t0k", "OTHER": "0"}
    given = setting(environ, Path(), rules).environment(listed(places)["boxed"])
    assert given == {"TOKEN": "t0k"}
    assert of_run(places, rules).secrets() == {"TOKEN of boxed": "t0k"}


def test_what_the_command_line_asks_of_a_run_is_asked_of_its_servers(
    places: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDIAN_HOME", str(places.mcp_servers.parent))
    rules = Policy.load("default")
    flags = {"workspace_mode": "copy"}
    names_given = ["python", "boxed__add"]
    found, own = tool_servers(load_settings(flags, {}), rules, Path(), names_given)
    assert found is not None
    assert ([tool.name for tool in found.tools], own) == (["boxed__add"], ["python"])
    assert any("on a copy" in notice for notice in found.notices)
    local, _ = tool_servers(load_settings({}, {}), narrowed(rules), Path(), None)
    assert local is not None
    assert local.tools == ()
    assert "boxed__say" in {tool.name for tool in tools_of_servers()}


def test_a_server_on_two_lists_is_an_error(places: Paths) -> None:
    places.mcp_foreign.write_text('{"mcpServers": {"boxed": {"command": "x"}}}')
    with pytest.raises(ConfigurationError, match="boxed is listed in"):
        listed(places)


def test_an_agent_offers_the_tools_and_closes_the_servers(places: Paths) -> None:
    servers = of_run(places, Policy.load("default"))
    model = ScriptedModel(["Done."])
    result = Agent(model, servers=servers, store=False).run_sync("x")
    assert result.answer == "Done."
    assert "boxed__add" in {tool.name for tool in model.requests[0].tools}


def test_an_entry_that_was_disabled_is_not_spoken_of(tmp_path: Path) -> None:
    entry = Entry(name="a", command="x", disabled=True)
    found = McpServers({"a": entry}, {}, setting({}, tmp_path))
    assert (found.tools, found.notices) == ((), ())
