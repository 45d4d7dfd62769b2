"""When to ask again: before the first token only, a bounded number of times.

After the first token a broken stream is a cut reply, never glued to a second one.
`stamina` is not used: it retries functions, not the head of a stream, and costs 75 ms to import.
"""

import asyncio
import email.utils
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from wardian.errors import ModelError
from wardian.types import Delta, Reply

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""And every 5xx but 501 and 505. Source: https://www.rfc-editor.org/rfc/rfc9110#section-15"""


def is_retried(status: int) -> bool:
    return status in RETRIED_STATUSES or (status >= 500 and status not in (501, 505))


class Retryable(Exception):
    """An attempt failed before its first token; `error` is what to raise if no more are left."""

    def __init__(self, error: ModelError, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_seconds = retry_after_seconds


class AskAgain(Exception):
    """The request was changed to suit the server: ask at once, without counting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How often and how long. `sleep` and `random` are there to be replaced in tests."""

    attempts: int = 4
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 20.0
    longest_retry_after_seconds: float = 60.0
    """A server that asks for more than this is not waited for."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def wait_seconds(self, attempt: int, retry_after_seconds: float | None) -> float | None:
        """How long to wait after failed attempt number `attempt` (from 1); None: give up.

        Exponential with full jitter on the upper half, so that a thousand agents turned away
        together do not come back together; never earlier than the server asked.
        """
        if attempt >= self.attempts:
            return None
        backoff: float = min(
            self.first_wait_seconds * 2.0 ** (attempt - 1), self.longest_wait_seconds
        )
        jittered = backoff * (0.5 + 0.5 * self.random())
        if retry_after_seconds is None:
            return jittered
        if retry_after_seconds > self.longest_retry_after_seconds:
            return None
        return retry_after_seconds + jittered * 0.5

    async def stream(
        self, attempt: Callable[[], AsyncGenerator[Delta | Reply]]
    ) -> AsyncGenerator[Delta | Reply]:
        """What the first attempt gives that gets to a token.

        Raises: ModelError, that of the last attempt.
        """
        number = 1
        while True:
            try:
                async with aclosing(attempt()) as parts:
                    async for part in parts:
                        yield part
                return
            except AskAgain:
                continue
            except Retryable as e:
                wait = self.wait_seconds(number, e.retry_after_seconds)
                if wait is None:
                    raise e.error from e
            number += 1
            await self.sleep(wait)


def retry_after_seconds(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """What `Retry-After` asks for: seconds or an HTTP date; None when absent or unreadable.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3; `retry-after-ms` is OpenAI's.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "").strip()
        if not value:
            return None
        if value[0].isdigit() and value.replace(".", "", 1).isdecimal():
            return float(value)
        date = email.utils.parsedate_to_datetime(value)
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (ValueError, OverflowError):
        return None
