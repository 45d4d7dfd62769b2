"""One request at a time to one child, whatever loop or thread asks."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Turns:
    """First come, first served. An asyncio.Lock would belong to one loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: deque[Future[None]] = deque()

    @asynccontextmanager
    async def mine(self) -> AsyncGenerator[None]:
        with self._lock:
            turn = Future[None]() if self._busy else None
            if turn is not None:
                self._waiting.append(turn)
            self._busy = True
        if turn is not None:
            await self._wait(turn)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, turn: Future[None]) -> None:
        try:
            await asyncio.wrap_future(turn)
        except BaseException:
            if not turn.cancel():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._busy = False
