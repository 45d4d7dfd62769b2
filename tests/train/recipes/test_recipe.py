"""A recipe says what is wrong with it, and its commented form is a recipe."""

import re
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError
from wardian.train.recipe import Method, keys, load_recipe, recipe_of
from wardian.train.recipe_text import commented

METHODS = pytest.mark.parametrize("method", list(Method), ids=str)


@METHODS
def test_the_commented_recipe_loads_as_it_is(method: Method, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(commented(method))
    assert load_recipe(method, path, {}).base == "tiny"


@METHODS
def test_every_key_is_in_the_commented_recipe_with_its_default(
    method: Method, tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    text = re.sub(r'(?m)^# (\w+ = (?!""))', r"\1", commented(method))
    path.write_text(text)
    bare = tmp_path / "bare.toml"
    bare.write_text(commented(method))
    assert load_recipe(method, path, {}).as_json() == load_recipe(method, bare, {}).as_json()
    assert all(f"{one.name.rpartition('.')[2]} = " in text for one in keys(method))


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('base = "tiny"\n[training]\nlerning_rate = 1\n')
    with pytest.raises(ConfigurationError, match=r"r\.toml:3.*training\.learning_rate"):
        load_recipe(Method.SFT, path, {})


def test_a_key_of_another_method_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[grpo]\nsteps = 3\n")
    with pytest.raises(ConfigurationError, match="not a known key"):
        load_recipe(Method.SFT, path, {})


def test_a_flag_stands_in_place_of_the_file() -> None:
    given = {"base": "tiny", "data": "x", "out": "y", "training.seed": "7"}
    recipe = load_recipe(Method.SFT, None, {**given, "tuning.modules": "q_proj, v_proj"})
    assert recipe.training.seed == 7
    assert recipe.tuning.modules == ("q_proj", "v_proj")


@pytest.mark.parametrize("value", ["many", "-1", "0.5"])
def test_a_flag_of_the_wrong_kind_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.batch_size must be a whole number"):
        load_recipe(Method.SFT, None, {"training.batch_size": value})


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('base = "gguf:m.gguf"\ndata = "d.jsonl"\nout = "o"\n[dev]\ndata = "e.jsonl"\n')
    recipe = load_recipe(Method.SFT, path, {})
    assert recipe.base == f"gguf:{tmp_path}/m.gguf"
    assert [recipe.data, recipe.out, recipe.dev.data] == [
        str(tmp_path / name) for name in ("d.jsonl", "o", "e.jsonl")
    ]


@pytest.mark.parametrize("missing", ["base", "data", "out"])
def test_what_a_recipe_cannot_do_without_is_named(missing: str) -> None:
    given = {"base": "tiny", "data": "x", "out": "y"}
    del given[missing]
    with pytest.raises(ConfigurationError, match=f"names no {missing}"):
        recipe_of(Method.SFT, given)


def test_grpo_wants_tasks_and_no_rows() -> None:
    with pytest.raises(ConfigurationError, match="no tasks"):
        recipe_of(Method.GRPO, {"base": "tiny", "out": "y"})
    assert recipe_of(Method.GRPO, {"base": "tiny", "out": "y", "grpo.suite": "s"})


def test_an_empty_rate_takes_the_methods_own() -> None:
    given = {"base": "tiny", "data": "x", "out": "y"}
    assert recipe_of(Method.SFT, given).learning_rate == 2e-5
    assert recipe_of(Method.SFT, {**given, "tuning.method": "lora"}).learning_rate == 2e-4
    assert recipe_of(Method.SFT, {**given, "training.learning_rate": 0.5}).learning_rate == 0.5
