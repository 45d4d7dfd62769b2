"""Models of one's own: whole or not there, and a name that stands for the same weights for good."""

import json
import os
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError, ModelUnavailable, StorageError
from wardian.models.catalogue import known_models, local_file, resolve_model
from wardian.models.llama import LlamaModel
from wardian.models.registry import Registered, Registry

SHA = "0" * 64


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"WARDIAN_HOME": str(tmp_path / "home")}


@pytest.fixture
def own(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home" / "models")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def test_what_was_registered_is_read_back(own: Registry, file: Path) -> None:
    model = Registered(name="a", sha256=SHA, parent="tiny", lineage={"added": {"path": "x"}})
    path = own.add(model, file)
    assert own.get("a") == model
    assert path.read_bytes() == file.read_bytes()
    assert own.names() == ["a"]
    file.write_bytes(b"changed")
    assert path.read_bytes() == b"GGUF and more", "it is a copy"


def test_a_name_is_never_written_over(own: Registry, file: Path) -> None:
    own.add(Registered(name="a", sha256=SHA), file)
    with pytest.raises(ConfigurationError, match="already"):
        own.add(Registered(name="a", sha256="1" * 64), file)
    assert own.get("a").sha256 == SHA
    assert own.free_name("a") == "a-2"
    assert own.free_name("b/c d") == "b-c-d"


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", ".a", "-a", "a" * 65, "a\nb", "ü"])
def test_a_name_that_could_leave_the_folder_is_refused(
    name: str, own: Registry, file: Path
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be called"):
        own.add(Registered(name=name, sha256=SHA), file)
    with pytest.raises(ModelUnavailable):
        own.get(name)


def test_a_file_that_cannot_be_copied_leaves_nothing(own: Registry, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be registered"):
        own.add(Registered(name="a", sha256=SHA), tmp_path / "not there")
    assert list(own.root.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_and_a_living_ones_is_not(
    own: Registry, file: Path
) -> None:
    own.root.mkdir(parents=True)
    (own.root / ".work-999999999-x").mkdir()
    living = own.root / f".work-{os.getppid()}-y"
    living.mkdir()
    own.add(Registered(name="a", sha256=SHA), file)
    assert sorted(path.name for path in own.root.iterdir()) == [living.name, "a"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "x", "sha256": 1}'])
def test_a_damaged_lineage_is_said_with_the_way_out(own: Registry, file: Path, text: str) -> None:
    own.add(Registered(name="a", sha256=SHA), file)
    (own.root / "a" / "lineage.json").write_text(text)
    with pytest.raises(ModelUnavailable, match="cannot be read") as caught:
        own.get("a")
    assert "agent models rm local:a" in caught.value.remedy


def test_the_lineage_of_a_later_version_is_read_without_what_is_new(
    own: Registry, file: Path
) -> None:
    own.add(Registered(name="a", sha256=SHA), file)
    path = own.root / "a" / "lineage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new": 1}))
    assert own.get("a").sha256 == SHA


def test_notes_are_added_to_the_lineage(own: Registry, file: Path) -> None:
    own.add(Registered(name="a", sha256=SHA, lineage={"training": {}}), file)
    own.note("a", "promotions", {"verdict": "no"})
    own.note("a", "promotions", {"verdict": "yes"})
    lineage = own.get("a").lineage
    assert [one["verdict"] for one in lineage["promotions"]] == ["no", "yes"]
    assert lineage["training"] == {}


def test_removing_frees_the_name(own: Registry, file: Path) -> None:
    own.add(Registered(name="a", sha256=SHA), file)
    assert own.remove("a") > len(file.read_bytes())
    assert own.names() == []
    own.add(Registered(name="a", sha256=SHA), file)


def test_its_spelling_makes_the_model_with_the_family_s_bound(
    own: Registry, file: Path, home: dict[str, str]
) -> None:
    path = own.add(Registered(name="a", sha256=SHA, reply_tokens=7), file)
    assert local_file("local:a", home) == path
    model = resolve_model("local:a", environ=home)
    assert isinstance(model, LlamaModel)
    assert model.name == "local:a"
    with pytest.raises(ModelUnavailable, match="'b'"):
        resolve_model("local:b", environ=home)
    with pytest.raises(ConfigurationError, match="base URL"):
        resolve_model("local:a", environ=home, base_url="http://127.0.0.1:1/v1")


def test_an_adapter_goes_on_top_of_its_parents_and_of_adapters_below_it(
    own: Registry, file: Path, home: dict[str, str]
) -> None:
    base = own.add(Registered(name="base", sha256=SHA), file)
    one = Registered(name="one", sha256=SHA, parent="local:base", is_adapter=True)
    two = Registered(name="two", sha256=SHA, parent="local:one", is_adapter=True)
    first, second = own.add(one, file), own.add(two, file)
    assert local_file("local:two", home) == base
    model = resolve_model("local:two", environ=home, adapter="/x.gguf@0.5")
    assert isinstance(model, LlamaModel)
    adapters = model._options.adapters
    assert adapters == [(str(first), 1.0), (str(second), 1.0), ("/x.gguf", 0.5)]


def test_they_are_listed_once_and_by_their_own_spelling(
    own: Registry, file: Path, home: dict[str, str]
) -> None:
    own.add(Registered(name="a", sha256=SHA, parent="tiny"), file)
    known = known_models(home, [own.root.parent])
    assert [(m.spelling, m.source) for m in known if m.source != "built-in"] == [("local:a", "own")]
