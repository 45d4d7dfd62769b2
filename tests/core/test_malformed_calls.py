"""Calls that cannot be used: a bounded result each, a cap, nothing run of what was cut off."""

import pytest
from tests.core.conftest import Box, raw_calls

from wardian import ScriptedModel, tool
from wardian.errors import ExitCode
from wardian.types import (
    Finish,
    Stop,
)
from wardian_tools.types import Effect, ResultStatus

MALFORMED = {
    "not JSON": ("python", "{code: 1"),
    "not an object": ("python", '["print(1)"]'),
    "unknown tool": ("pyhton", '{"code": "1"}'),
    "missing argument": ("python", "{}"),
    "extra argument": ("python", '{"code": "1", "mode": "fast"}'),
    "wrong type": ("python", '{"code": {"a": 1}}'),
    "depth 10,000": ("python", '{"code": ' + "[" * 10_000 + "]" * 10_000 + "}"),
    "5 MB": ("python", '{"code": "' + "x" * 5_000_000 + '"}'),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_call_gets_a_bounded_result_and_the_run_goes_on(box: Box, case: str) -> None:
    run = box.run([raw_calls(MALFORMED[case]), "I could not."])
    (result,) = box.results(run)
    assert result.status is ResultStatus.MALFORMED
    assert 0 < len(result.content) <= 600
    assert run.ok


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_calls_end_the_run_after_a_cap(box: Box, case: str) -> None:
    run = box.run([raw_calls(MALFORMED[case])] * 10)
    assert (run.stop, run.steps, run.exit_code) == (Stop.MALFORMED, 3, ExitCode.NOT_ACHIEVED)


def test_of_200_calls_at_once_the_surplus_is_answered_but_not_run(box: Box) -> None:
    ran: list[int] = []

    @tool(effects={Effect.READS})
    async def note(n: int) -> str:
        """Note n."""
        ran.append(n)
        return "ok"

    run = box.run([[("note", {"n": n}) for n in range(200)], "Done."], tools=[note])
    statuses = [r.status for r in box.results(run)]
    assert sorted(ran) == list(range(32))
    assert statuses == [ResultStatus.OK] * 32 + [ResultStatus.DISCARDED] * 168


def test_calls_that_share_an_id_get_their_own(box: Box) -> None:
    reply = raw_calls(("python", '{"code": "1"}'), ("python", '{"code": "2"}'), ids="same")
    run = box.run([reply, "Done."])
    assert [r.content for r in box.results(run)] == ["1", "2"]
    assert len({r.call_id for r in box.results(run)}) == 2


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CUT])
def test_a_batch_that_was_cut_is_discarded_whole_and_the_model_is_told(
    box: Box, finish: Finish
) -> None:
    whole = ("write_file", '{"path": "a", "content": "b"}')
    model = ScriptedModel([raw_calls(whole, ("python", '{"co'), finish=finish), "Sorry."])
    run = box.run([], model=model)
    assert list(box.workspace.iterdir()) == []
    assert box.results(run) == []
    assert "2 tool calls were not run" in model.requests[1].messages[-1].content
    assert model.requests[1].messages[-2].calls == ()
    assert run.ok
