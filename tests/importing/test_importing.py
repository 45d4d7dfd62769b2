"""What others recorded becomes runs like any other, and what is hostile becomes text or nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.conftest import FIXTURES, rows
from tests.export.test_formats import READ
from tests.runs.conftest import House

from wardian import RunStore, Trajectory
from wardian.events import ModelReplied, Rated
from wardian.export import FORMATS, Filters, export
from wardian.importing import Imported, import_file
from wardian.models.replies import Answer
from wardian.reruns.forking import annotate
from wardian.types import Stop
from wardian_tools.types import ResultStatus

CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is in a?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "a word"},
    {"role": "assistant", "content": "A word."},
]
READERS = sorted(set(FORMATS) - {"parquet"})


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.txt").write_text("one\ntwo\n")
    return House(RunStore(tmp_path / "runs"), tmp_path / "workspace")


def take(house: House, content: object, format_name: str = "openai") -> Imported:
    """Import a file of that text, or of that value as JSON."""
    path = house.workspace.parent / "given.jsonl"
    is_raw = isinstance(content, str | bytes)
    text = content if is_raw else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else str(text).encode())
    return import_file(house.store, path, format_name=format_name)


def taken(house: House, content: object, format_name: str = "openai") -> Trajectory:
    [run_id] = take(house, content, format_name).run_ids
    return house.load(run_id)


def test_messages_become_a_run_that_is_marked_listed_and_found(house: House) -> None:
    run = taken(house, {"messages": TALK, "model": "gpt-5", "id": "x1"})
    assert run.started is not None
    mark = run.started.settings["imported"]
    assert (mark["format"], mark["file"], mark["row"]) == ("openai", "given.jsonl", 1)
    assert mark["id"] == "x1"
    assert run.started.task.prompt == "What is in a?"
    assert run.started.system_prompt == "Be brief."
    assert run.finished is not None
    assert (run.finished.stop, run.finished.answer) == (Stop.DONE, "A word.")
    assert [one.run_id for one in house.store.list()] == [run.run_id]
    assert rows(house, "openai", filters=Filters(tags=("imported",), text="word"))[1].rows == 1


def test_imported_messages_come_out_as_they_went_in(house: House) -> None:
    tools = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
    taken(house, {"messages": TALK, "tools": tools})
    [row], _ = rows(house, "openai-ft")
    calls = row["messages"][2]["tool_calls"]
    assert calls[0]["function"] == CALL["function"]
    assert row["messages"][3]["tool_call_id"] == calls[0]["id"]
    plain = [(one["role"], one["content"]) for one in row["messages"]]
    assert plain == [(one["role"], one["content"]) for one in TALK]
    assert row["tools"][0]["function"]["name"] == "read"


@pytest.mark.parametrize(
    "content",
    [
        {"messages": TALK},
        TALK,
        [{"messages": TALK}],
        json.dumps({"messages": TALK}, indent=2),
        {"request": {"messages": TALK[:4]}, "response": {"choices": [{"message": TALK[4]}]}},
        {"messages": TALK[:4], "choices": [{"message": TALK[4]}], "created": 1_700_000_000},
    ],
    ids=["row", "bare", "list", "indented", "logged", "completed"],
)
def test_each_way_of_writing_messages_down_is_read(house: House, content: object) -> None:
    run = taken(house, content)
    assert [one.content for one in run.messages][-1] == "A word."
    assert run.finished is not None


def test_the_time_a_reply_was_made_is_kept(house: House) -> None:
    run = taken(
        house,
        {"messages": TALK[:4], "choices": [{"message": TALK[4]}], "created": 1_700_000_000},
    )
    [asked] = [r.wall for r in run.records if isinstance(r.event, ModelReplied)][1:]
    assert asked.startswith("2023-11-14T22:13:20")


def test_the_older_function_calls_are_read(house: House) -> None:
    run = taken(
        house,
        [
            {"role": "user", "content": "Add."},
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "add", "arguments": "{}"},
            },
            {"role": "function", "name": "add", "content": "3"},
            {"role": "assistant", "content": "3"},
        ],
    )
    assert [one.role.value for one in run.messages] == ["user", "assistant", "tool", "assistant"]
    assert run.messages[2].name == "add"


def test_every_row_of_the_formats_sample_becomes_a_run(house: House) -> None:
    for name, format_name in (
        ("atif_v1_8", "atif"),
        ("openai_chat", "openai"),
        ("trl_sft", "openai"),
    ):
        text = (FIXTURES / f"{name}.jsonl").read_text()
        done = take(house, text, format_name)
        assert len(done.run_ids) == len(text.splitlines())
        assert not done.left_out
        for run_id in done.run_ids:
            assert not house.load(run_id).damage


def test_a_document_s_reward_can_be_filtered_by(house: House) -> None:
    take(house, (FIXTURES / "atif_v1_8.jsonl").read_text(), "atif")
    assert rows(house, "openai", filters=Filters(min_reward=1.0))[1].rows > 0
    assert rows(house, "openai", filters=Filters(max_reward=0.5))[1].rows == 0


def test_our_own_document_comes_back_whole(house: House, tmp_path: Path) -> None:
    script: list[Answer] = [*READ[:1], [("read_file", {"wrong": 1})], "Two lines."]
    run = house.run(script, tags=("mine",)).run_id
    annotate(house.store, run, Rated(step=2, good=False, note="why"))
    [document], _ = rows(house, "atif")
    other = House(RunStore(tmp_path / "others"), house.workspace)
    back = taken(other, document, "atif")
    [again], _ = rows(other, "atif")
    for one in (document, again):
        for step in one["steps"]:
            step.get("extra", {}).get("wardian", {}).pop("seconds", None)
    assert again["steps"] == document["steps"]
    assert again["agent"]["tool_definitions"] == document["agent"]["tool_definitions"]
    for key in ("stop", "answer", "ratings"):
        assert again["extra"]["wardian"][key] == document["extra"]["wardian"][key]
    assert set(again["extra"]["wardian"]["tags"]) == {"imported", "mine"}
    results = [event.result for event in back.events if event.kind == "call_finished"]  # type: ignore[union-attr]
    assert [one.status for one in results] == [ResultStatus.OK, ResultStatus.MALFORMED]


def test_a_result_that_answers_no_call_is_a_note(house: House) -> None:
    stray = {"role": "tool", "tool_call_id": "other", "content": "stray"}
    run = taken(house, [*TALK[:4], stray, TALK[4]])
    assert [one.role.value for one in run.messages][-2:] == ["user", "assistant"]
    [row], _ = rows(house, "openai-ft")
    assert [one["role"] for one in row["messages"]].count("tool") == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is no JSON"),
        (b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.", "it is no JSON"),
        ("[" * 1_000_000 + "]" * 1_000_000, "it is nested too deeply"),
        ('{"messages": ' + "[" * 200 + "]" * 200 + "}", "it is nested too deeply"),
        ('{"messages": [{"role": "user", "content": NaN}]}', "it is no JSON"),
        ("7", "it has no messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "nobody replies in it"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "a message has no role that is known"),
        ({"messages": "x"}, "it has no messages"),
    ],
    ids=["cut", "pickle", "deep", "depth", "nan", "number", "no-reply", "role", "text"],
)
def test_what_is_no_run_is_left_out_with_the_reason(
    house: House, content: object, reason: str
) -> None:
    done = take(house, content)
    assert (done.run_ids, dict(done.left_out)) == ([], {reason: 1})
    assert house.store.ids() == []


def test_a_broken_row_costs_that_row_only(house: House) -> None:
    good = json.dumps({"messages": TALK})
    done = take(house, f"{good}\n{{broken}}\n\n{good}\n")
    assert (len(done.run_ids), done.rows) == (2, 3)


def test_nothing_that_a_row_names_is_opened(house: House, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"hunter2")
    named = [
        str(tmp_path / "secret.png"),
        "../secret.png",
        "http://127.0.0.1:9/x.png",
        "file:///etc/passwd",
    ]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in named]
    run = taken(house, [{"role": "user", "content": parts}, {"role": "assistant", "content": "?"}])
    assert run.messages[0].images == ()
    assert run.messages[0].content.count("not imported") == len(named)
    steps = [
        {
            "step_id": 1,
            "source": "user",
            "message": [{"type": "image", "source": {"media_type": "image/png", "path": url}}],
        }
        for url in named[:1]
    ]
    steps.append({"step_id": 2, "source": "agent", "message": "?"})
    document = {
        "schema_version": "ATIF-v1.8",
        "trajectory_id": "../../../escape",
        "agent": {"name": "../x", "version": "1"},
        "steps": steps,
    }
    run = taken(house, document, "atif")
    assert run.messages[0].images == ()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("secret.png", "runs", "workspace", "given.jsonl"),
    }
    assert run.path.parent.parent == house.store.root


def test_hostile_texts_are_kept_as_they_are_and_come_out_as_text(house: House) -> None:
    text = "</script>\x1b]0;x\x07 \ud800 \u202e"
    run = taken(house, json.dumps([{"role": "user", "content": text}, TALK[4]]))
    assert run.messages[0].content == text
    assert not run.damage


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "assistant", "tool", "text", "data:image/png;base64,AA==", "c1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "tool_calls", "id", "function", "name", "arguments"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"])},
    optional={
        "content": JSON,
        "tool_calls": st.lists(st.just(CALL) | JSON, max_size=3) | JSON,
        "tool_call_id": st.just("c1") | JSON,
        "function_call": JSON,
        "reasoning_content": JSON,
    },
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(MESSAGE, max_size=6), more=st.dictionaries(st.text(max_size=5), JSON))
def test_whatever_a_row_holds_the_run_it_becomes_can_be_read_and_exported(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Any], more: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    house = House(RunStore(folder / "runs"), folder)
    done = take(house, json.dumps({**more, "messages": messages}))
    assert len(done.run_ids) + sum(done.left_out.values()) == done.rows == 1
    for run_id in done.run_ids:
        run = house.load(run_id)
        assert not run.damage
        assert run.started is not None
        for format_name in READERS:
            out = folder / format_name
            export(house.store, [run_id], format_name=format_name, output=out)
