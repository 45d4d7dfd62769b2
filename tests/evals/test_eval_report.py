"""What is said of an evaluation, as values and as a page."""

import json
from html import unescape
from html.parser import HTMLParser

from wardian.evals.outcomes import Ending, Evaluation, Outcome, Plan
from wardian.evals.page import page
from wardian.evals.report import report

HOSTILE = "</title><script>alert(1)</script>\x1b[2J"


def evaluation(models: tuple[str, ...] = ("old", "new"), attempts: int = 4) -> Evaluation:
    tasks = tuple(f"{family}/{i}" for family in ("sums", "files") for i in range(6))
    plan = Plan(
        id="01TEST",
        suite="small",
        source="small.jsonl",
        version="1",
        digest="d" * 64,
        tasks=tasks,
        models={name: {"name": name} for name in models},
        attempts=attempts,
        seed=None,
        scaling={},
    )
    outcomes = [
        Outcome(
            model=model,
            task=task,
            family=task.partition("/")[0],
            split="test",
            attempt=attempt,
            run_id=f"R{number}",
            ending=Ending.PASSED
            if (number + attempt) % (2 if model == "new" else 4)
            else Ending.WRONG,
            value=1.0,
            answer=str(attempt % 2),
            steps=2,
            tokens=100 + number,
            seconds=0.5,
        )
        for model in models
        for number, task in enumerate(tasks)
        for attempt in range(attempts)
    ]
    return Evaluation(plan=plan, outcomes=tuple(outcomes))


class Tags(HTMLParser):
    """The names of a page's elements, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "href", "onload"), (tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> Tags:
    parser = Tags()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return parser


def test_a_report_is_json_and_says_the_same_of_a_family_as_of_its_tasks() -> None:
    found = report(evaluation())
    assert json.loads(json.dumps(found)) == found
    old = found["models"][0]
    assert [one["family"] for one in old["families"]] == ["files", "sums"]
    assert sum(one["passed"] for one in old["families"]) == old["passed"]
    assert sum(old["endings"].values()) == old["attempts"] == 48
    assert set(old["pass_at"]) == {"1", "2", "3", "4"}
    assert old["pass_at"]["1"]["value"] == old["pass_hat"]["1"]["value"]
    assert [one["second"] for one in found["comparisons"]] == ["new"]


def test_an_evaluation_with_nothing_but_errors_can_be_reported() -> None:
    whole = evaluation(("one",), attempts=1)
    broken = Outcome(
        model="one",
        task="sums/0",
        family="sums",
        split="test",
        attempt=0,
        run_id="",
        ending=Ending.ERROR,
    )
    for outcomes in ((), (broken,)):
        found = report(Evaluation(plan=whole.plan, outcomes=outcomes))
        assert found["models"][0]["pass_at"] == {}
        assert not found["complete"]
        tags(page(found))


def test_the_page_is_whole_loads_nothing_and_has_no_script() -> None:
    text = page(report(evaluation()))
    seen = tags(text).seen
    assert seen.count("svg") >= 5
    assert not {"script", "link", "iframe", "img"} & set(seen)
    assert "default-src 'none'" in unescape(text)


def test_no_name_on_the_page_is_taken_for_markup() -> None:
    text = page(report(evaluation((HOSTILE, "new"))))
    assert "script" not in tags(text).seen
    assert "\x1b" not in text
    assert "alert(1)" in text
