"""Why a call is decided as it is, and what would change that."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_policies import Policy
from wardian_policies.explain import Explanation, parse_call
from wardian_policies.labels import FlowState, Situation, Source
from wardian_tools import Effect, builtin_tools, tool
from wardian_tools.types import Confidentiality, Integrity

Write = Callable[[str], Policy]
TOOLS = {one.name: one for one in builtin_tools()}


@tool(effects={Effect.EGRESS})
def send(url: str, count: int = 1) -> str:
    """Sends something."""
    return url * count


TOOLS["send"] = send


def explain(policy: Policy, text: str) -> Explanation:
    tool = TOOLS[text.partition("(")[0]]
    return policy.explain(parse_call(text, tool), tool)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("shell(git push)", {"command": "git push"}),
        ("shell(X=1 make)", {"command": "X=1 make"}),
        ("shell(command=ls (a))", {"command": "ls (a)"}),
        ("write_file(path=a, content=b, c)", {"path": "a", "content": "b, c"}),
        ('write_file({"path": "a", "content": "x=1"})', {"path": "a", "content": "x=1"}),
        ("send(url=https://a.org/, count=3)", {"url": "https://a.org/", "count": 3}),
        ("read_file", {}),
        ("read_file()", {}),
    ],
)
def test_a_written_call_is_read(text: str, arguments: dict[str, object]) -> None:
    assert parse_call(text, TOOLS[text.partition("(")[0]]).arguments == arguments


@pytest.mark.parametrize("text", ["read_file(pth=a)", 'send({"ulr": 1})', "send({)"])
def test_an_argument_that_the_tool_lacks_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"has no argument|Expecting"):
        parse_call(text, TOOLS[text.partition("(")[0]])


def test_the_rule_its_file_and_line_are_named(write: Write, tmp_path: Path) -> None:
    policy = write('extends = "default"\n[tools]\nask = ["shell(git push*)"]')
    found = explain(policy, "shell(git push)")
    assert found.verdict == "ask"
    assert found.rule.text == "ask shell(git push*)"
    assert found.rule.source == f"{tmp_path}/policy.toml:3"
    assert found.would_change[0] == (
        f"Without 'ask shell(git push*)' ({tmp_path}/policy.toml:3) it would be allow."
    )


def test_each_edit_that_is_offered_has_been_tried(write: Write) -> None:
    policy = write('[tools]\ndeny = ["shell(rm *)", "shell(rm -rf *)"]\ndefault = "ask"')
    found = explain(policy, "shell(rm -rf x)")
    # Without one of the two the other still denies, and no allow wins over a deny.
    assert (found.verdict, found.would_change) == ("deny", ())
    found = explain(policy, "shell(ls -l)")
    assert [change.rpartition(" ")[2] for change in found.would_change] == ["allow.", "deny."]


def test_an_offered_rule_does_what_is_said_of_it(write: Write, tmp_path: Path) -> None:
    found = explain(Policy.load("strict"), "shell(ls | wc -l)")
    offered = found.would_change[0].split('"')[1]
    policy = write(f"extends = 'strict'\n[tools]\nallow = ['{offered}']")
    assert explain(policy, "shell(ls | wc -l)").verdict == "allow"
    assert explain(policy, "shell(ls | wc -c)").verdict == "ask"


def test_what_makes_a_command_one_for_a_shell_is_said() -> None:
    facts = explain(Policy.load("default"), "shell(git push; rm x)").facts
    assert "The command is for a shell: it has ';', which a shell interprets." in facts
    facts = explain(Policy.load("default"), "shell(git 'push')").facts
    assert 'The command is one program with its words: ["git", "push"].' in facts


def test_each_layer_is_heard(write: Write) -> None:
    policy = Policy.load("default").narrowed_by(write('[tools]\ndeny = ["shell"]'))
    found = explain(policy, "shell(ls)")
    assert found.verdict == "deny"
    assert [fact for fact in found.facts if fact.startswith("One layer says allow")]


def test_a_protected_path_names_its_glob() -> None:
    found = explain(Policy.load("default"), "write_file(path=.git/hooks/x, content=a)")
    assert found.would_change == ("Change paths.protected .git/hooks/** (preset default).",)


def test_a_flow_rule_that_is_stricter_is_the_answer_with_its_taint(write: Write) -> None:
    policy = write('[tools]\nallow = ["send"]')
    call = parse_call("send(url=https://a.org/)", send)
    read = Source(
        tool="web_fetch",
        step=2,
        call_id="1",
        integrity=Integrity.UNTRUSTED,
        confidentiality=Confidentiality.PRIVATE,
    )
    situation = Situation(flow=FlowState().joined(read))
    assert policy.explain(call, send).verdict == "allow"
    found = policy.explain(call, send, situation)
    assert found.verdict == "ask"
    assert found.rule.text.startswith("flow.rule_of_two")
    assert "web_fetch (step 2)" in found.facts[-1]
