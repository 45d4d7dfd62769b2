"""Nothing that is registered as a secret leaves in a dataset, wherever it stands and however it is
written; what may not be exported stays."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.export.conftest import rows
from tests.runs.conftest import House
from tests.runs.test_preferences import BETTER, WRITE, forked

from wardian import SubAgent, Task
from wardian.errors import ConfigurationError
from wardian.events import Labelled, Rated
from wardian.export import FORMATS, Filters, Split, card, export
from wardian.export.consent import REFUSED
from wardian.models.replies import Answer
from wardian.reruns.forking import annotate
from wardian.types import Image, ImageData

SECRET = "hunter2-Kf9vQ2xLp7Zr4+/x"
SECRETS = {"PASSWORD": SECRET}
LONG = "x " * 40_000
Begin = Callable[[House], object]


def picture(house: House) -> object:
    """A PNG with a text chunk in which the secret stands at an odd offset."""
    raw = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x20tEXtComment\0" + SECRET.encode() + b"\0\0"
    image = Image(mime="image/png", data=ImageData(base64.b64encode(raw).decode()))
    return house.agent(["A picture."]).run_sync(Task(prompt="What is it?", images=(image,)))


def said(text: str) -> Begin:
    def run(house: House) -> object:
        script: list[Answer] = [text]
        return house.run(script)

    return run


PLACES: dict[str, Begin] = {
    "reply": said(f"It is {SECRET}."),
    "blob": said(f"{LONG} {SECRET} {LONG}"),
    "base64": said(base64.b64encode(f"user:{SECRET}".encode()).decode()),
    "hex": said(SECRET.encode().hex()),
    "url": said(f"https://example.org/?q={quote(SECRET, safe='')}"),
    "json-in-json": said(json.dumps(json.dumps({"key": SECRET}))),
    "arguments": lambda house: house.run([[("read_file", {"path": SECRET})], "None."]),
    "key": lambda house: house.run([[("read_file", {SECRET: 1})], "None."]),
    "result": lambda house: house.run([[("read_file", {"path": "s.txt"})], "Read."]),
    "instructions": lambda house: house.run(["Yes."], instructions=f"The key is {SECRET}."),
    "context": lambda house: house.agent(["Yes."]).run_sync(Task(prompt="?", context=SECRET)),
    "picture": picture,
}


@pytest.mark.parametrize("format_name", ["atif", "parquet"])
@pytest.mark.parametrize("place", list(PLACES))
def test_a_secret_anywhere_in_any_form_keeps_the_file_from_being_written(
    house: House, place: str, format_name: str
) -> None:
    (house.workspace / "s.txt").write_text(f"key={SECRET}\n")
    PLACES[place](house)
    with pytest.raises(ConfigurationError) as refused:
        rows(house, format_name, secrets=SECRETS)
    assert SECRET not in str(refused.value)
    left = sorted(path.name for path in house.workspace.parent.iterdir())
    assert left == ["runs", "workspace"]


@pytest.mark.parametrize("format_name", sorted(set(FORMATS) - {"otel-metadata"}))
def test_every_format_is_searched(house: House, format_name: str) -> None:
    run = house.run([[("write_file", {"path": "a.txt", "content": SECRET})], f"It is {SECRET}."])
    annotate(house.store, run.run_id, Rated(step=1, good=False))
    annotate(house.store, run.run_id, Rated(step=0, good=True))
    other = forked(house, BETTER, run.run_id)
    annotate(house.store, other, Rated(step=1, good=True))
    with pytest.raises(ConfigurationError):
        rows(house, format_name, secrets=SECRETS)


def test_the_card_holds_no_secret_either(house: House) -> None:
    house.run(["Yes."])
    made, done = rows(house, "openai")
    assert made
    content = card(
        done,
        format_name="openai",
        filters=Filters(text=SECRET),
        split=Split(),
        secrets=SECRETS,
        consent=f"by me, {SECRET}",
    )
    assert SECRET not in json.dumps(content)
    assert content["consent"]["statement"] == "(a registered secret)"


def test_a_run_that_began_without_consent_is_never_exported(house: House) -> None:
    house.run(["Mine."], consent=False)
    yes = house.run(["Yours."]).run_id
    for format_name in FORMATS:
        output = house.workspace.parent / "rows"
        done = export(house.store, house.store.ids(), format_name=format_name, output=output)
        assert done.refused == 1
        assert set(done.run_ids) <= {yes}
        if output.exists():
            assert b"Mine." not in output.read_bytes()


def test_a_label_takes_consent_away_and_gives_it_back(house: House) -> None:
    run = house.run(["Mine."]).run_id
    annotate(house.store, run, Labelled(name="consent", value="no"))
    assert rows(house, "openai")[1].left_out == {REFUSED: 1}
    annotate(house.store, run, Labelled(name="consent", value="yes"))
    assert rows(house, "openai")[1].rows == 1


def test_a_fork_and_a_sub_agent_s_run_refuse_what_the_run_refuses(house: House) -> None:
    reader = SubAgent(name="reader", description="Reads.", tools=())
    whole = house.run([[("reader", {"task": "Read."})], "Done."], subagents=[reader]).run_id
    run = house.run(WRITE).run_id
    forked(house, [*WRITE[:1], "Otherwise."], run, step=2)
    assert rows(house, "atif")[1].rows == 4
    for one in (whole, run):
        annotate(house.store, one, Labelled(name="consent", value="no"))
    assert rows(house, "atif")[1].left_out == {REFUSED: 4}


def test_a_pair_needs_the_consent_of_both_its_runs(house: House) -> None:
    run = house.run(WRITE).run_id
    annotate(house.store, run, Rated(step=1, good=False))
    other = forked(house, BETTER, run)
    annotate(house.store, other, Rated(step=1, good=True))
    assert rows(house, "trl-preference", run)[1].rows == 1
    annotate(house.store, other, Labelled(name="consent", value="no"))
    assert rows(house, "trl-preference", run)[1].rows == 0


def test_pictures_lie_beside_an_atif_file_where_its_validator_looks(house: House) -> None:
    content = b"\x89PNG\r\n\x1a\n and so on"
    image = Image(mime="image/png", data=ImageData(base64.b64encode(content).decode()))
    for _ in range(2):
        house.agent(["A picture."]).run_sync(Task(prompt="What is it?", images=(image,)))
    made, _ = rows(house, "atif")
    paths = {row["steps"][1]["message"][1]["source"]["path"] for row in made}
    [path] = paths
    placed = Path(house.workspace.parent / path)
    assert placed.read_bytes() == content
    assert placed.stat().st_mode & 0o077 == 0
    assert len(list(placed.parent.iterdir())) == 1
