"""Files for fine-tuning pass the documented rules, whatever the runs were like."""

import json
from typing import Any

import pytest
from tests.export.conftest import rows
from tests.export.openai_rules import broken_rules
from tests.export.test_formats import READ
from tests.runs.conftest import House
from tests.runs.test_preferences import BETTER, WRITE, forked

from wardian import Task
from wardian.models.replies import Answer
from wardian.types import Image, ImageData

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)


def content(house: House) -> bytes:
    made, _ = rows(house, "openai-ft")
    assert made
    return (house.workspace.parent / "rows.jsonl").read_bytes()


def test_runs_of_every_kind_make_files_without_a_fault(house: House) -> None:
    several: list[Answer] = [
        [("read_file", {"path": "a.txt"}), ("list_files", {})],
        [("read_file", {"path": "gone.txt"})],
        "Two lines.",
    ]
    house.run(READ)
    house.run(several)
    run = house.run(WRITE).run_id
    forked(house, [*WRITE[:1], "Otherwise."], run, step=2)
    forked(house, BETTER, run)
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    cut = house.run(READ).run_id
    house.cut_after(cut, "call_started")
    house.run(["Odd \ud800 text."], tools=[])
    image = Image(mime="image/png", data=ImageData(PIXEL))
    house.agent(["A pixel."]).run_sync(Task(prompt="What is it?", images=(image,)))
    assert broken_rules(content(house)) == []


def good() -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": ""},
            {"role": "assistant", "content": "!"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
    }


def test_the_rules_find_nothing_in_a_good_row() -> None:
    assert broken_rules(json.dumps(good()).encode()) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), []),
        (("extra",), 1),
        (("messages", 0, "role"), "boss"),
        (("messages", 3, "content"), None),
        (("messages", 3, "role"), "user"),
        (("messages", 1, "tool_calls", 0, "function", "arguments"), "{"),
        (("messages", 1, "tool_calls", 0, "function", "arguments"), {}),
        (("messages", 1, "tool_calls", 0, "function", "name"), "g"),
        (("messages", 2, "tool_call_id"), "d"),
        (("messages", 2, "reasoning"), "x"),
        (("tools", 0, "function", "name"), "no name"),
        (("tools", 0, "function", "return"), {}),
        (("tools", 0, "type"), "other"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_the_rules_find_each_fault(place: tuple[Any, ...], value: object) -> None:
    row: Any = good()
    if place:
        holder = row
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
    else:
        row = value
    assert broken_rules(json.dumps(row).encode())
