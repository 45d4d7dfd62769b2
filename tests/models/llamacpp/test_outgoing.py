"""Text of a reply goes out soon, in few messages; all else at once."""

import json
from typing import Any

from wardian.models.llamacpp.outgoing import TOGETHER_SECONDS, Outgoing


class Sent:
    """What went out at which time, by a clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.writes: list[list[dict[str, Any]]] = []
        self.line = Outgoing(self._take, lambda: self.now)

    def _take(self, data: bytes) -> None:
        self.writes.append([json.loads(line) for line in data.splitlines()])

    def say(self, text: str, *, after: float = 0.0) -> None:
        self.now += after
        self.line.say(1, 0, text)
        self.line.flush_when_due()

    def texts(self) -> list[str]:
        return [message["text"] for write in self.writes for message in write]


def test_the_first_text_goes_out_at_once_and_what_follows_within_the_time_together() -> None:
    sent = Sent()
    for text in "abcdef":
        sent.say(text, after=TOGETHER_SECONDS / 3)
    assert sent.texts() == ["a", "bcd"]
    sent.line.flush()
    assert sent.texts() == ["a", "bcd", "ef"]


def test_text_that_comes_slowly_is_never_held_back() -> None:
    sent = Sent()
    for text in "abc":
        sent.say(text, after=2 * TOGETHER_SECONDS)
    assert sent.texts() == ["a", "b", "c"]


def test_any_other_message_goes_out_at_once_behind_the_text_before_it() -> None:
    sent = Sent()
    sent.say("a")
    sent.say("b")
    sent.line.say(2, 3, "of another")
    sent.line.send({"id": 1, "sample": 0, "end": {}})
    sent.line.flush_when_due()
    assert sent.writes[1:] == [
        [
            {"id": 1, "sample": 0, "text": "b"},
            {"id": 2, "sample": 3, "text": "of another"},
            {"id": 1, "sample": 0, "end": {}},
        ]
    ]


def test_the_text_after_another_message_does_not_wait() -> None:
    sent = Sent()
    sent.say("a")
    sent.line.send({"id": 2, "prompt": {}})
    sent.line.flush_when_due()
    sent.say("b")
    assert [m.get("text") for write in sent.writes for m in write] == ["a", None, "b"]
