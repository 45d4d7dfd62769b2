"""Marks of each step, read off the events."""

from collections.abc import Callable, Sequence
from dataclasses import astuple

from wardian.events import CallFinished, ModelReplied, Recorded
from wardian.rewards.steps import StepMarks, StepRewards, Weights, step_marks
from wardian.rewards.types import Reward
from wardian.types import Finish, Message, Reply, Role
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

OK, ERROR, MALFORMED = ResultStatus.OK, ResultStatus.ERROR, ResultStatus.MALFORMED


def step(number: int, *calls: tuple[str, str, ResultStatus, str], text: str = "") -> list[Recorded]:
    """A reply with calls (tool, argument, what became of it, its content), and their results."""
    made = tuple(
        ToolCall(id=f"{number}.{i}", name=name, arguments_text=argument)
        for i, (name, argument, _, _) in enumerate(calls)
    )
    message = Message(role=Role.ASSISTANT, content=text, calls=made)
    finish = Finish.CALLS if calls else Finish.STOP
    reply = ModelReplied(step=number, reply=Reply(message=message, finish=finish), seconds=0.0)
    results = [
        CallFinished(
            step=number,
            result=ToolResult(call_id=call.id, name=call.name, status=status, content=content),
        )
        for call, (_, _, status, content) in zip(made, calls, strict=True)
    ]
    return [reply, *results]


def marks(*steps: Sequence[Recorded]) -> list[StepMarks]:
    return list(step_marks(event for events in steps for event in events))


def test_a_step_that_learns_something_is_valid_progress() -> None:
    (one,) = marks(step(1, ("read_file", "a", OK, "text")))
    assert astuple(one) == (1, 1.0, 0.0, -0.0, 1.0, 0.0)


def test_calls_that_could_not_run_cost_their_share() -> None:
    half = step(1, ("shell", "{", MALFORMED, "bad"), ("shell", "x", OK, "fine"))
    assert marks(half)[0].valid == 0.0
    assert marks(step(1, ("shell", "{", MALFORMED, "bad")))[0].valid == -1.0


def test_an_error_that_is_overcome_is_rewarded_once() -> None:
    three = marks(
        step(1, ("shell", "mak", ERROR, "not found")),
        step(2, ("shell", "make", OK, "built")),
        step(3, ("shell", "ls", OK, "a")),
    )
    assert [one.recovered for one in three] == [0.0, 1.0, 0.0]


def test_the_same_call_with_the_same_result_is_a_repetition_and_no_progress() -> None:
    same = ("read_file", "a", OK, "text")
    changed = ("read_file", "a", OK, "another text")
    three = marks(step(1, same), step(2, same), step(3, changed))
    assert [(one.repeated, one.progress) for one in three] == [(0, 1.0), (-1.0, 0.0), (0, 1.0)]


def test_what_is_said_is_compared_with_what_is_done() -> None:
    said = [
        step(1, ("shell", "x", OK, "1"), text="I use shell."),
        step(2, ("read_file", "a", OK, "2"), text="I use shell again."),
        step(3, ("read_file", "b", OK, "3"), text="Now the rest."),
    ]
    assert [one.consistent for one in marks(*said)] == [1.0, -1.0, 0.0]


def test_an_answer_is_no_step_to_mark(grade: Callable[..., Reward]) -> None:
    assert marks(step(1, text="done")) == []
    assert grade(StepRewards()).value == 0.0


def test_the_reward_is_the_mean_worth_and_has_each_step(grade: Callable[..., Reward]) -> None:
    events = [*step(1, ("shell", "a", OK, "1")), *step(2, ("shell", "a", OK, "1"))]
    weights = Weights(valid=1.0, recovered=0, repeated=1.0, progress=0, consistent=0)
    reward = grade(StepRewards(weights=weights), events=events)
    assert [one["worth"] for one in reward.detail["steps"]] == [1.0, 0.0]
    assert reward.value == 0.5
