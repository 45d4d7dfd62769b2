"""A stopped run goes on where it stopped, and says what it could not restore."""

import subprocess
import sys
from typing import Any

import pytest
from tests.runs.conftest import House

from wardian import Policy, ScriptedModel, tool
from wardian.beginning import UNKNOWN, Settled
from wardian.errors import ApprovalNeeded, ConfigurationError, ExitCode, StorageError
from wardian.events import (
    CallFinished,
    CallSettled,
    ModelReplied,
    Noted,
    RunResumed,
    Settlement,
)
from wardian.importing import import_file
from wardian.models.replies import Answer
from wardian.runs import RunLog
from wardian.runs.encode import dumps, line
from wardian.types import Finish, Message, Reply, Role, Stop
from wardian_policies.types import Ask
from wardian_tools import Effect, ToolCall, ToolContext

ran: list[str] = []


@tool(effects=[Effect.READS])
def look(name: str) -> str:
    """Look.

    Args:
        name: At what.
    """
    ran.append(f"look {name}")
    return f"{name} is there"


@tool(effects=[Effect.EGRESS])
def send(text: str) -> str:
    """Send.

    Args:
        text: What.
    """
    ran.append(f"send {text}")
    return f"sent {text}"


@tool(effects=[Effect.EGRESS], idempotent=True)
def pay(context: ToolContext, cents: int) -> str:
    """Pay once.

    Args:
        cents: How much.
    """
    ran.append(context.idempotency_key)
    return f"paid {cents}"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


async def yes(ask: Ask, call: ToolCall) -> bool:
    del ask, call
    return True


CUT = Reply(message=Message(role=Role.ASSISTANT, content="Well,"), finish=Finish.LENGTH)
SCRIPT: list[Answer] = [
    [("look", {"name": "a"}), ("look", {"name": "b"})],
    [("look", "{broken")],
    CUT,
    [("send", {"text": "hello"})],
    [("look", {"name": "c"}), ("send", {"text": "bye"})],
    "All done.",
]
TOOLS = [look, send]
FREE: dict[str, Any] = {"tools": TOOLS, "approve": yes}


def test_every_prefix_of_a_run_is_resumed_to_the_same_end(house: House) -> None:
    whole = house.run(SCRIPT, **FREE)
    path = house.store.path(whole.run_id)
    content, records = path.read_bytes(), len(house.load().records)
    once = ["look a", "look b", "look c", "send bye", "send hello"]
    assert sorted(ran) == once
    for kept in range(2, records):
        path.write_bytes(content)
        house.cut(whole.run_id, kept)
        before = house.load()
        finished = {e.result.name for e in before.events if isinstance(e, CallFinished)}
        ran.clear()
        agent = house.agent(SCRIPT, **FREE)
        again = Settled(settlement=Settlement.AGAIN)
        result = house.resume(agent, settled={e.call_id: again for e in before.uncertain})
        after = house.load()
        assert (result.answer, result.stop, result.steps) == ("All done.", Stop.DONE, 6), kept
        assert after.records[:kept] == before.records
        replied = sum(isinstance(e, ModelReplied) for e in before.events)
        assert len(agent.model.requests) == 6 - replied  # type: ignore[attr-defined] # a FunctionModel
        assert set(ran) <= set(once)
        assert len(ran) == len(set(ran))
        assert "send" not in finished or "send hello" not in ran
        ends = [e for e in after.events if isinstance(e, CallFinished)]
        assert len(ends) == 6
        assert after.uncertain == ()


def test_a_resumption_that_is_cut_off_is_resumed_itself(house: House) -> None:
    script: list[Answer] = [
        [("write_note", {"text": "a"})],
        [("send", {"text": "x"})],
        "",
        [("look", {"name": "b"})],
        "Done.",
    ]

    @tool(effects=[Effect.EGRESS])
    def write_note(text: str) -> str:
        """Write.

        Args:
            text: What.
        """
        return text

    options: dict[str, Any] = {"tools": [write_note, look, send], "approve": yes}
    run = house.run(script, **options)
    again = Settled(settlement=Settlement.AGAIN)
    settled = {f"call_{step}_0": again for step in range(5)}
    house.cut_after(run.run_id, "call_started", 1)
    house.resume(house.agent(script, **options), settled=settled)
    path = house.store.path(run.run_id)
    content, resumed = path.read_bytes(), house.places(run.run_id, "run_resumed")[0]
    for kept in range(resumed + 1, len(house.load().records)):
        path.write_bytes(content)
        house.cut(run.run_id, kept)
        result = house.resume(house.agent(script, **options), settled=settled)
        assert (result.answer, result.steps) == ("Done.", 5), kept
        assert house.load().uncertain == ()
        roles = [message.role for message in result.messages]
        assert roles.count(Role.TOOL) == 3


def test_a_run_with_its_answer_has_nothing_to_resume(house: House) -> None:
    house.run(["Hello."])
    with pytest.raises(ConfigurationError, match="nothing to resume"):
        house.resume(house.agent(["Hello."]))


def test_a_call_that_may_have_taken_effect_waits_for_the_users_word(house: House) -> None:
    run = house.run([[("send", {"text": "x"})], "Done."], **FREE)
    house.cut_after(run.run_id, "call_started")
    before = house.store.path(run.run_id).read_bytes()
    with pytest.raises(ApprovalNeeded, match=r"--settle call_0_0=again") as caught:
        house.resume(house.agent(["Done."], **FREE))
    assert caught.value.exit_code is ExitCode.APPROVAL
    assert house.store.path(run.run_id).read_bytes() == before


@pytest.mark.parametrize(
    ("settled", "times", "seen"),
    [
        (Settled(settlement=Settlement.AGAIN), 2, "sent x"),
        (Settled(settlement=Settlement.FAILED), 1, UNKNOWN),
        (Settled(settlement=Settlement.SUPPLIED, result="it was sent"), 1, "it was sent"),
    ],
)
def test_the_users_word_on_it_is_done_and_recorded(
    house: House, settled: Settled, times: int, seen: str
) -> None:
    run = house.run([[("send", {"text": "x"})], "Done."], **FREE)
    house.cut_after(run.run_id, "call_started")
    result = house.resume(
        house.agent([[("send", {"text": "x"})], "Done."], **FREE), settled={"call_0_0": settled}
    )
    assert ran == ["send x"] * times
    assert [m.content for m in result.messages if m.role is Role.TOOL] == [seen]
    events = house.load().events
    assert [(e.settlement, e.by_user) for e in events if isinstance(e, CallSettled)] == [
        (settled.settlement, True)
    ]


def test_an_idempotent_call_is_run_again_by_itself_under_the_same_key(house: House) -> None:
    options: dict[str, Any] = {"tools": [pay], "approve": yes}
    script: list[Answer] = [[("pay", {"cents": 5})], [("pay", {"cents": 5})], "Paid."]
    run = house.run(script, **options)
    first, second = ran
    assert first != second
    house.cut_after(run.run_id, "call_started", 1)
    house.resume(house.agent(script, **options))
    assert ran == [first, second, second]
    assert [e.by_user for e in house.load().events if isinstance(e, CallSettled)] == [False]


def policy_of(text: str, house: House, name: str) -> Policy:
    path = house.workspace.parent / f"{name}.toml"
    path.write_text(text)
    return Policy.load(path)


@pytest.mark.parametrize(
    ("then", "now", "stop"),
    [
        ("allow", "allow", Stop.DONE),
        ("ask", "allow", Stop.APPROVAL),
        ("allow", "ask", Stop.APPROVAL),
    ],
)
def test_a_policy_changed_since_only_narrows(house: House, then: str, now: str, stop: Stop) -> None:
    rules = '[tools]\ndefault = "allow"\n{} = ["send"]\n[flow]\nrule_of_two = "allow"\n'
    script: list[Answer] = [[("look", {"name": "a"})], [("send", {"text": "x"})], "Done."]
    old = policy_of(rules.format(then), house, "policy")
    run = house.run(script, tools=TOOLS, policy=old)
    house.cut_before(run.run_id, "model_asked", 1)
    ran.clear()
    new = policy_of(rules.format(now), house, "policy")
    assert house.resume(house.agent(script, tools=TOOLS, policy=new)).stop is stop
    assert ("send x" in ran) == (stop is Stop.DONE)


@pytest.mark.parametrize(("rule_of_two", "sent"), [("deny", []), ("allow", ["send x"])])
def test_what_a_run_had_read_still_decides_once_it_goes_on(
    house: House, rule_of_two: str, sent: list[str]
) -> None:
    rules = f'[tools]\ndefault = "allow"\n[flow]\nrule_of_two = "{rule_of_two}"\n'
    script: list[Answer] = [[("look", {"name": "a"})], [("send", {"text": "x"})], "Done."]
    policy = policy_of(rules, house, "policy")
    run = house.run(script, tools=TOOLS, policy=policy)
    house.cut_before(run.run_id, "model_asked", 1)
    ran.clear()
    assert house.resume(house.agent(script, tools=TOOLS, policy=policy)).stop is Stop.DONE
    assert ran == sent  # what it looked at may be private, and somebody else's


def test_another_model_is_said(house: House) -> None:
    run = house.run([[("look", {"name": "a"})], "Done."], tools=[look])
    house.cut_after(run.run_id, "call_finished")
    other = house.agent([], model=ScriptedModel(["Done."], name="other"), tools=[look])
    assert house.resume(other).stop is Stop.DONE
    resumed = next(e for e in house.load().events if isinstance(e, RunResumed))
    assert resumed.changed == ("The model is other; the run began with model.",)
    assert resumed.model["name"] == "other"


def test_files_changed_since_are_named_to_the_user_and_not_to_the_model(house: House) -> None:
    script: list[Answer] = [[("write_file", {"path": "a.txt", "content": "1"})], "Done."]
    run = house.run(script)
    house.cut_after(run.run_id, "call_finished")
    (house.workspace / "a.txt").write_text("2")
    (house.workspace / "obey me.txt").write_text("")
    result = house.resume(house.agent(script))
    resumed = next(e for e in house.load().events if isinstance(e, RunResumed))
    assert "a.txt, obey me.txt" in resumed.changed[0]
    told = [m.content for m in result.messages if m.role is Role.USER][1:]
    assert len(told) == 1
    assert "not all as they were left" in told[0]
    assert "obey" not in told[0]


def test_a_workspace_that_is_as_it_was_needs_no_word(house: House) -> None:
    script: list[Answer] = [[("write_file", {"path": "a.txt", "content": "1"})], "Done."]
    run = house.run(script)
    house.cut_after(run.run_id, "call_finished")
    (house.workspace / "a.txt").touch()
    result = house.resume(house.agent(script))
    assert not [e for e in house.load().events if isinstance(e, Noted)]
    assert result.answer == "Done."


def test_a_private_copy_is_laid_anew_from_its_last_state(house: House) -> None:
    (house.workspace / "kept.txt").write_text("kept")
    script: list[Answer] = [
        [("shell", {"command": "echo one > a.txt; ln -s a.txt l; mkdir d; chmod 700 d"})],
        [("shell", {"command": "cat l kept.txt; stat -c %a d"})],
        "Done.",
    ]
    run = house.run(script, workspace_mode="copy")
    house.cut_before(run.run_id, "model_asked", 1)
    result = house.resume(house.agent(script, workspace_mode="copy"))
    assert [m.content for m in result.messages if m.role is Role.TOOL][-1] == "one\nkept700"
    assert [p.name for p in house.workspace.iterdir()] == ["kept.txt"]


def test_the_model_is_told_that_its_variables_are_gone(house: House) -> None:
    script: list[Answer] = [
        [("python", {"code": "x = 41"})],
        [("python", {"code": "'x' in globals()"})],
        "Done.",
    ]
    run = house.run(script)
    house.cut_before(run.run_id, "model_asked", 1)
    result = house.resume(house.agent(script))
    told = [m.content for m in result.messages if m.role is Role.USER][1]
    assert "variables, imports and functions defined earlier are gone" in told
    assert [m.content for m in result.messages if m.role is Role.TOOL][-1] == "False"


def test_a_run_that_another_process_holds_is_left_to_it(house: House) -> None:
    run = house.run([[("look", {"name": "a"})], "Done."], tools=[look])
    house.cut_after(run.run_id, "call_finished")
    log = RunLog.reopen(house.store.root / run.run_id)
    with pytest.raises(StorageError, match=r"in use by process \d+ on "):
        house.resume(house.agent([], tools=[look]))
    log.close()


def test_what_another_process_did_meanwhile_is_not_done_twice(house: House) -> None:
    run = house.run([[("look", {"name": "a"})], "Done."], tools=[look])
    house.cut_after(run.run_id, "call_finished")
    lines = house.load().lines
    house.resume(house.agent([[], "Done."], tools=[look]))
    with pytest.raises(StorageError, match="went on meanwhile"):
        RunLog.reopen(house.store.root / run.run_id, lines=lines)


def test_what_a_newer_minor_version_wrote_is_kept_verbatim(house: House) -> None:
    run = house.run([[("look", {"name": "a"})], "Done."], tools=[look])
    house.cut_after(run.run_id, "call_finished")
    path = house.store.path(run.run_id)
    data = dumps({"schema": "wardian.run/1.7"})
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = line(0, "2030-01-01T00:00:00Z", 0.0, "header", data)
    lines.append(
        line(len(lines), "2030-01-01T00:00:00Z", 9.0, "dreamt", b'{"of":[{"sheep":1.50}]}')
    )
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    assert house.resume(house.agent([[], "Done."], tools=[look])).answer == "Done."
    assert path.read_bytes().startswith(before)
    assert "dreamt" in [record.kind for record in house.load().records]


def test_a_newer_major_version_is_refused_by_the_run_and_not_by_the_store(house: House) -> None:
    house.run(["Old."])
    run = house.run(["New."])
    path = house.store.path(run.run_id)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = line(0, "2030-01-01T00:00:00Z", 0.0, "header", dumps({"schema": "wardian.run/2"}))
    path.write_bytes(b"".join(lines))
    assert len(list(house.store.list())) == 2
    with pytest.raises(StorageError, match="newer Wardian"):
        house.resume(house.agent([]), run.run_id)


def test_what_a_killed_box_left_for_its_mounts_is_no_change_of_the_workspace(house: House) -> None:
    run = house.run([[("shell", {"command": "echo mine > a.txt"})], "", "Done."])
    house.cut_after(run.run_id, "model_replied", 1)
    names = [".envrc", ".git/config", ".mcp.json"]
    killed = "from wardian_sandbox.protecting import Protection as P; from pathlib import Path; "
    killed += f"import os; P(Path({str(house.workspace)!r}), {tuple(names)!r}); os._exit(9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert all((house.workspace / name).exists() for name in names)
    (house.workspace / ".mcp.json").write_text("{}")  # the user's, from then on
    agent = house.agent(["never asked", "never asked", "Done."])
    assert house.resume(agent).answer == "Done."
    [resumed] = [e for e in house.load().events if isinstance(e, RunResumed)]
    [sentence] = resumed.changed
    assert sentence.endswith("left it: .mcp.json.")
    assert sorted(path.name for path in house.workspace.iterdir()) == [".mcp.json", "a.txt"]


def test_an_imported_run_is_said_to_be_elsewhere_and_not_to_be_forked(house: House) -> None:
    log = house.workspace / "log.json"
    log.write_text('[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]')
    [run_id] = import_file(house.store, log, format_name="openai").run_ids
    with pytest.raises(ConfigurationError, match="was imported"):
        house.resume(house.agent(["Done."]), run_id)
