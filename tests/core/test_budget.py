"""The ledger under concurrency, and what a run's budgets do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian import Agent, Budgets, FunctionModel, RunStore, ScriptedModel, tool
from wardian.budget import NOTHING, Amount, Ledger, Reached, Reservation
from wardian.errors import ExitCode, ModelUnavailable
from wardian.events import ModelAsked, ModelReplied
from wardian.limits import MAX_STRIKES, consumed
from wardian.models.replies import make_reply
from wardian.types import Finish, Message, Reply, Request, Role, Stop, Usage
from wardian_tools.types import Effect

LIMITS = st.one_of(st.none(), st.integers(0, 12))


@dataclass(frozen=True)
class Call:
    """A call of one runner: what it reserves, what it takes, and how long others come first."""

    estimate: Amount
    takes: Amount
    turns: int


@st.composite
def calls(draw: st.DrawFn) -> Call:
    estimate = draw(st.integers(1, 5))
    taken = draw(st.integers(0, estimate))
    cents = draw(st.integers(0, estimate))
    return Call(
        estimate=Amount(steps=1, tokens=estimate, cost_usd=estimate / 100),
        takes=Amount(steps=1, tokens=taken, cost_usd=cents / 100),
        turns=draw(st.integers(0, 3)),
    )


BUDGETS = st.builds(
    Budgets,
    steps=LIMITS,
    tool_calls=st.none(),
    tokens=LIMITS,
    cost_usd=st.one_of(st.none(), st.integers(0, 12).map(lambda cents: cents / 100)),
    wall_seconds=st.none(),
)


async def pursue(ledger: Ledger, work: Sequence[Call], taken: list[Amount]) -> Reached | None:
    """What a loop does with a ledger, until its work or its budget is at an end."""
    for call in work:
        found = await ledger.reserve(lambda call=call: call.estimate)  # type: ignore[misc]
        if isinstance(found, Reached):
            return found
        for _ in range(call.turns):
            await asyncio.sleep(0)
        found.settle(call.takes)
        taken.append(call.takes)
    return None


@given(
    BUDGETS,
    st.lists(st.tuples(BUDGETS, st.lists(calls(), max_size=6)), min_size=1, max_size=4),
)
@settings(max_examples=150)
def test_no_interleaving_of_sub_agents_goes_over_a_budget_by_more_than_one_call(
    budgets: Budgets, children: list[tuple[Budgets, list[Call]]]
) -> None:
    async def run() -> None:
        root = Ledger(budgets)
        ledgers = [Ledger(own, parent=root) for own, _ in children]
        taken: list[list[Amount]] = [[] for _ in children]
        ends = await asyncio.gather(
            *(
                pursue(ledger, work, done)
                for ledger, (_, work), done in zip(ledgers, children, taken, strict=True)
            )
        )
        for ledger, done in zip(ledgers, taken, strict=True):
            assert_kept(ledger, sum(done, NOTHING), [c for _, work in children for c in work])
        assert_kept(root, sum((sum(done, NOTHING) for done in taken), NOTHING), all_calls(children))
        for ledger, end, done, (_, work) in zip(ledgers, ends, taken, children, strict=True):
            # Refused only when a budget is really used up, never because others held it.
            assert (end is None) == (len(done) == len(work))
            assert end is None or ledger.reached()

    asyncio.run(run())


def all_calls(children: list[tuple[Budgets, list[Call]]]) -> list[Call]:
    return [call for _, work in children for call in work]


def assert_kept(ledger: Ledger, taken: Amount, work: list[Call]) -> None:
    """The books balance, and no limit was passed by more than the largest single call."""
    assert not ledger.held
    assert ledger.used.steps == taken.steps
    assert ledger.used.tokens == taken.tokens
    assert ledger.used.cost_usd == pytest.approx(taken.cost_usd)
    largest = max((call.estimate.tokens for call in work), default=0)
    for stop, one_call in ((Stop.STEPS, 0), (Stop.TOKENS, largest), (Stop.COST, largest / 100)):
        limit = ledger.limit(stop)
        if limit is not None:
            assert ledger.used_of(stop) <= limit + one_call + 1e-9


def test_what_rounding_leaves_of_a_budget_of_money_is_nothing() -> None:
    async def run() -> Reservation | Reached:
        ledger = Ledger(Budgets(cost_usd=0.3))
        for _ in range(3):
            found = await ledger.reserve(lambda: Amount(cost_usd=0.1))
            assert isinstance(found, Reservation)
            found.settle(Amount(cost_usd=0.1 - 1e-12))
        return await ledger.reserve(lambda: Amount(cost_usd=0.1))

    assert isinstance(asyncio.run(run()), Reached)


def test_near_a_limit_a_call_waits_for_what_others_hold_and_is_not_refused() -> None:
    async def run() -> tuple[bool, Reservation | Reached]:
        root = Ledger(Budgets(tokens=100))
        first = await root.reserve(lambda: Amount(tokens=100))
        second = asyncio.create_task(
            Ledger(Budgets(), parent=root).reserve(lambda: Amount(tokens=50))
        )
        await asyncio.sleep(0)
        waited = not second.done()
        assert isinstance(first, Reservation)
        first.settle(Amount(tokens=10))
        return waited, await second

    waited, found = asyncio.run(run())
    assert waited
    assert isinstance(found, Reservation)


def test_a_waiting_call_that_is_cancelled_leaves_nothing_reserved() -> None:
    async def run() -> Ledger:
        root = Ledger(Budgets(tokens=10))
        first = await root.reserve(lambda: Amount(tokens=10))
        waiting = asyncio.create_task(root.reserve(lambda: Amount(tokens=1)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(first, Reservation)
        first.settle(Amount(tokens=1))
        first.settle(Amount(tokens=1))
        return root

    root = asyncio.run(run())
    assert (root.held, root.used.tokens) == ([], 1)


def reply(text: str, tokens: int, *, cost_usd: float | None = None) -> Reply:
    usage = Usage(prompt_tokens=tokens, completion_tokens=0, cost_usd=cost_usd)
    message = Message(role=Role.ASSISTANT, content=text)
    return Reply(message=message, finish=Finish.STOP, usage=usage)


@tool(effects=())
def look() -> str:
    """Look."""
    return "seen"


def looking(tokens: int, *, cost_usd: float | None = None) -> FunctionModel:
    """A model that calls `look` for ever, and says what each reply took."""

    def answer(request: Request) -> Reply:
        made = make_reply([("look", {})], model="f", step=len(request.messages))
        usage = Usage(prompt_tokens=tokens, completion_tokens=0, cost_usd=cost_usd)
        return Reply(message=made.message, finish=made.finish, usage=usage)

    return FunctionModel(answer)


@pytest.mark.parametrize(
    ("budgets", "stop", "said"),
    [
        (Budgets(steps=2), Stop.STEPS, "The limit of 2 steps was reached."),
        (Budgets(tool_calls=2), Stop.TOOL_CALLS, "The limit of 2 tool calls was reached."),
        (Budgets(tokens=150), Stop.TOKENS, "The limit of 150 tokens was reached."),
        (Budgets(cost_usd=0.015), Stop.COST, "The limit of 0.015 USD was reached."),
    ],
    ids=["steps", "tool-calls", "tokens", "cost"],
)
def test_a_run_stops_at_each_budget_after_the_call_that_used_it_up(
    budgets: Budgets, stop: Stop, said: str, tmp_path: Path
) -> None:
    agent: Agent[str] = Agent(
        looking(100, cost_usd=0.01), tools=[look], budgets=budgets, workspace=tmp_path, store=False
    )
    run = agent.run_sync("Look.")
    assert (run.stop, run.error, run.exit_code) == (stop, said, ExitCode.LIMIT)
    assert run.steps == 2


def test_what_a_run_consumed_can_be_computed_from_its_trajectory(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    agent: Agent[str] = Agent(
        looking(100, cost_usd=0.01),
        tools=[look],
        budgets=Budgets(steps=3, tokens=1000),
        workspace=tmp_path,
        store=store,
    )
    run = agent.run_sync("Look.")
    told = consumed(store.load(run.run_id).events)
    assert (told.steps, told.tool_calls, told.tokens) == (3, 3, 300)
    assert told.cost_usd == pytest.approx(0.03)


def test_a_run_that_goes_on_keeps_what_was_spent_before(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    agent: Agent[str] = Agent(
        looking(100), tools=[look], budgets=Budgets(steps=3), workspace=tmp_path, store=store
    )

    async def both() -> tuple[int, int]:
        first = await agent.run("Look.", spent=Amount(steps=1))
        spent = store.load(first.run_id).consumed
        assert spent.seconds > 0
        second = await agent.run("On.", earlier=first.messages, spent=spent)
        return first.steps, second.steps

    assert asyncio.run(both()) == (2, 0)


def test_a_request_that_never_got_its_reply_counts_as_what_it_had_reserved(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    model = ScriptedModel([ModelUnavailable("It went away.")])
    agent: Agent[str] = Agent(
        model, tools=[look], budgets=Budgets(tokens=1000), workspace=tmp_path, store=store
    )
    with pytest.raises(ModelUnavailable):
        agent.run_sync("Look.")
    (run_id,) = store.ids()
    asked = [e for e in store.load(run_id).events if isinstance(e, ModelAsked)]
    assert asked[0].reserved["tokens"] > 1000
    assert consumed(store.load(run_id).events).tokens == asked[0].reserved["tokens"]


def test_without_a_budget_of_tokens_or_money_nothing_is_estimated(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    agent: Agent[str] = Agent(
        ScriptedModel(["Done."]), tools=[look], workspace=tmp_path, store=store
    )
    run = agent.run_sync("Look.")
    events = store.load(run.run_id).events
    assert [e.reserved for e in events if isinstance(e, ModelAsked)] == [{}]
    assert any(isinstance(e, ModelReplied) for e in events)


def test_replies_that_cannot_be_used_end_a_run_that_has_budget_left(tmp_path: Path) -> None:
    agent: Agent[str] = Agent(
        ScriptedModel([""] * 9), tools=[look], workspace=tmp_path, store=False
    )
    run = agent.run_sync("Look.")
    assert (run.stop, run.steps) == (Stop.MALFORMED, MAX_STRIKES)


def test_calls_beyond_the_budget_of_one_batch_are_refused_and_the_rest_run(tmp_path: Path) -> None:
    seen: list[str] = []

    @tool(effects={Effect.READS})
    def note(name: str) -> str:
        """Note a name."""
        seen.append(name)
        return name

    batch: list[Any] = [("note", {"name": name}) for name in "abc"]
    agent: Agent[str] = Agent(
        ScriptedModel([batch, "Done."]),
        tools=[note],
        budgets=Budgets(tool_calls=2),
        workspace=tmp_path,
        store=False,
    )
    assert agent.run_sync("Note.").stop is Stop.TOOL_CALLS
    assert sorted(seen) == ["a", "b"]


def test_a_denied_call_takes_no_room_from_the_next_one_of_its_batch(tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('extends = "default"\n[tools]\ndeny = ["never"]\n')
    seen: list[str] = []

    @tool(effects=())
    def never() -> str:
        """Never."""
        raise AssertionError

    @tool(effects=())
    def note() -> str:
        """Note."""
        seen.append("x")
        return "noted"

    batch: list[Any] = [("never", {}), ("note", {}), ("note", {})]
    agent: Agent[str] = Agent(
        ScriptedModel([batch, "Done."]),
        tools=[never, note],
        policy=policy,
        budgets=Budgets(tool_calls=1),
        workspace=tmp_path,
        store=False,
    )
    assert agent.run_sync("Note.").stop is Stop.TOOL_CALLS
    assert seen == ["x"]
