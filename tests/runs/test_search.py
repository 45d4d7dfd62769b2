"""The full-text index says what the logs say, and can be lost at any moment."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.runs.conftest import House

from wardian import tool
from wardian.events import Labelled, Rated, Tagged
from wardian.reruns.forking import annotate
from wardian.runs.encode import line
from wardian.runs.filters import Filters, Rating
from wardian.runs.search import VERSION, Hit, SearchIndex, find_runs
from wardian.runs.words import Words
from wardian_tools import Effect


@tool(effects=[Effect.READS])
def look(at: str) -> str:
    """Look."""
    return f"seen: {at}"


@pytest.fixture
def root(house: House) -> Path:
    for index in range(3):
        house.run([[("look", {"at": f"needle {index}"})], f"answer {index}"], tools=[look])
    return house.store.root


def found(root: Path, text: str, limit: int = 50) -> list[Hit]:
    words = Words.of(text)
    assert words
    return SearchIndex(root).hits(words, lambda _: True, lambda hit: hit, limit)


def places(root: Path, text: str) -> set[tuple[str, int, str]]:
    return {(hit.run_id, hit.step, hit.where) for hit in found(root, text)}


def check(root: Path, house: House) -> None:
    """It finds what is there, and all of it."""
    for number, run_id in enumerate(reversed(house.store.ids())):
        expected = {(run_id, 1, "look call"), (run_id, 1, "look result")}
        assert places(root, f"needle {number}") == expected
    facts = SearchIndex(root).facts()
    assert [one.run_id for one in facts] == house.store.ids()
    assert {(one.stop, one.steps, tuple(one.tools)) for one in facts} == {("done", 2, ("look",))}


def test_it_finds_every_text_of_every_run(root: Path, house: House) -> None:
    check(root, house)
    check(root, house)
    assert {where for _, _, where in places(root, "Do it")} == {"task"}
    assert {where for _, _, where in places(root, "answer")} == {"reply", "answer"}


def test_the_best_place_is_first_and_no_more_than_asked_for_are_given(
    root: Path, house: House
) -> None:
    house.run(["rare, " + "other words " * 200])
    best = house.run(["rare rare rare"]).run_id
    assert [hit.run_id for hit in found(root, "rare", limit=1)] == [best]


def test_a_run_that_went_on_is_read_again(root: Path, house: House) -> None:
    check(root, house)
    annotate(house.store, house.store.find("last"), Tagged(added=("x",)))
    assert [list(one.tags) for one in SearchIndex(root).facts()] == [["x"], [], []]
    check(root, house)


def test_a_removed_run_leaves_no_text_behind(root: Path, house: House) -> None:
    secret = house.run(["confidential matter 4711"]).run_id
    assert found(root, "confidential")
    index = SearchIndex(root).path
    assert b"confidential" in index.read_bytes()
    house.store.remove(secret)
    assert b"onfidential" not in index.read_bytes()
    assert b"4711" not in index.read_bytes()
    assert found(root, "confidential") == []
    check(root, house)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def executing(statement: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        database = sqlite3.connect(path)
        database.execute(statement)
        database.commit()
        database.close()

    return harm


HARMS: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "empty": rewritten(lambda _: b""),
    "garbage": rewritten(lambda _: b"not a database" * 1000),
    "cut": rewritten(lambda content: content[: len(content) // 2]),
    "flipped": rewritten(lambda content: content[:100] + bytes(b ^ 0xFF for b in content[100:])),
    "newer": executing(f"PRAGMA user_version = {VERSION + 1}"),
    "no words": executing("DROP TABLE words"),
    "no runs": executing("DROP TABLE runs"),
    "part of the words lost": executing("DELETE FROM words_data WHERE id > 10"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_lost_or_damaged_index_is_made_anew(root: Path, house: House, harm: str) -> None:
    check(root, house)
    HARMS[harm](SearchIndex(root).path)
    check(root, house)


def test_where_none_can_be_kept_the_runs_are_read(root: Path, house: House) -> None:
    SearchIndex(root).path.mkdir()
    check(root, house)


def test_it_is_private_whatever_the_umask(root: Path) -> None:
    before = os.umask(0)
    try:
        found(root, "needle")
    finally:
        os.umask(before)
    assert SearchIndex(root).path.stat().st_mode & 0o777 == 0o600


SEARCHER = """
import sys
from pathlib import Path
from wardian.runs.search import SearchIndex
from wardian.runs.sqlite_file import Unusable
from wardian.runs.words import Words
index, words = SearchIndex(Path(sys.argv[1])), Words.of("needle")
def usable(work):
    while True:
        try:
            return work()
        except Unusable:  # lost or held again and again: a command would read the runs
            pass
for _ in range(5):
    assert len(usable(lambda: index.hits(words, lambda _: True, lambda hit: hit, 50))) == 6
    assert len(usable(index.facts)) == 3
    if sys.argv[2] == "0":
        index.forget()
"""


def test_several_processes_search_at_once_while_one_loses_the_index(root: Path) -> None:
    def one(number: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SEARCHER, str(root), str(number)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    with ThreadPoolExecutor(4) as pool:
        assert [done.stderr for done in pool.map(one, range(4))] == [""] * 4


def test_hostile_records_cost_themselves_only(root: Path, house: House) -> None:
    path = house.store.path("last")
    lines = [
        b'{"seq":90,"kind":"model_replied","data":[]}',
        b'{"seq":91,"kind":"model_replied","data":{"reply":{"message":{"calls":[7,{"name":[]}]}}}}',
        b'{"seq":92,"kind":"call_finished","data":{"result":"x","step":"y"}}',
        b'{"seq":93,"kind":"tagged","data":{"added":"abc","removed":[1]}}',
        b'{"seq":94,"kind":"labelled","data":{"name":["a"],"value":1}}',
        b'{"seq":95,"kind":"noted","data":{"step":1,"text":"lone \\ud800 and \\u0000 nul hay"}}',
        b'{"seq":96,"kind":"noted","data":{"text":{"$blob":"../../etc/passwd"}}}',
        b'{"seq":97,"kind":"noted","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\x00" * 50,
    ]
    with path.open("ab") as log:
        log.write(b"\n".join(lines) + b"\n")
    assert [hit.where for hit in found(root, "hay")] == ["note"]
    assert len(SearchIndex(root).facts()) == 3


def test_each_filter_lets_through_what_it_names(root: Path, house: House) -> None:
    third, second, first = house.store.ids()
    annotate(house.store, first, Tagged(added=("a", "b")))
    annotate(house.store, first, Tagged(removed=("b",)))
    annotate(house.store, second, Labelled(name="topic", value="x"))
    annotate(house.store, second, Labelled(name="reward", value="0.5"))
    annotate(house.store, third, Rated(step=1, good=False))
    plain = house.run(["nothing"]).run_id
    for step, value in ((0, b"0.2"), (0, b"0.9"), (1, b"0.1")):
        data = b'{"step":%d,"value":%b,"source":"v","version":"1"}' % (step, value)
        with house.store.path(third).open("ab") as log:
            log.write(line(99, "2026", 1.0, "rewarded", data))
    expected: list[tuple[Filters, list[str]]] = [
        (Filters(), [plain, third, second, first]),
        (Filters(tags=("a",)), [first]),
        (Filters(tags=("a", "b")), []),
        (Filters(labels={"topic": None}), [second]),
        (Filters(labels={"topic": "y"}), []),
        (Filters(min_reward=0.5), [third, second]),
        (Filters(min_reward=0.4, max_reward=0.6), [second]),
        (Filters(max_reward=0.4), []),
        (Filters(rated=Rating.BAD), [third]),
        (Filters(tools=("look",)), [third, second, first]),
        (Filters(max_steps=1), [plain]),
        (Filters(min_steps=2, text="needle"), [third, second, first]),
        (Filters(text='"needle 1"'), [second]),
        (Filters(text="->"), []),
        (Filters(workspace=str(house.workspace), model="mod*"), [plain, third, second, first]),
        (Filters(workspace="/elsewhere"), []),
        (Filters(status=("unfinished",)), []),
    ]
    for filters, run_ids in expected:
        assert [one.run_id for one in find_runs(root, filters)] == run_ids, filters
        read = [run_id for run_id in house.store.ids() if filters.admit(house.load(run_id))]
        assert read == run_ids, filters


BUILDER = """
import sys
from pathlib import Path
from wardian.runs import search
search.BATCH = 1
search.SearchIndex(Path(sys.argv[1]), lambda done, of: print(done, flush=True)).facts()
"""


def test_an_index_whose_maker_was_killed_is_gone_on_with(root: Path, house: House) -> None:
    for stop_after in range(1, 4):
        SearchIndex(root).forget()
        command = [sys.executable, "-c", BUILDER, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for done in process.stdout:
                if int(done) == stop_after:
                    process.kill()
                    break
        check(root, house)
