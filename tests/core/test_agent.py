"""The agent end to end with a scripted model, real tools and a real sandbox."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.core.conftest import Box

from wardian import Agent, FunctionModel, ScriptedModel, Task, tool
from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.events import (
    CallStarted,
    EgressDecided,
    Noted,
    RunFinished,
)
from wardian.results import RunResult
from wardian.types import (
    CallDelta,
    Role,
    Stop,
    TextDelta,
)
from wardian_sandbox import EgressOutcome
from wardian_tools.types import Effect, ResultStatus


def test_a_run_asks_decides_runs_and_records_in_that_order(box: Box) -> None:
    run = box.run([[("python", {"code": "print(6 * 7)"})], "It is 42."])
    assert (run.answer, run.stop, run.ok, run.value) == ("It is 42.", Stop.DONE, True, "It is 42.")
    kinds = [event.kind for event in box.events(run)]
    step = ["model_asked", "model_replied"]
    call = ["call_decided", "sandbox_opened", "workspace_saved", "call_started", "call_finished"]
    assert kinds == ["run_started", *step, *call, *step, "run_finished"]
    opened = next(event for event in box.events(run) if event.kind == "sandbox_opened")
    assert opened.sandbox["backend"] == "bubblewrap"
    assert box.results(run)[0].content == "42"
    assert run.path == box.store.path(run.run_id)


def test_a_run_that_calls_nothing_opens_no_sandbox(box: Box) -> None:
    events = box.events(box.run(["42."]))
    assert "sandbox_opened" not in [event.kind for event in events]
    assert events[0].sandbox["backend"] == "bubblewrap"


def test_the_sandbox_is_opened_once_for_all_the_calls_of_a_run(box: Box) -> None:
    call = [("python", {"code": "1 + 1"})]
    run = box.run([call, [*call, *call], "Done."])
    assert [event.kind for event in box.events(run)].count("sandbox_opened") == 1


def test_the_files_that_tools_change_are_the_workspaces(box: Box) -> None:
    (box.workspace / "a.txt").write_text("one\n")
    run = box.run(
        [
            [("edit_file", {"path": "a.txt", "old": "one", "new": "two"})],
            [("write_file", {"path": "b/c.txt", "content": "new"})],
            "Done.",
        ]
    )
    assert (box.workspace / "a.txt").read_text() == "two\n"
    assert (box.workspace / "b" / "c.txt").read_text() == "new"
    finished = box.events(run)[-1]
    assert {c["path"]: c["kind"] for c in finished.changes if c["path"] != "b"} == {
        "a.txt": "modified",
        "b/c.txt": "added",
    }


def test_in_copy_mode_the_workspace_stays_as_it_was(box: Box) -> None:
    write = [("write_file", {"path": "b.txt", "content": "new"})]
    run = box.run([write, "Done."], workspace_mode="copy")
    assert list(box.workspace.iterdir()) == []
    assert [c["path"] for c in box.events(run)[-1].changes] == ["b.txt"]


def test_a_whole_path_within_the_workspace_is_denied_with_how_to_write_it(box: Box) -> None:
    (box.workspace / "a.txt").write_text("one\n")
    whole = str(box.workspace / "a.txt")
    calls = [("read_file", {"path": path}) for path in (whole, "a.txt")]
    run = box.run([calls, "Done."])
    denied, allowed = box.results(run)
    assert denied.status is ResultStatus.DENIED
    assert denied.content.endswith("Use 'a.txt'.")
    assert allowed.status is ResultStatus.OK


def test_a_denied_call_never_reaches_the_sandbox(box: Box, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('extends = "default"\n[tools]\ndeny = ["shell(touch*)"]\n')
    run = box.run(
        [[("shell", {"command": "touch seen"})], [("shell", {"command": "echo ok"})], "Done."],
        policy=policy,
    )
    denied, allowed = box.results(run)
    assert denied.status is ResultStatus.DENIED
    assert allowed.content == "ok"
    assert not (box.workspace / "seen").exists()
    started = [e for e in box.events(run) if isinstance(e, CallStarted)]
    assert [e.call_id for e in started] == [allowed.call_id]


def test_calls_that_only_read_run_side_by_side(box: Box) -> None:
    barrier = asyncio.Barrier(2)

    @tool(effects={Effect.READS})
    async def meet(name: str) -> str:
        """Wait until both are here."""
        await barrier.wait()
        return name

    run = box.run([[("meet", {"name": "a"}), ("meet", {"name": "b"})], "Both."], tools=[meet])
    assert [r.content for r in box.results(run)] == ["a", "b"]


def test_calls_that_write_run_one_after_the_other(box: Box) -> None:
    inside = [0, 0]

    @tool(effects={Effect.WRITES})
    async def write() -> str:
        """Count how many are inside at once."""
        inside[0] += 1
        inside[1] = max(inside)
        await asyncio.sleep(0)
        inside[0] -= 1
        return "ok"

    run = box.run([[("write", {})] * 5, "Done."], tools=[write])
    assert inside == [0, 1]
    assert len(box.results(run)) == 5


class Sum(BaseModel):
    total: int


def test_a_typed_answer_is_asked_for_until_it_fits(box: Box) -> None:
    model = ScriptedModel(["The total is 4.", '```json\n{"total": 4}\n```'])
    run = box.run([], model=model, output_type=Sum)
    assert run.value == Sum(total=4)
    assert "must be one JSON value" in model.requests[1].messages[-1].content
    assert any(isinstance(e, Noted) for e in box.events(run))


def test_an_answer_that_never_fits_its_schema_ends_the_run(box: Box) -> None:
    schema = {"type": "object", "required": ["total"]}
    run = box.run(["no", "[]", "{}", "{}"], output_schema=schema)
    assert (run.stop, run.value) == (Stop.MALFORMED, None)


def test_a_schema_that_is_none_is_refused_at_once(box: Box) -> None:
    with pytest.raises(ConfigurationError, match="not a JSON schema"):
        box.agent(["x"], output_schema={"type": "objekt"})


def test_a_model_error_is_recorded_and_raised(box: Box) -> None:
    with pytest.raises(ModelUnavailable):
        box.run([[("python", {"code": "1"})], ModelUnavailable("It is gone.")])
    trajectory = box.store.load("last")
    assert trajectory.finished is not None
    assert (trajectory.finished.stop, trajectory.finished.error) == (Stop.FAILED, "It is gone.")


def test_an_error_in_one_of_several_parallel_calls_is_raised_bare(box: Box) -> None:
    from wardian_sandbox import SandboxLost

    @tool(effects={Effect.READS})
    async def lose(n: int) -> str:
        """Lose the sandbox."""
        raise SandboxLost(f"The sandbox ended ({n}).")

    with pytest.raises(SandboxLost):
        box.run([[("lose", {"n": 1}), ("lose", {"n": 2})]], tools=[lose])
    finished = box.store.load("last").finished
    assert finished is not None
    assert finished.stop is Stop.FAILED


def test_cancelling_records_the_run_as_cancelled(box: Box) -> None:
    async def scenario() -> None:
        agent = box.agent([[("shell", {"command": "sleep 1000"})]])
        async with agent, asyncio.timeout(20):
            async for event in agent.stream("Wait."):
                if isinstance(event, CallStarted):
                    break

    asyncio.run(scenario())
    finished = box.store.load("last").finished
    assert finished is not None
    assert finished.stop is Stop.CANCELLED


def test_the_stream_shows_deltas_before_the_reply_that_holds_them(box: Box) -> None:
    async def scenario() -> list[Any]:
        async with box.agent([[("python", {"code": "1"})], "The end."]) as agent:
            return [event async for event in agent.stream("Go.")]

    events = asyncio.run(scenario())
    assert isinstance(events[-1], RunFinished)
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    arguments = "".join(e.arguments_text for e in events if isinstance(e, CallDelta))
    assert text == "The end."
    assert json.loads(arguments) == {"code": "1"}


def test_a_run_goes_on_from_an_earlier_one(box: Box) -> None:
    first = box.run(["Hello Ada."])
    model = ScriptedModel(["You are Ada."])

    async def scenario() -> RunResult[Any]:
        async with box.agent([], model=model) as agent:
            return await agent.run("Who am I?", earlier=first.messages)

    asyncio.run(scenario())
    roles = [m.role for m in model.requests[0].messages]
    assert roles == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert box.store.load("last").messages[2].content == "Hello Ada."


def test_the_first_messages_never_change_during_a_run(box: Box) -> None:
    model = ScriptedModel([[("python", {"code": "1"})], [("python", {"code": "2"})], "Done."])
    box.run([], model=model)
    for earlier, later in zip(model.requests, model.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_piped_context_reaches_the_model_beside_the_prompt(box: Box) -> None:
    model = ScriptedModel(["ok"])
    box.agent([], model=model).run_sync(Task(prompt="Sum up.", context="line 1\nline 2"))
    content = model.requests[0].messages[-1].content
    assert content.startswith("Sum up.")
    assert "line 1\nline 2" in content


def test_several_runs_of_one_agent_do_not_mix(box: Box) -> None:
    async def scenario() -> list[RunResult[Any]]:
        model = FunctionModel(lambda request: request.messages[-1].content.upper())
        async with box.agent([], model=model) as agent, asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run(f"task {i}")) for i in range(10)]
        return [task.result() for task in tasks]

    answers = [run.answer for run in asyncio.run(scenario())]
    assert answers == [f"TASK {i}" for i in range(10)]


def test_a_workspace_that_is_no_folder_is_refused(box: Box) -> None:
    with pytest.raises(ConfigurationError, match="workspace"):
        Agent(ScriptedModel(["x"]), workspace=box.workspace / "nowhere").run_sync("Go.")


def test_what_the_sandbox_asks_of_the_network_is_recorded_before_the_calls_result(
    box: Box, tmp_path: Path
) -> None:
    policy = tmp_path / "mine.toml"
    policy.write_text('extends = "default"\n[network]\nhosts = ["listed.invalid"]\n')
    fetch = "curl -s http://evil.example/; curl -s http://listed.invalid/"
    run = box.run([[("shell", {"command": fetch})], "Done."], policy=policy)
    events = box.events(run)
    egress = [e for e in events if isinstance(e, EgressDecided)]
    assert [(e.egress.outcome, e.egress.host, e.step) for e in egress] == [
        (EgressOutcome.DENIED, "evil.example", 1),
        (EgressOutcome.FAILED, "listed.invalid", 1),
    ]
    kinds = [event.kind for event in events]
    assert kinds.index("call_started") < kinds.index("egress_decided")
    assert kinds.index("egress_decided") < kinds.index("call_finished")
    assert "may not reach evil.example:80" in box.results(run)[0].content


DRAW = """
import sys, types
class Drawn:
    def get_dpi(self): return 100
    def savefig(self, file, **options):
        file.write(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(range(256)) * 200)
plot = types.ModuleType('matplotlib.pyplot')
plot.get_fignums, plot.figure, plot.close = lambda: [1], lambda number: Drawn(), lambda what: None
sys.modules['matplotlib.pyplot'] = plot
{'answer': [42]}
"""
"""Stands for matplotlib, which the system's Python need not have."""


def test_a_figure_is_in_the_record_as_a_blob_and_the_model_is_told_of_it(box: Box) -> None:
    run = box.run([[("python", {"code": DRAW})], "Drawn."])
    (result,) = box.results(run)
    assert result.content.splitlines()[-1] == "[figure-1.png: image/png, 51,208 bytes]"
    (figure,) = result.data["figures"]
    assert base64.b64decode(figure["base64"]).startswith(b"\x89PNG")
    assert result.data["json"] == {"answer": [42]}
    assert run.path is not None
    assert len(list((run.path.parent / "blobs").iterdir())) == 1
    assert len(run.path.read_bytes()) < 40_000
