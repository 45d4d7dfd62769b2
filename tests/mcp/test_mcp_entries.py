"""The list of servers: what is understood, and what is refused with its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_tools.errors import ServerFileError
from wardian_tools.mcp.entries import KINDS, Entry, parse_servers, read_servers

TOML, JSON = Path("mcp.toml"), Path("mcp.json")


def test_a_list_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_servers(tmp_path / "mcp.toml") == {}


def test_an_entry_has_what_its_table_says() -> None:
    text = """
[servers.github]
command = "github-mcp"
args = ["stdio"]
secrets = ["GITHUB_TOKEN"]
env = { LEVEL = "info", KEY = "${API_KEY}" }
hosts = ["api.example.org"]
tools = ["get_*"]
"""
    entry = parse_servers(TOML, text)["github"]
    assert entry.command == "github-mcp"
    assert entry.variables == ("GITHUB_TOKEN", "API_KEY")
    assert entry.offers("get_issue")
    assert not entry.offers("delete_repo")
    assert entry.reaches_out


def test_what_other_programs_keep_is_understood() -> None:
    text = json.dumps(
        {
            "mcpServers": {
                "files": {
                    "type": "stdio",
                    "command": "npx",
                    "args": ["-y", "x"],
                    "env": {"KEY": "${env:KEY}"},
                    "autoApprove": ["*"],
                },
                "remote": {"type": "http", "url": "https://example.org/mcp"},
            }
        }
    )
    entries = parse_servers(JSON, text)
    assert entries["files"].variables == ("KEY",)
    assert entries["remote"].is_remote


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[servers.a]\ncomand = "x"', "mcp.toml:2: comand of server 'a' is not a key"),
        ('[servers.a]\ncomand = "x"', "'command'"),
        ('[servers.a]\nargs = ["x"]', "neither a command nor a URL"),
        ('[servers.a]\ncommand = "x"\nurl = "https://example.org"', "both"),
        ('[servers.a]\ncommand = "x"\nargs = "y"', "mcp.toml:3: args of server 'a' must be a list"),
        ('[servers.a]\ncommand = "x"\nsandbox = "off"', '"bubblewrap" or "none"'),
        ('[servers.a]\ncommand = "x"\ntimeout_seconds = 0', "1 to 3600"),
        ('[servers.a]\ncommand = "x"\ntimeout_seconds = true', "1 to 3600"),
        ('[servers.a]\ncommand = "x"\nreadable = ["src"]', "not absolute"),
        ('[servers.a]\ncommand = "x"\nsecrets = ["A B"]', "no variable's name"),
        ('[servers.a__b]\ncommand = "x"', "cannot name a server"),
        ('[servers."../x"]\ncommand = "x"', "cannot name a server"),
        ('[servers.a]\nurl = "http://example.org/mcp"', "Use https"),
        ('[servers.a]\nurl = "https://me:pw@example.org/mcp"', "without a user"),
        ('[servers.a]\nurl = "file:///etc/passwd"', "http(s)"),
        ('[servers.a]\nurl = "https://example.org"\nenv = {A = "b"}', "env means nothing"),
        ('[server.a]\ncommand = "x"', "mcp.toml:1: 'server' is not a key"),
        ("[servers.a", "is not TOML"),
        ("servers = 3", "is not a table"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ServerFileError) as error:
        parse_servers(TOML, text)
    assert said in str(error.value)


def test_a_server_spoken_to_in_the_old_way_is_refused() -> None:
    with pytest.raises(ServerFileError, match="streamable HTTP"):
        parse_servers(JSON, '{"mcpServers": {"a": {"type": "sse", "url": "https://e.org"}}}')


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists))
@settings(max_examples=40)
def test_no_value_of_a_key_is_a_crash(value: object) -> None:
    for key in KINDS:
        text = json.dumps({"mcpServers": {"a": {"command": "x", key: value}}})
        try:
            parse_servers(JSON, text)
        except ServerFileError:
            continue


def test_only_what_decides_what_runs_changes_the_digest() -> None:
    plain = Entry(name="a", command="x")
    assert plain.sha256 == Entry(name="a", command="x", timeout_seconds=5, tools=("get_*",)).sha256
    for other in (
        Entry(name="a", command="y"),
        Entry(name="a", command="x", args=("--evil",)),
        Entry(name="a", command="x", secrets=("TOKEN",)),
        Entry(name="a", command="x", hosts=("example.org",)),
        Entry(name="a", command="x", sandbox="none"),
        Entry(name="a", command="x", env={"PATH": "/tmp"}),
        Entry(name="a", command="x", workspace="write"),
    ):
        assert other.sha256 != plain.sha256
