"""Which rule decides a call."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wardian_policies import Allow, Ask, Decision, Deny, Policy
from wardian_tools.types import Effect, Output, Tool, ToolCall

Write = Callable[[str], Policy]
TOOLS: dict[str, tuple[dict[str, object], set[Effect]]] = {
    "read_file": ({"path": {"type": "string"}}, {Effect.READS}),
    "search_files": ({"pattern": {}, "path": {}}, {Effect.READS}),
    "write_file": ({"path": {}, "content": {}}, {Effect.WRITES}),
    "edit_file": ({"path": {}, "old": {}, "new": {}}, {Effect.READS, Effect.WRITES}),
    "python": ({"code": {}}, {Effect.EXECUTES}),
    "shell": ({"command": {}}, {Effect.EXECUTES}),
    "web_search": ({"query": {}}, {Effect.EGRESS}),
    "now": ({}, set()),
    "my_tool": ({"place": {"format": "path"}, "count": {}}, {Effect.WRITES}),
}


async def nothing(*_: object, **__: object) -> Output:
    return Output(content="")


def make_tool(name: str) -> Tool:
    properties, effects = TOOLS[name]
    return Tool(
        name=name,
        description="",
        parameters={"type": "object", "properties": properties},
        effects=frozenset(effects),
        idempotent=False,
        validate=lambda value: value,
        function=nothing,
    )


def decide(policy: Policy, name: str, **arguments: object) -> Decision:
    call = ToolCall(id="1", name=name, arguments_text="", arguments=arguments)
    return policy.decide(call, make_tool(name))


def test_deny_wins_over_a_more_specific_allow(write: Write) -> None:
    policy = write('[tools]\nallow = ["shell(git status*)"]\ndeny = ["@executes"]')
    assert isinstance(decide(policy, "shell", command="git status"), Deny)


def test_a_more_specific_allow_wins_over_ask(write: Write) -> None:
    policy = write('[tools]\nallow = ["shell(git status*)"]\nask = ["shell"]')
    assert isinstance(decide(policy, "shell", command="git status -s"), Allow)
    assert isinstance(decide(policy, "shell", command="git push"), Ask)


def test_a_more_specific_ask_wins_over_allow(write: Write) -> None:
    policy = write('[tools]\nallow = ["shell"]\nask = ["shell(git push*)"]')
    assert isinstance(decide(policy, "shell", command="git push"), Ask)
    assert isinstance(decide(policy, "shell", command="git status"), Allow)


def test_ask_wins_a_tie(write: Write) -> None:
    policy = write('[tools]\nallow = ["shell(l*)"]\nask = ["shell(*s)"]')
    assert isinstance(decide(policy, "shell", command="ls"), Ask)


def test_a_named_tool_wins_over_its_class(write: Write) -> None:
    policy = write('[tools]\nallow = ["web_search"]\nask = ["@egress", "*"]')
    assert isinstance(decide(policy, "web_search", query="x"), Allow)
    assert isinstance(decide(policy, "now"), Ask)


def test_a_glob_over_names_covers_those_tools_only(write: Write) -> None:
    policy = write('[tools]\nallow = ["*_file"]\ndefault = "deny"')
    assert isinstance(decide(policy, "read_file", path="a"), Allow)
    assert isinstance(decide(policy, "search_files", pattern="a", path="."), Deny)


def test_an_unnamed_pattern_is_about_the_first_argument(write: Write) -> None:
    policy = write('[tools]\nallow = ["search_files(needle*)"]\ndefault = "deny"')
    assert isinstance(decide(policy, "search_files", pattern="needle1", path="x"), Allow)
    assert isinstance(decide(policy, "search_files", pattern="x", path="needle1"), Deny)


def test_a_named_path_is_compared_in_its_normal_form(write: Write) -> None:
    policy = write('[tools]\nallow = ["write_file(path=docs/**)"]\ndefault = "deny"')
    assert isinstance(decide(policy, "write_file", path="./docs/x/../a.md", content=""), Allow)
    assert isinstance(decide(policy, "write_file", path="docs/../a.md", content=""), Deny)


def test_a_rule_on_several_arguments_needs_all_of_them(write: Write) -> None:
    policy = write('[tools]\nallow = ["my_tool(place=out/**, count=3)"]\ndefault = "deny"')
    assert isinstance(decide(policy, "my_tool", place="out/a", count=3), Allow)
    assert isinstance(decide(policy, "my_tool", place="out/a", count=4), Deny)
    assert isinstance(decide(policy, "my_tool", place="in/a", count=3), Deny)


@pytest.mark.parametrize("joiner", ["; ", " && ", " | ", "\n", " & ", "$(", " `"])
def test_an_allowed_command_allows_no_second_one(write: Write, joiner: str) -> None:
    policy = write('[tools]\nallow = ["shell(git status*)"]\ndefault = "deny"')
    assert isinstance(decide(policy, "shell", command="git status --short"), Allow)
    assert isinstance(decide(policy, "shell", command=f"git status{joiner}rm -rf x"), Deny)


@pytest.mark.parametrize("prefix", ["", "  ", "cd x && ", "true; ", "echo $(", "(", "\n"])
def test_a_denied_command_is_found_behind_another(write: Write, prefix: str) -> None:
    policy = write('[tools]\ndeny = ["shell(git push*)"]\ndefault = "allow"')
    assert isinstance(decide(policy, "shell", command=f"{prefix}git push"), Deny)
    assert isinstance(decide(policy, "shell", command=f"{prefix}git pull"), Allow)


def test_each_of_many_rules_is_found_by_its_own_name(write: Write) -> None:
    rules = ", ".join(f'"shell(tool-{n} *)"' for n in range(150))
    policy = write(f'[tools]\nallow = [{rules}]\ndefault = "deny"')
    for n in (0, 77, 149):
        decision = decide(policy, "shell", command=f"tool-{n} x")
        assert isinstance(decision, Allow)
        assert decision.rule.text == f"allow shell(tool-{n} *)"


def test_a_rule_on_an_argument_the_tool_lacks_denies_and_says_why(write: Write) -> None:
    policy = write('[tools]\ndeny = ["write_file(pth=secret/**)"]\ndefault = "allow"')
    decision = decide(policy, "write_file", path="a", content="")
    assert isinstance(decision, Deny)
    assert "names an argument that write_file lacks" in decision.reason
    assert "path, content" in decision.reason


def test_a_class_rule_passes_over_tools_without_its_argument(write: Write) -> None:
    policy = write('[tools]\ndeny = ["*(path=secret/**)"]\ndefault = "allow"')
    assert isinstance(decide(policy, "read_file", path="secret/a"), Deny)
    assert isinstance(decide(policy, "read_file", path="open/a"), Allow)
    assert isinstance(decide(policy, "shell", command="ls"), Allow)


def test_a_decision_names_its_rule_and_line(write: Write, tmp_path: Path) -> None:
    policy = write('[tools]\nask = [\n  "python",\n  "shell(git push*)",\n]')
    decision = decide(policy, "shell", command="git push")
    assert isinstance(decision, Ask)
    assert decision.rule.text == "ask shell(git push*)"
    assert decision.rule.source == f"{tmp_path}/policy.toml:4"
    assert decision.question.count("shell") >= 1
    assert decision.granted.within == policy.confinement


def test_two_tools_of_one_name_are_decided_apart(write: Write) -> None:
    policy = write('[tools]\nallow = ["@read-only"]\ndefault = "deny"')
    reading, writing = make_tool("read_file"), make_tool("write_file")
    call = ToolCall(id="1", name="x", arguments_text="", arguments={"path": "a"})
    assert isinstance(policy.decide(call, reading), Allow)
    assert isinstance(policy.decide(call, replace(writing, name=reading.name)), Deny)


def test_a_call_without_understood_arguments_is_denied() -> None:
    call = ToolCall(id="1", name="read_file", arguments_text="{", problem="not JSON")
    assert isinstance(Policy.load("default").decide(call, make_tool("read_file")), Deny)
