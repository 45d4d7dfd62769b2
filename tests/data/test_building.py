"""What becomes of runs: which are learnt from, what is masked, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.data.conftest import Shelf, Turn, left_out, read, tokens, trained

from wardian.data import Caps, Form, NothingToLearn
from wardian.data.rows import (
    Dataset,
    PromptRow,
    TextJudgedRow,
    TextPairRow,
    TextRow,
    TextStepsRow,
)
from wardian.errors import ConfigurationError
from wardian.events import Labelled, Rewarded, Tagged
from wardian.export import Filters, Split
from wardian.types import Finish, Stop
from wardian_tools.types import Confidentiality

GOOD, BAD = Turn(runs="good"), Turn(runs="bad")


def test_only_what_the_model_wrote_is_trained_on(shelf: Shelf) -> None:
    shelf.add(Turn(runs="1+1", result="2"), "Two.", prompt="Add.", reward=1.0)
    (row,) = tokens(shelf.build("sft"))
    assert read(row.token_ids) == "[Add.]<1+1>(2)Two."
    assert trained(row.token_ids, row.loss_mask) == "<1+1>Two."
    assert [p for p, on in zip(row.logprobs, row.loss_mask, strict=True) if on] == [-0.5] * 9
    assert {p for p, on in zip(row.logprobs, row.loss_mask, strict=True) if not on} == {0.0}
    spans = [read(row.token_ids[one.begin : one.end]) for one in row.steps]
    assert spans == ["<1+1>", "Two."]
    assert row.sampling == {"temperature": 1.0, "top_p": 1.0, "constrain": False}


def test_a_reply_that_was_cut_or_malformed_is_not_imitated(shelf: Shelf) -> None:
    broken = Turn(runs="{", problem="no JSON", result="error")
    long = Turn(says="and so on", finish=Finish.LENGTH)
    shelf.add(broken, long, "Two.", reward=1.0)
    (row,) = tokens(shelf.build("sft"))
    assert trained(row.token_ids, row.loss_mask) == "Two."


def test_what_earned_too_little_or_did_not_end_is_not_imitated(shelf: Shelf) -> None:
    shelf.add("good", reward=1.0)
    shelf.add("poor", reward=0.4)
    shelf.add("stopped", reward=1.0, stop=Stop.STEPS)
    shelf.add("crashed", reward=1.0, stop=None)
    shelf.add("unknown")
    shelf.add("hacked", reward=1.0, suspicions=("It changed the tests.",))
    dataset = shelf.build("sft")
    assert [trained(row.token_ids, row.loss_mask) for row in tokens(dataset)] == ["good"]
    assert left_out(dataset) == {
        "it earned too little": 1,
        "it did not come to an answer": 1,
        "it did not come to its own end": 1,
        "nothing says what it is worth": 1,
        "its reward is to be looked at by a person first": 1,
    }
    suspicious = shelf.build("sft", with_suspicious=True)
    assert suspicious.card["counts"]["rows"] == 2


def test_the_last_reward_counts_and_a_named_one_before_it(shelf: Shelf) -> None:
    run = shelf.add("one", reward=1.0)
    shelf.note(run, Rewarded(step=0, value=0.0, source="judge", version="1"))
    with pytest.raises(NothingToLearn, match="earned too little"):
        shelf.build("sft")
    assert shelf.build("sft", reward="check").card["counts"]["rows"] == 1


def test_a_users_rating_is_a_reward_where_no_verifier_spoke(shelf: Shelf) -> None:
    shelf.add("liked", rated=True)
    shelf.add("disliked", rated=False)
    assert [read(row.token_ids) for row in tokens(shelf.build("sft"))] == ["[Count.]liked"]


def test_a_label_is_a_reward_and_a_tag_may_come_later(shelf: Shelf) -> None:
    run = shelf.add("five", task="", reward=None)
    shelf.note(run, Labelled(name="reward", value="0.9"))
    assert [row.reward for row in tokens(shelf.build("sft", threshold=0.8))] == [0.9]
    shelf.note(run, Tagged(added=("task:late/1",)))
    (row,) = tokens(shelf.build("sft", threshold=0.8))
    assert (row.origin.task, row.origin.family) == ("late/1", "late")


def test_runs_whose_consent_is_refused_are_left_out(shelf: Shelf) -> None:
    shelf.add("mine", reward=1.0)
    theirs = shelf.add("theirs", reward=1.0)
    shelf.note(theirs, Labelled(name="consent", value="no"))
    dataset = shelf.build("sft")
    assert [read(row.token_ids) for row in tokens(dataset)] == ["[Count.]mine"]
    assert dataset.card["consent"]["runs_refused"] == 1


def test_the_best_of_each_task_are_kept_and_equal_ones_once(shelf: Shelf) -> None:
    for text in ("short", "a longer one", "short"):
        shelf.add(text, task="a/1", reward=1.0)
    shelf.add("other", task="a/2", reward=1.0)
    dataset = shelf.build("sft", caps=Caps(per_task=1))
    assert {trained(r.token_ids, r.loss_mask) for r in tokens(dataset)} == {"short", "other"}
    everything = shelf.build("sft", caps=Caps(per_task=None))
    assert everything.card["counts"]["rows"] == 3
    assert left_out(everything) == {"it says the same as another": 1}


def test_nearly_equal_ones_count_once(shelf: Shelf) -> None:
    pytest.importorskip("datasketch", reason="datasketch finds near duplicates")
    words = " ".join(f"word{i}" for i in range(60))
    shelf.add(words, task="a/1", reward=1.0)
    shelf.add(f"{words} indeed", task="a/1", reward=1.0)
    shelf.add("something else altogether, in other words", task="a/1", reward=1.0)
    dataset = shelf.build("sft", near=0.9)
    assert dataset.card["counts"]["rows"] == 2
    assert left_out(dataset) == {"it says nearly the same as another": 1}


def test_no_family_outweighs_the_others_when_balanced(shelf: Shelf) -> None:
    for family, count in (("a", 5), ("b", 2), ("c", 1)):
        for number in range(count):
            shelf.add(f"{family}{number}", task=f"{family}/{number}", reward=1.0)
    dataset = shelf.build("sft", caps=Caps(balanced=True))
    assert dataset.card["families"] == {"a": 2, "b": 2, "c": 1}
    capped = shelf.build("sft", caps=Caps(per_family=3, rows=5))
    assert capped.card["counts"]["rows"] == 5
    assert max(capped.card["families"].values()) <= 3


def test_caps_hold_for_pairs_and_judged_replies_too(shelf: Shelf) -> None:
    for family, count in (("a", 3), ("b", 1), ("c", 1)):
        for number in range(count):
            for text, value in (("good", 1.0), ("bad", 0.0)):
                shelf.add(f"{text} {family}{number}", task=f"{family}/{number}", reward=value)
    for goal, each in (("dpo", 1), ("kto", 2)):
        assert shelf.build(goal).card["families"] == {"a": 3 * each, "b": each, "c": each}
        level = shelf.build(goal, caps=Caps(balanced=True)).card["families"]
        assert max(level.values()) == each
        assert shelf.build(goal, caps=Caps(per_family=2)).card["families"]["a"] == 2
        assert shelf.build(goal, caps=Caps(rows=3)).card["counts"]["rows"] == 3


def test_too_long_runs_are_left_out(shelf: Shelf) -> None:
    shelf.add("x" * 100, reward=1.0)
    shelf.add("short", reward=1.0)
    dataset = shelf.build("sft", max_tokens=50)
    assert left_out(dataset) == {"it is too long": 1}
    assert dataset.card["counts"]["longest_tokens"] <= 50


def test_the_same_runs_give_the_same_bytes_in_whatever_order(shelf: Shelf) -> None:
    for number in range(6):
        shelf.add(f"answer {number}", task=f"a/{number % 3}", reward=number % 2)
    for goal in ("sft", "dpo", "kto", "steps"):
        one = shelf.build(goal, name=f"{goal}.1.jsonl")
        two = shelf.build(goal, name=f"{goal}.2.jsonl", ids=shelf.ids[::-1] * 2)
        assert one.path.read_bytes() == two.path.read_bytes()


def test_steps_have_what_each_was_worth(shelf: Shelf) -> None:
    twice = Turn(runs="same", result="r")
    shelf.add(twice, twice, "Done.", reward=0.0, stop=Stop.DONE)
    (row,) = tokens(shelf.build("steps"))
    worth = {one.step: one.reward for one in row.steps}
    assert worth[1] is not None
    assert worth[2] is not None
    assert worth[1] > worth[2]
    assert row.steps[1].marks["repeated"] == -1
    assert worth[3] == 0.0
    assert trained(row.token_ids, row.loss_mask) == "<same><same>Done."


def test_a_verifiers_own_rewards_of_steps_stand_before_marks(shelf: Shelf) -> None:
    run = shelf.add(GOOD, "Done.", reward=1.0)
    shelf.note(run, Rewarded(step=1, value=0.25, source="process", version="1"))
    (row,) = tokens(shelf.build("steps"))
    assert [(one.step, one.reward) for one in row.steps] == [(1, 0.25), (2, None)]


@pytest.fixture
def suite(tmp_path: Path) -> str:
    def tasks() -> Iterator[dict[str, object]]:
        for number, split in enumerate(("train", "train", "train", "train", "test")):
            yield {
                "id": f"sums/{number}",
                "split": split,
                "prompt": f"What is {number} + 1?",
                "verifier": {"kind": "number", "expected": number + 1},
            }

    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, tasks())))
    return str(path)


def test_tasks_that_some_attempts_solved_are_tried_again(shelf: Shelf, suite: str) -> None:
    for number, rewards in ((0, (1, 0)), (1, (1, 1)), (2, (0, 0)), (4, (1, 0))):
        for attempt, value in enumerate(rewards):
            shelf.add(
                f"answer {attempt}",
                prompt=f"What is {number} + 1?",
                task=f"sums/{number}",
                suite="mine",
                reward=value,
            )
    dataset = shelf.build("grpo", suites=(suite,))
    (row,) = dataset.rows(PromptRow)
    assert (row.task, row.attempts, row.solved, row.suite) == ("sums/0", 2, 0.5, suite)
    assert left_out(dataset) == {
        "it is an attempt at an eval task": 2,
        "of a task, its split is test": 1,
        "of a task, nobody tried it": 1,
        "of a task, too few attempts solved it": 1,
        "of a task, too many solved it": 1,
    }


def test_prompts_need_a_suite(shelf: Shelf) -> None:
    with pytest.raises(ConfigurationError, match="--suite"):
        shelf.build("grpo")


def test_a_run_of_a_test_split_is_kept_out_of_everything(shelf: Shelf, suite: str) -> None:
    shelf.add("five", prompt="What is 4 + 1?", task="sums/4", suite="mine", reward=1.0)
    for goal in ("sft", "steps", "grpo"):
        with pytest.raises(NothingToLearn, match="eval task"):
            shelf.build(goal, suites=(suite,))
    run = shelf.add("done", tags=["split:dev"], reward=1.0)
    with pytest.raises(NothingToLearn, match="eval task"):
        shelf.build("sft", ids=[run])


def test_runs_without_ids_become_text_and_the_card_says_so(shelf: Shelf) -> None:
    shelf.add(GOOD, "Right.", task="a/1", reward=1.0, with_ids=False)
    shelf.add(BAD, "Wrong.", task="a/1", reward=0.0, with_ids=False)
    dataset = shelf.build("sft")
    (row,) = dataset.rows(TextRow)
    assert [message["role"] for message in row.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert any("text" in remark for remark in dataset.card["remarks"])
    (pair,) = shelf.build("dpo").rows(TextPairRow)
    assert pair.chosen[0]["tool_calls"][0]["function"]["arguments"] == {"code": "good"}
    labels = [row.label for row in shelf.build("kto").rows(TextJudgedRow)]
    assert labels == [True, True, False, False]
    steps = next(shelf.build("steps").rows(TextStepsRow))
    assert [steps.messages[place]["role"] for place in steps.replies] == ["assistant"] * 2
    assert len(steps.step_rewards) == 2


def test_runs_with_and_without_ids_are_not_mixed(shelf: Shelf) -> None:
    shelf.add("one", reward=1.0)
    shelf.add("two", reward=1.0, with_ids=False)
    with pytest.raises(ConfigurationError, match="--rows text"):
        shelf.build("sft")
    assert shelf.build("sft", form=Form.TOKENS).card["counts"]["rows"] == 1
    assert shelf.build("sft", form=Form.TEXT).kind == "text"


def test_ids_of_several_models_are_not_mixed(shelf: Shelf) -> None:
    shelf.add("one", reward=1.0)
    shelf.add("two", reward=1.0, model_sha256="c" * 64)
    with pytest.raises(ConfigurationError, match="--weights aaaaaaaaaaaa"):
        shelf.build("sft")
    assert shelf.build("sft", weights="cc").card["counts"]["rows"] == 1
    with pytest.raises(ConfigurationError, match="tokenizer is not known"):
        shelf.build("sft", weights="any")


def test_a_sub_agents_runs_earn_what_their_callers_did(shelf: Shelf) -> None:
    caller = shelf.add("whole", reward=1.0)
    shelf.add("part", parent={"run_id": caller, "name": "searcher"})
    assert [read(r.token_ids) for r in tokens(shelf.build("sft"))] == ["[Count.]whole"]
    assert [read(r.token_ids) for r in tokens(shelf.build("sft", role="searcher"))] == [
        "[Count.]part"
    ]


def test_a_registered_secret_ends_it_and_leaves_no_file(shelf: Shelf) -> None:
    shelf.add("the key is hunter22hunter22", reward=1.0)
    with pytest.raises(ConfigurationError, match="registered secret"):
        shelf.build("sft", secrets={"KEY": "hunter22hunter22"})
    assert not (shelf.folder / "rows.jsonl").exists()
    with pytest.raises(ConfigurationError, match="What is asked for"):
        shelf.build("sft", secrets={"KEY": "hunter33hunter33"}, consent="hunter33hunter33")
    assert shelf.build("sft", secrets={"KEY": "another-secret-value"}).card["counts"]["rows"] == 1


def test_attempts_at_one_task_are_in_one_part(shelf: Shelf) -> None:
    for number in range(12):
        for attempt in range(2):
            shelf.add(f"{number} {attempt}", task=f"a/{number}", reward=1.0)
    shelf.build("sft", split=Split.of("train:0.5,dev:0.5"))
    parts = [Dataset.open(shelf.folder / f"rows.{part}.jsonl") for part in ("train", "dev")]
    tasks = [{row.origin.task for row in tokens(part)} for part in parts]
    assert tasks[0]
    assert tasks[1]
    assert not tasks[0] & tasks[1]
    for part in parts:
        part.check_unchanged()


def test_the_card_says_where_rows_come_from_and_what_was_left_out(shelf: Shelf) -> None:
    kept = shelf.add("good", reward=1.0, tags=["mine"])
    poor = shelf.add("poor", reward=0.0, tags=["mine"])
    shelf.add("theirs", reward=1.0)
    dataset = shelf.build("sft", filters=Filters(tags=("mine",)), consent="mine")
    card = Dataset.open(dataset.path).card
    assert card == dataset.card
    assert card["run_ids"] == [kept]
    assert card["left_out"] == {"it earned too little": {"count": 1, "some": [poor]}}
    assert (card["counts"]["runs_read"], card["counts"]["runs_meant"]) == (3, 2)
    assert card["filters"] == {"tags": ["mine"]}
    assert card["consent"] == {"statement": "mine", "runs_refused": 0}
    assert card["choice"]["threshold"] == 1.0
    assert card["model"]["model_sha256"] == ["a" * 64]


def test_the_card_counts_runs_that_read_what_is_labelled(shelf: Shelf) -> None:
    shelf.add(Turn(runs="look", result="seen"), "Done.", reward=1.0)
    shelf.add(Turn(runs="look", result="secret", label=Confidentiality.LOCAL), "Well.", reward=1.0)
    dataset = shelf.build("sft")
    assert dataset.card["flow"]["local"] == 1
    assert any("keep here" in remark for remark in dataset.card["remarks"])


def test_nothing_is_made_of_nothing(shelf: Shelf) -> None:
    with pytest.raises(NothingToLearn, match="None of 0 runs"):
        shelf.build("sft", ids=[])


def test_a_damaged_log_costs_that_run_only(shelf: Shelf) -> None:
    shelf.add("good", reward=1.0)
    path = shelf.store.path(shelf.add("bad", reward=1.0))
    path.write_bytes(path.read_bytes().replace(b"Count.", b"Amount", 1))
    dataset = shelf.build("sft")
    assert dataset.card["counts"]["rows"] == 1
    assert left_out(dataset) == {"its log is damaged": 1}
