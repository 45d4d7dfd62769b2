"""The process that a local model runs in: cancelled, crashed, killed, closed."""

import asyncio
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.models.llamacpp.asking import ENDLESS, asked, model_of, request, tokens_of

from wardian.errors import ModelError, RealModelBlocked
from wardian.models.block import block_real_models
from wardian.models.llama import LlamaModel
from wardian.models.llamacpp.process import LlamaProcess


def unread(child: LlamaProcess) -> int:
    """The bytes of requests that the child has not taken up."""
    room = fcntl.ioctl(child._mail.connection, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(room, sys.byteorder)


def test_closing_the_stream_stops_the_child_and_the_next_request_is_served(
    small_gguf: Path,
) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            endless = request(**ENDLESS, conversation="c")
            async with aclosing(model.stream(endless)) as stream:
                await anext(stream)
            reply = await asked(model, request(conversation="c"))
            assert tokens_of(reply).kept_ids == 0
            assert reply.usage.cached_tokens > 0

    asyncio.run(main())


def test_a_cancelled_task_leaves_a_usable_model(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            for delay in (0.0, 0.01, 0.05):
                await model.start()
                task = asyncio.create_task(asked(model, request(**ENDLESS)))
                await asyncio.wait([task], timeout=delay)
                task.cancel()
                await asyncio.wait([task])
            reply = await asked(model, request())
            assert reply.usage.completion_tokens

    asyncio.run(main())


def test_one_model_serves_several_event_loops(small_gguf: Path) -> None:
    model = LlamaModel(small_gguf, name="test", threads=1)
    first = asyncio.run(asked(model, request()))
    second = asyncio.run(asked(model, request()))
    asyncio.run(model.close())
    assert first.message == second.message


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_an_error_line_and_the_next_request_is_served(
    small_gguf: Path, blow: signal.Signals
) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            await model.start()
            child = model._process
            assert child is not None
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            reply_to_come = asyncio.create_task(asked(model, request()))
            while not unread(child):
                await asyncio.sleep(0.01)
            os.kill(child.pid, blow)
            os.kill(child.pid, signal.SIGCONT)
            with pytest.raises(ModelError, match=blow.name) as caught:
                await reply_to_come
            assert caught.value.remedy
            reply = await asked(model, request())
            assert reply.usage.completion_tokens

    asyncio.run(main())


def test_a_child_that_died_between_requests_is_replaced(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            await model.start()
            assert model._process is not None
            os.kill(model._process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, model._process.pid, os.WEXITED | os.WNOWAIT)
            reply = await asked(model, request())
            assert reply.usage.completion_tokens

    asyncio.run(main())


def test_the_child_ends_with_its_parent(small_gguf: Path) -> None:
    code = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from wardian.models.llama import LlamaModel\n"
        "model = LlamaModel(pathlib.Path(sys.argv[1]), name='m', threads=1)\n"
        "asyncio.run(model.start())\n"
        "print(model._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-P", "-c", code, str(small_gguf)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([child], [], [], 30)
        os.close(child)
    assert ended


def test_closing_a_model_ends_a_request_in_flight(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            stream = model.stream(request(**ENDLESS))
            await anext(stream)
            await model.close()
            with pytest.raises(ModelError):
                [_ async for _ in stream]

    asyncio.run(main())


def test_the_child_gets_no_secret_from_the_environment(
    small_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    async def main() -> None:
        async with model_of(small_gguf) as model:
            await model.start()
            assert model._process is not None
            environment = Path(f"/proc/{model._process.pid}/environ").read_bytes()
            assert b"PATH=" in environment
            assert b"sk-secret" not in environment

    asyncio.run(main())


def test_a_blocked_model_is_not_started(small_gguf: Path) -> None:
    async def main() -> None:
        async with model_of(small_gguf) as model:
            with block_real_models(), pytest.raises(RealModelBlocked):
                await asked(model, request())
            assert model._process is None

    asyncio.run(main())
