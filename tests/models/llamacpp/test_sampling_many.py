"""Several replies to one prompt, several requests at once: what each gets, and what it costs."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.models.llamacpp.asking import ENDLESS, HELLO, asked, model_of, tokens_of

from wardian.errors import ContextOverflow, ModelError
from wardian.types import Finish, Forking, Message, Request, Role, Sampling, ToolSpec

LONG = Message(role=Role.SYSTEM, content="You are a careful assistant. " * 20)
HOT = Sampling(temperature=1.0, seed=7, max_tokens=20)
TOOL = ToolSpec(
    name="pick",
    description="Picks.",
    parameters={"type": "object", "properties": {"n": {"enum": [1, 2, 3]}}, "required": ["n"]},
)


def request(*messages: Message, sampling: Sampling = HOT, **more: Any) -> Request:
    return Request(messages=messages or (LONG, HELLO), sampling=sampling, **more)


def test_samples_share_one_prompt_and_differ_by_their_seeds(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            assert isinstance(model, Forking)
            replies = await model.sample(request(conversation="c"), 8)
            again = await model.sample(request(conversation="d"), 8)
            assert len({tokens_of(r).sampled_ids for r in replies}) > 4
            assert [tokens_of(r).sampled_ids for r in replies] == [
                tokens_of(r).sampled_ids for r in again
            ]
            seeds = [s.seed for r in replies if (s := tokens_of(r).sampling)]
            assert seeds[0] == 7
            assert len(set(seeds)) == 8
            prompt = replies[0].usage.prompt_tokens
            read = [r.usage.prompt_tokens - r.usage.cached_tokens for r in replies]
            assert sum(read) < prompt + 8 * 8

    asyncio.run(main())


def test_a_sample_can_be_had_again_alone_by_its_seed(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            third = (await model.sample(request(), 4))[2]
            sampling = tokens_of(third).sampling
            assert sampling is not None
            alone = await asked(model, request(sampling=sampling))
            assert tokens_of(alone).sampled_ids == tokens_of(third).sampled_ids

    asyncio.run(main())


def test_the_conversation_goes_on_with_the_reply_it_quotes(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            replies = await model.sample(request(conversation="c"), 4)
            for place in (2, 1):
                won = replies[place]
                if place == 1:
                    replies = await model.sample(request(conversation="c"), 4)
                    won = replies[place]
                    await model.adopt("c", place)
                after = await asked(
                    model, request(LONG, HELLO, won.message, HELLO, conversation="c")
                )
                assert tokens_of(after).kept_ids == won.usage.total_tokens
                assert after.usage.cached_tokens >= won.usage.total_tokens - 1

    asyncio.run(main())


def test_a_fork_takes_over_the_ids_of_the_run_it_comes_from(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            first = await asked(model, request(conversation="parent"))
            forked = await asked(
                model, request(LONG, HELLO, first.message, HELLO, conversation="x")
            )
            ids = tokens_of(first).prompt_suffix_ids + tokens_of(first).sampled_ids
            assert tokens_of(forked).kept_ids == 0
            assert tokens_of(forked).prompt_suffix_ids[: len(ids)] == ids
            assert forked.usage.cached_tokens >= len(ids) - 1

    asyncio.run(main())


def test_a_reply_says_all_that_it_depends_on(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            open_ = Sampling(temperature=0.7, max_tokens=5)
            reply = await asked(model, request(sampling=open_, tools=(TOOL,), must_call=True))
            tokens = tokens_of(reply)
            assert tokens.sampling is not None
            assert tokens.sampling.seed is not None
            assert tokens.sampling.top_p == 1.0
            assert tokens.model_sha256 == model.identity["sha256"]
            assert tokens.template_sha256 == model.identity["template_sha256"]
            assert len(tokens.constraint_sha256) == 64
            free = await asked(model, request())
            assert tokens_of(free).constraint_sha256 == ""

    asyncio.run(main())


def test_a_demanded_call_is_given_and_an_unconstrained_one_is_not_masked(
    small_gguf: Path,
) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            long = Sampling(temperature=1.0, max_tokens=200)
            demand = request(sampling=long, tools=(TOOL,), must_call=True)
            for reply in await model.sample(demand, 6):
                if reply.finish is Finish.STOP and not reply.message.reasoning:
                    pytest.fail("it ended without a call")
                for call in reply.message.calls:
                    assert call.arguments_text in ('{"n": 1}', '{"n": 2}', '{"n": 3}')
            free = replace(demand, sampling=replace(long, constrain=False, max_tokens=20))
            for reply in await model.sample(free, 3):
                assert not any(tokens_of(reply).constrained)

    asyncio.run(main())


def test_a_reply_ends_before_its_stop_string(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            whole = await asked(model, request())
            text = whole.message.content
            stop = text[len(text) // 2 :][:2]
            cut = await asked(model, request(sampling=replace(HOT, stop=(stop, "never said"))))
            assert cut.message.content == text.partition(stop)[0].rstrip()
            assert cut.finish is Finish.STOP

    asyncio.run(main())


def test_a_long_prompt_does_not_hold_up_a_reply_under_way(
    small_gguf: Path,
) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            order: list[str] = []

            async def short() -> None:
                async with aclosing(model.stream(request(**ENDLESS))) as stream:
                    async for _ in stream:
                        order.append("short")
                        if order.count("short") > 30:
                            return

            async def long() -> None:
                message = replace(HELLO, content="word " * 500)
                await asked(model, request(message, sampling=replace(HOT, max_tokens=1)))
                order.append("long")

            async with asyncio.TaskGroup() as both:
                both.create_task(short())
                both.create_task(long())
            assert "short" in order[: order.index("long")]

    asyncio.run(main())


def test_cancelling_one_request_leaves_the_others_alone(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            alone = await asked(model, request())
            task = asyncio.create_task(asked(model, request(**ENDLESS)))
            other = asyncio.create_task(asked(model, request(conversation="b")))
            await asyncio.wait([other], timeout=0.02)
            task.cancel()
            assert (await other).message == alone.message
            await asyncio.wait([task])
            assert task.cancelled()

    asyncio.run(main())


def test_a_killed_child_is_an_error_to_each_request_and_the_next_one_is_served(
    small_gguf: Path,
) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            streams = [model.stream(request(**ENDLESS, conversation=name)) for name in ("a", "b")]
            for stream in streams:
                await anext(stream)
            assert model._process is not None
            os.kill(model._process.pid, signal.SIGKILL)
            for stream in streams:
                with pytest.raises(ModelError, match="SIGKILL"):
                    [_ async for _ in stream]
            reply = await asked(model, request())
            assert reply.usage.completion_tokens

    asyncio.run(main())


def test_several_models_are_loaded_at_once(
    tmp_path: Path, make_gguf: Callable[..., Path], small_gguf: Path
) -> None:
    async def main() -> None:
        other = make_gguf(tmp_path / "judge.gguf", seed=1)
        async with model_of(small_gguf) as actor, model_of(other) as judge:
            one, two = await asyncio.gather(asked(actor, request()), asked(judge, request()))
            assert one.message != two.message
            assert tokens_of(one).model_sha256 != tokens_of(two).model_sha256

    asyncio.run(main())


@pytest.mark.parametrize("architecture", ["qwen35", "mamba"])
def test_a_model_that_keeps_a_state_reads_little_twice_over_a_run(
    tmp_path: Path, make_gguf: Callable[..., Path], architecture: str
) -> None:
    async def main() -> None:
        path = make_gguf(tmp_path / "m.gguf", architecture=architecture)
        async with model_of(path) as model:
            messages, told, read = [LONG, HELLO], 0, 0
            for step in range(10):
                sampling = replace(HOT, seed=step, max_tokens=10)
                reply = await asked(model, request(*messages, conversation="c", sampling=sampling))
                told += reply.usage.prompt_tokens
                read += reply.usage.prompt_tokens - reply.usage.cached_tokens
                messages += [reply.message, HELLO]
            first = tokens_of(await asked(model, request(conversation="e"))).prompt_suffix_ids
            assert read <= len(first) + 10 * 40
            assert read < told / 4

    asyncio.run(main())


def test_samples_of_a_prompt_that_is_too_long_are_one_typed_overflow(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf, context_tokens=256) as model:
            message = replace(HELLO, content="word " * 400)
            with pytest.raises(ContextOverflow, match=r"holds 256"):
                await model.sample(request(message), 4)

    asyncio.run(main())
