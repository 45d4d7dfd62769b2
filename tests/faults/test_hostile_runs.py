"""A run that somebody else wrote is read, compared, checked, searched and swept without harm."""

import asyncio
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.command import run

from wardian import Agent, RunStore, ScriptedModel
from wardian.export.formats import FORMATS
from wardian.export.writing import export
from wardian.reruns.aligning import align
from wardian.reruns.verifying import Verifier
from wardian.runs.encode import KINDS, dumps, line
from wardian.runs.facts import facts_of
from wardian.runs.filters import Filters
from wardian.runs.lines import Line
from wardian.runs.search import SearchIndex
from wardian.runs.sweeping import apply, plan
from wardian.runs.texts import texts_of
from wardian.runs.words import Words
from wardian.viewing.page import page


def is_json(value: object) -> bool:
    """Not infinite and no NaN, which our own lines do not hold."""
    try:
        return bool(dumps(value))
    except ValueError:
        return False


names = st.sampled_from(
    ["task", "prompt", "reply", "message", "calls", "name", "added", "labels", "value", "step"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(KINDS)), values)
def test_no_record_is_too_strange_to_be_looked_for(kind: str, data: Any) -> None:
    one = Line(kind, "", data)
    assert json.dumps(facts_of("01A", [one]))
    assert all(text.text for text in texts_of(one))


keys = st.sampled_from(
    [
        *("run_id", "step", "group", "index", "name", "is_local", "id", "parameters", "imported"),
        *("description", "place", "budgets", "sampling", "call_id", "sandbox", "consent"),
    ]
)
tables = st.dictionaries(keys, values.filter(is_json), max_size=5)
forks = st.fixed_dictionaries({"run_id": st.just("01A"), "step": st.integers(0, 2)})
first_events = st.fixed_dictionaries(
    dict.fromkeys(("model", "policy", "sandbox", "parent", "group", "settings"), tables)
    | {"fork": tables | forks, "tools": st.lists(tables, max_size=2)}
)


@settings(max_examples=20, deadline=None)
@given(first_events, tables)
def test_what_a_first_event_may_say_breaks_no_export_and_no_page(
    said: dict[str, Any], more: dict[str, Any]
) -> None:
    with TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        Agent(ScriptedModel(["answer"]), store=store).run_sync("go")
        strange = store.root / "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
        strange.mkdir()
        begun = {"run_id": "x", "task": {"prompt": "go"}, "system_prompt": "", "workspace": "/"}
        call = {"id": "c", "name": "t", "arguments_text": "{}", "arguments": more}
        message = {"role": "assistant", "content": "", "calls": [call]}
        reply = {"message": message, "finish": "calls"}
        result = {"call_id": "c", "name": "t", "status": "ok", "content": "", "data": more}
        events: list[tuple[str, object]] = [
            ("header", {"schema": "wardian.run/1"}),
            ("run_started", begun | said | {"wardian_version": "0"}),
            ("model_asked", {"step": 1, "sampling": more}),
            ("model_replied", {"step": 1, "reply": reply, "seconds": 0.0}),
            ("call_finished", {"step": 1, "result": result}),
            ("rated", {"step": 1, "good": False}),
        ]
        lines = [line(n, "x", 0.0, kind, dumps(data)) for n, (kind, data) in enumerate(events)]
        (strange / "trajectory.jsonl").write_bytes(b"".join(lines))
        for name in FORMATS:
            assert export(store, store.ids(), format_name=name, output=store.root / "out").read == 2
        assert page(store.load(strange.name))


ESCAPE = "\x1b]0;owned\x07\x1b[2J needle \u202e</script>"
DEEP = '{"a":' * 800 + "1" + "}" * 800
HOSTILE: list[tuple[str, object]] = [
    (
        "run_started",
        {
            "run_id": "../../..",
            "task": {"prompt": ESCAPE},
            "system_prompt": ESCAPE,
            "model": {
                "name": ESCAPE,
                "path": "/dev/zero",
                "route": [1, {"path": "/dev/full", "adapters": [2, {"scale": "x"}]}],
                "adapters": "x",
            },
            "tools": [{"name": ESCAPE, "description": 7, "parameters": []}],
            "policy": {"name": 3},
            "sandbox": {},
            "workspace": "/",
            "wardian_version": "0",
            "tags": [ESCAPE],
            "fork": {"run_id": "/etc", "step": "x"},
        },
    ),
    (
        "model_replied",
        {
            "step": 1,
            "reply": {
                "message": {"role": "assistant", "content": ESCAPE},
                "finish": "stop",
                "tokens": {
                    "prompt_suffix_ids": [-1, 10**12],
                    "kept_ids": -5,
                    "sampled_ids": [-7],
                    "logprobs": [],
                    "constrained": [],
                    "model_sha256": "x",
                },
            },
            "seconds": -1.0,
        },
    ),
    ("noted", {"step": 1, "text": {"$blob": "../../../../etc/passwd", "bytes": 1}}),
    ("workspace_saved", {"step": 1, "when": "before", "state": 10**15}),
    ("call_started", {"step": 1, "call_id": ESCAPE, "name": ESCAPE, "repeatable": False}),
    ("labelled", {"name": ESCAPE, "value": ESCAPE}),
    ("tagged", {"added": [ESCAPE], "removed": []}),
]


def precious(home: Path) -> Path:
    """Somebody else's folder."""
    place = home / "precious"
    if not place.exists():
        place.mkdir(parents=True)
        (place / "file").write_text("kept")
    return place


def hostile(home: Path) -> RunStore:
    """A home with one ordinary run and a hostile one."""
    store = RunStore(home / "runs")
    Agent(ScriptedModel(["plain needle"]), store=store).run_sync("go")
    folder = store.root / "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    (folder / "blobs").mkdir(parents=True)
    os.mkfifo(folder / "blobs" / ("0" * 64))
    (folder / "files").symlink_to(precious(home))
    lines = [line(0, "x", 0.0, "header", dumps({"schema": "wardian.run/1"}))]
    lines += [line(n, "x", 0.0, kind, dumps(data)) for n, (kind, data) in enumerate(HOSTILE, 1)]
    call = f'{{"id":"c","name":"n","arguments_text":"","arguments":{DEEP}}}'
    message = f'{{"role":"assistant","content":"","calls":[{call}]}}'
    deep = f'{{"step":2,"seconds":0.0,"reply":{{"message":{message},"finish":"calls"}}}}'
    lines.append(line(9, "x", 0.0, "model_replied", deep.encode()))
    (folder / "trajectory.jsonl").write_bytes(b"".join(lines) + b"\x80\x04cos\nsystem\n")
    return store


def test_all_that_reads_many_runs_survives_a_hostile_one(tmp_path: Path) -> None:
    store = hostile(tmp_path)
    bad, good = store.ids()
    words = Words.of("needle")
    assert words
    found = SearchIndex(store.root).hits(words, lambda _: True, lambda hit: hit.run_id, 20)
    assert set(found) == {good, bad}
    assert [one.run_id for one in SearchIndex(store.root).facts()] == [bad, good]
    assert not align(store.load(good), store.load(bad)).is_same
    assert align(store.load(bad), store.load(bad)).pairs

    async def verify() -> list[bool | None]:
        verifier = Verifier(store)
        try:
            return [(await verifier.verify(run_id)).is_sound for run_id in (good, bad)]
        finally:
            await verifier.close()

    assert asyncio.run(verify()) == [True, False]


def test_a_sweep_deletes_nothing_outside_the_run(tmp_path: Path) -> None:
    store = hostile(tmp_path)
    bad, good = store.ids()
    (store.root / good / "files").symlink_to(precious(tmp_path))
    (store.root / "01LINK").symlink_to(precious(tmp_path))
    assert plan(store.root, filters=Filters()).leftovers == []
    sweep = plan(store.root, filters=Filters(tags=(ESCAPE,)), marked=True)
    assert {one.path.name for one in sweep.runs} == {bad}
    said: list[str] = []
    apply(store.root, sweep, said.append)
    assert said == []
    assert store.ids() == [good]
    assert (precious(tmp_path) / "file").read_text() == "kept"
    store.remove(good)
    assert [path.name for path in precious(tmp_path).iterdir()] == ["file"]


def test_nothing_of_it_reaches_the_terminal_raw(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bad, good = hostile(home).ids()
    for command in (
        ["search", "needle"],
        ["diff", bad, good],
        ["verify", "--all"],
        ["gc", "--keep", "0", "--marked"],
        ["show", bad],
    ):
        done = run(home, "runs", *command)
        assert done.returncode in (0, 1), (command, done.stderr)
        written = done.stdout + done.stderr
        assert not {"\x1b", "\x07", "\u202e"} & set(written), command
        assert "Traceback" not in written
