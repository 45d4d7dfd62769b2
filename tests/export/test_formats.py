"""Rows are what their readers take, and say what the run's log says."""

import json
from typing import Any, cast

import pytest
from atif import Trajectory as AtifTrajectory
from tests.export.conftest import FIXTURES, rows
from tests.runs.conftest import House
from tests.runs.test_preferences import BETTER, WRITE, forked

from wardian.events import Rated
from wardian.models.replies import Answer
from wardian.reruns.forking import annotate
from wardian.runs.undo import undo

READ: list[Answer] = [[("read_file", {"path": "a.txt"})], "Two lines."]
SAMPLES = {
    "openai": "openai_chat",
    "openai-ft": "openai_chat",
    "trl-sft": "trl_sft",
    "trl-preference": "trl_preference_stepfork",
    "trl-kto": "trl_kto",
    "trl-prompts": "trl_grpo_prompts",
    "sharegpt": "hermes_sharegpt",
    "atif": "atif_v1_8",
}
FREE = {"arguments", "parameters", "extra"}
"""What stands below them is each row's own"""
CHATS = {"prompt", "completion", "chosen", "rejected"}
"""What stands there is any part of a conversation, such as `trl_sft` shows whole"""
MAY_LACK = {"return"}
"""`get_json_schema` adds it to tools; ours are recorded as the model was told of them"""
MAY_ADD = {"timestamp", "extra", "total_prompt_tokens", "total_completion_tokens", "provenance"}
"""Optional in ATIF; a column that TRL passes over"""


def judged(house: House) -> None:
    """A run taken back and rated, and the fork that did better."""
    run = house.run(WRITE)
    undo(house.store, run.run_id)
    annotate(house.store, run.run_id, Rated(step=1, good=False))
    other = forked(house, BETTER, run.run_id)
    annotate(house.store, other, Rated(step=0, good=True))


def fits(value: object, samples: list[Any]) -> bool:
    """Has it the keys and types of one of them, all the way down?"""
    return any(_fits(value, sample) for sample in samples)


def chat() -> list[Any]:
    messages: list[Any] = json.loads((FIXTURES / "trl_sft.jsonl").read_text())["messages"]
    return messages


def _fits(value: object, sample: Any) -> bool:
    if type(value) is not type(sample):
        return False
    if isinstance(value, list):
        shapes = cast("list[Any]", sample)
        return all(fits(item, shapes) for item in cast("list[object]", value))
    if isinstance(value, dict):
        row = cast("dict[str, object]", value)
        shape = cast("dict[str, Any]", sample)
        wanted = set(shape) - MAY_LACK
        return wanted <= set(row) <= wanted | MAY_ADD and all(
            type(row[key]) is type(shape[key])
            if key in FREE
            else fits(row[key], [chat()] if key in CHATS else [shape[key]])
            for key in wanted
        )
    return True


@pytest.mark.parametrize("format_name", list(SAMPLES))
def test_a_row_has_the_keys_and_types_of_the_formats_sample(house: House, format_name: str) -> None:
    judged(house)
    house.run(READ)
    text = (FIXTURES / f"{SAMPLES[format_name]}.jsonl").read_text()
    made, done = rows(house, format_name)
    assert made
    assert done.left_out.total() == (format_name == "trl-prompts"), "all but the fork"
    samples = [json.loads(line) for line in text.splitlines()]
    assert [row for row in made if not fits(row, samples)] == []


def test_an_openai_row_answers_each_call_and_sorts_the_tools(house: House) -> None:
    house.run(READ)
    [row], _ = rows(house, "openai-ft")
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    call = row["messages"][2]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"path": "a.txt"}
    assert row["messages"][3]["tool_call_id"] == call["id"]
    names = [tool["function"]["name"] for tool in row["tools"]]
    assert names == sorted(names)


def test_a_trl_row_has_no_null_and_its_arguments_are_objects(house: House) -> None:
    house.run([[("list_files", {"path": ".", "pattern": None})], "One file."])
    [row], _ = rows(house, "trl-sft")
    assert "null" not in json.dumps(row)
    assert row["messages"][2]["tool_calls"][0]["function"]["arguments"]["path"] == "."


def test_a_malformed_call_is_kept_apart_in_atif_and_out_of_training_rows(house: House) -> None:
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    [document], _ = rows(house, "atif")
    step = document["steps"][2]
    assert "tool_calls" not in step
    assert step["extra"]["wardian"]["malformed_calls"][0]["name"] == "read_file"
    assert "source_call_id" not in step["observation"]["results"][0]
    for format_name in ("openai-ft", "trl-sft", "sharegpt"):
        made, done = rows(house, format_name)
        assert made == []
        assert done.left_out == {"it has a malformed call": 1}
    assert len(rows(house, "openai")[0]) == 1


def test_atif_documents_pass_the_validator_of_its_package(house: House) -> None:
    judged(house)
    house.run(READ)
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    made, _ = rows(house, "atif")
    assert len(made) == 4
    for row in made:
        read = AtifTrajectory.model_validate(row)
        assert [step.step_id for step in read.steps] == list(range(1, len(read.steps) + 1))


def test_what_a_fork_goes_on_from_is_marked_as_copied(house: House) -> None:
    run = house.run(WRITE)
    other = forked(house, [*WRITE[:1], "Otherwise."], run.run_id, step=2)
    [document], _ = rows(house, "atif", other)
    [copied] = [step for step in document["steps"] if step.get("is_copied_context")]
    assert copied["tool_calls"][0]["function_name"] == "write_file"
    assert copied["observation"]["results"][0]["content"].startswith("wrote 3 bytes")
    assert "metrics" not in copied
    AtifTrajectory.model_validate(document)


def test_a_pair_shares_its_prompt_and_has_one_reply_a_side(house: House) -> None:
    judged(house)
    [row], done = rows(house, "trl-preference")
    assert [len(row["chosen"]), len(row["rejected"])] == [1, 1]
    assert row["prompt"][-1]["role"] == "user"
    written = [
        row[side][0]["tool_calls"][0]["function"]["arguments"]["content"]
        for side in ("chosen", "rejected")
    ]
    assert written == ["good", "bad"]
    assert len(done.run_ids) == 2


def test_a_pair_is_found_from_either_of_its_runs(house: House) -> None:
    judged(house)
    both = house.store.ids()
    assert rows(house, "trl-preference", both[0])[0] == rows(house, "trl-preference", both[1])[0]


def test_a_prompt_holds_the_files_it_began_with_and_no_answer_nobody_approved(
    house: House,
) -> None:
    run = house.run(WRITE)
    [row], _ = rows(house, "trl-prompts")
    assert json.loads(row["files"]) == {"a.txt": "one\ntwo\n"}
    assert row["answer"] == ""
    annotate(house.store, run.run_id, Rated(step=0, good=True))
    [row], _ = rows(house, "trl-prompts")
    assert row["answer"] == "Done."


def test_a_fork_is_no_prompt_of_its_own(house: House) -> None:
    run = house.run(WRITE)
    forked(house, BETTER, run.run_id)
    made, done = rows(house, "trl-prompts")
    assert (len(made), done.left_out.total()) == (1, 1)


def test_a_sharegpt_conversation_says_calls_as_hermes_does(house: House) -> None:
    house.run(READ)
    [row], _ = rows(house, "sharegpt")
    assert [turn["from"] for turn in row["conversations"]] == [
        "system",
        "human",
        "gpt",
        "tool",
        "gpt",
    ]
    text = row["conversations"][2]["value"]
    call = text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
    assert json.loads(call) == {"name": "read_file", "arguments": {"path": "a.txt"}}
