"""How long is waited between attempts."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.models.retrying import Retrying, is_retried, retry_after_seconds


def test_waits_grow_and_are_capped() -> None:
    retrying = Retrying(attempts=9, random=lambda: 1.0)
    waits = [retrying.wait_seconds(n, None) for n in range(1, 9)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert retrying.wait_seconds(9, None) is None


@given(random=st.floats(0, 1), attempt=st.integers(1, 50), asked=st.none() | st.floats(0, 60))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_the_bounds(
    random: float, attempt: int, asked: float | None
) -> None:
    retrying = Retrying(attempts=100, random=lambda: random)
    wait = retrying.wait_seconds(attempt, asked)
    assert wait is not None
    assert wait >= (asked or 0)
    assert wait <= (asked or 0) + retrying.longest_wait_seconds


def test_two_clients_turned_away_together_do_not_come_back_together() -> None:
    drawn = iter([0.0, 0.3, 0.9])
    retrying = Retrying(random=lambda: next(drawn))
    assert len({retrying.wait_seconds(1, 2.0) for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("", None), ("soon", None), ("1e9", None), ("-1", None)],
)
def test_retry_after_is_read_as_seconds_or_not_at_all(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    now = time.time()
    date = formatdate(now + 30, usegmt=True)
    assert retry_after_seconds({"retry-after": date}, now) == pytest.approx(30, abs=1)
    assert retry_after_seconds({"retry-after": date}, now + 99) == 0.0
    assert retry_after_seconds({}) is None


def test_only_failures_that_may_pass_are_retried() -> None:
    retried = [status for status in range(300, 600) if is_retried(status) and status < 506]
    assert retried == [408, 409, 425, 429, 500, 502, 503, 504]
