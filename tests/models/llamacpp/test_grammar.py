"""Under the constraint a model that knows nothing still never writes an invalid call."""

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from wardian.models.calling import ReplyParser
from wardian.models.families import FAMILIES, HERMES, Family, family_named
from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.constraint import Constraint
from wardian.models.llamacpp.engine import Engine
from wardian.models.llamacpp.grammar import GrammarMaker
from wardian.models.llamacpp.load import LoadOptions, load
from wardian.models.llamacpp.sampling import Sampler

_SPEC = importlib.util.spec_from_file_location(
    "schema_corpus", Path(__file__).parents[2] / "support" / "schema_corpus.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
corpus = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(corpus)

MAX_TOKENS = 160
ADAPTERS: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = corpus.adapters()
HAND_WRITTEN: dict[str, dict[str, Any]] = corpus.HAND_WRITTEN
REFUSED: dict[str, dict[str, Any]] = corpus.REFUSED
ENDLESS = ("string", "path", "anything", "object", "tree", "mutual", "map_of_maps", "datetime")
"""Under random weights these may go on beyond `MAX_TOKENS`."""
TOLD = {"set"}
"""Of the first corpus, what llguidance does not know a keyword of (`uniqueItems`)."""

PYTHON = {
    "name": "python",
    "parameters": {
        "type": "object",
        "properties": {"code": {"type": "string"}},
        "required": ["code"],
    },
}


@pytest.fixture(scope="module")
def engine(small_gguf: Path) -> Engine:
    return Engine(load(llama(), LoadOptions(path=str(small_gguf))))


@pytest.fixture(scope="module")
def maker(engine: Engine) -> GrammarMaker:
    return GrammarMaker(engine.vocabulary)


@pytest.fixture(scope="module")
def textual_engine(
    tmp_path_factory: pytest.TempPathFactory, make_gguf: Callable[..., Path]
) -> Engine:
    """Its vocabulary has no token for the markers: they are letters."""
    path = make_gguf(tmp_path_factory.mktemp("gguf") / "t.gguf", user_defined=[], template=None)
    return Engine(load(llama(), LoadOptions(path=str(path))))


def written(
    engine: Engine,
    maker: GrammarMaker,
    tools: Sequence[dict[str, Any]],
    *,
    samples: int = 4,
    family: Family = HERMES,
    must_call: bool = False,
    tokens: int = MAX_TOKENS,
) -> list[str]:
    """Calls that the model writes from the marker to the constraint's end; without those cut off.

    With `must_call` whole replies, up to what ends them.
    """
    vocabulary = engine.vocabulary
    opens = vocabulary.encode(["x" if must_call else family.trigger], first=True)
    found: list[str] = []
    open_: dict[int, tuple[Any, Constraint, Sampler, bytes]] = {}
    for seed in range(samples):
        constraint = Constraint(
            lambda: maker, vocabulary, tools=tools, family=family, must_call=must_call
        )
        assert must_call or all(constraint.take(i) for i in opens)
        assert constraint.in_force
        work = engine.work("", opens, lambda: False)
        open_[id(work)] = work, constraint, Sampler(temperature=1.0, seed=seed), b""
    for _ in range(tokens):
        for work in engine.step([work for work, *_ in open_.values()]):
            _, constraint, sampler, text = open_[id(work)]
            logits = engine.logits(work)
            assert constraint.mask(logits)
            logits[vocabulary.named("<think>") or 0] = -np.inf
            token = sampler.choose(logits).token
            if must_call and token in vocabulary.ends:
                found.append(text.decode())
            else:
                assert constraint.take(token)
                text += vocabulary.piece(token)
                if constraint.in_force:
                    open_[id(work)] = work, constraint, sampler, text
                    work.ids.append(token)
                    continue
                found.append(text.decode())
            engine.finish(work)
            del open_[id(work)]
        if not open_:
            break
    for work, *_ in open_.values():
        engine.finish(work)
    return found


def parsed(text: str) -> Any:
    head, tail = text.removeprefix("\n").rsplit("</tool_call>", 1)
    assert tail == ""
    return json.loads(head.removesuffix("\n"))


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_random_model_only_writes_valid_calls(
    engine: Engine, maker: GrammarMaker, name: str
) -> None:
    adapter, schema = ADAPTERS[name]
    calls = written(engine, maker, [{"name": name, "parameters": schema}])
    for call in map(parsed, calls):
        assert call["name"] == name
        adapter.validate_json(json.dumps(call["arguments"]), strict=False)
    assert calls or name in ENDLESS
    assert (name in maker.refused) == (name in TOLD)


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_a_schema_written_by_hand_is_kept_too(
    engine: Engine, maker: GrammarMaker, name: str
) -> None:
    calls = written(engine, maker, [{"name": name, "parameters": HAND_WRITTEN[name]}])
    for call in map(parsed, calls):
        assert Draft202012Validator(HAND_WRITTEN[name]).is_valid(call["arguments"])
    assert calls
    assert name not in maker.refused


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_in_every_familys_way_the_calls_are_valid(
    engine: Engine, maker: GrammarMaker, name: str
) -> None:
    # Gemma's own notation is held to the schema at the first level only.
    inner = () if "gemma" in name else ("model",)
    chosen = ("percent", "enum", *inner)
    tools = [{"name": t, "parameters": ADAPTERS[t][1]} for t in chosen]
    family = family_named(name)
    seen = 0
    replies = written(engine, maker, tools, family=family, must_call=True, samples=6, tokens=300)
    for reply in replies:
        parser = ReplyParser({t["name"]: t["parameters"] for t in tools}, family=family)
        parser.feed(reply)
        parser.finish()
        assert parser.calls
        assert not parser.text
        for call in parser.calls:
            ADAPTERS[call.name][0].validate_json(call.arguments_text)
            seen += 1
    assert seen


def test_a_model_without_marker_tokens_is_constrained_all_the_same(textual_engine: Engine) -> None:
    maker = GrammarMaker(textual_engine.vocabulary)
    tools = [{"name": name, "parameters": ADAPTERS[name][1]} for name in ("percent", "enum")]
    calls = written(textual_engine, maker, tools, samples=10)
    for call in map(parsed, calls):
        ADAPTERS[call["name"]][0].validate_python(call["arguments"])
    assert calls


def test_the_training_format_is_what_the_constraint_allows(
    engine: Engine, maker: GrammarMaker
) -> None:
    arguments = json.dumps({"code": "print('é', \"x\")\n"}, ensure_ascii=False)
    text = f'<tool_call>\n{{"name": "python", "arguments": {arguments}}}\n</tool_call>'
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    for token in engine.vocabulary.encode([text], first=True):
        assert constraint.allows(token)
        assert constraint.take(token)
    assert not constraint.in_force
    assert not constraint.mask(np.zeros(engine.vocabulary.size, np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        '\n{"name": "shell", "arguments": {}}',
        '\n{"name":"python", "arguments": {"code": "1"}}',
        '\n{"name": "python", "arguments": {}}',
        '\n{"name": "python", "arguments": {"code": 1}}',
        '\n{"name": "python", "arguments": {"code": "1", "more": 2}}',
        '\n\n{"name": "python", "arguments": {"code": "1"}}',
        '\n{"name": "python", "arguments": {"code": "1"}}<|im_end|>',
        '\n{"name": "python", "arguments": {"code": "<|im_end|>"}}',
        "</tool_call>",
    ],
)
def test_what_is_no_valid_call_is_not_allowed(
    engine: Engine, maker: GrammarMaker, wrong: str
) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    assert constraint.take(engine.vocabulary.named("<tool_call>") or -1)
    refused = False
    for token in engine.vocabulary.encode([wrong], first=False):
        if not constraint.allows(token):
            refused = True
            break
        constraint.take(token)
    assert refused


def test_prose_and_reasoning_are_free(engine: Engine, maker: GrammarMaker) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    text = 'I {"say": <tool_cal l>.\n<think>perhaps <tool_call>x</tool_call></think> so'
    for token in engine.vocabulary.encode([text], first=True):
        assert constraint.take(token)
        assert not constraint.mask(np.zeros(engine.vocabulary.size, np.float32))


def test_a_marker_in_letters_opens_a_call_too(engine: Engine, maker: GrammarMaker) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    for token in engine.vocabulary.encode(["see <", "tool_call", ">"], first=True):
        assert constraint.take(token)
    assert constraint.in_force


def test_a_token_that_runs_past_the_marker_into_nonsense_is_refused(
    textual_engine: Engine,
) -> None:
    vocabulary = textual_engine.vocabulary
    maker = GrammarMaker(vocabulary)
    constraint = Constraint(lambda: maker, vocabulary, tools=[PYTHON])
    for token in vocabulary.encode(["<tool_call"], first=True):
        assert constraint.take(token)
    (closing,) = vocabulary.encode([">"], first=False)
    assert constraint.take(closing)
    assert constraint.in_force


def test_an_answer_schema_leaves_calls_or_that_answer(engine: Engine, maker: GrammarMaker) -> None:
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    schema = {"type": "object", "properties": {"n": digit}, "required": ["n"]}
    seen = set[str]()
    for seed in range(30):
        constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON], schema=schema)
        work = engine.work("", engine.vocabulary.encode(["x"], first=True), lambda: False)
        sampler, text = Sampler(temperature=1.0, seed=seed), ""
        for _ in range(MAX_TOKENS):
            engine.step([work])
            logits = engine.logits(work)
            assert constraint.mask(logits)
            logits[engine.vocabulary.named("<think>") or 0] = -np.inf
            token = sampler.choose(logits).token
            if token in engine.vocabulary.ends:
                seen.add("call" if "<tool_call>" in text else "answer")
                if "<tool_call>" not in text:
                    assert json.loads(text)["n"] in range(10)
                break
            constraint.take(token)
            text += engine.vocabulary.piece(token).decode(errors="replace")
            work.ids.append(token)
        engine.finish(work)
    assert "answer" in seen


def test_reasoning_may_come_before_a_constrained_answer(
    engine: Engine, maker: GrammarMaker
) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, schema={"type": "boolean"})
    assert constraint.in_force
    for token in engine.vocabulary.encode(["<think>well, a</think>"], first=True):
        assert constraint.allows(token)
        assert constraint.take(token)
    assert constraint.in_force
    assert not constraint.allows(engine.vocabulary.named("<think>") or 0)


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_that_cannot_be_enforced_is_named_and_the_rest_still_holds(
    engine: Engine, small_gguf: Path, name: str
) -> None:
    maker = GrammarMaker(engine.vocabulary)
    tools = [{"name": "odd", "parameters": REFUSED[name]}, PYTHON]
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=tools)
    constraint.take(engine.vocabulary.named("<tool_call>") or -1)
    assert constraint.in_force
    assert not constraint.allows(engine.vocabulary.named("<think>") or 0)
    assert set(maker.refused) == {"odd"}
    assert "\n" not in maker.refused["odd"]


def test_an_alternative_that_cannot_be_enforced_is_left_out_and_nothing_invalid_let_in(
    engine: Engine, maker: GrammarMaker
) -> None:
    schema = {
        "properties": {
            "v": {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "(?=x)y"}]}
        },
        "required": ["v"],
    }
    for call in map(parsed, written(engine, maker, [{"name": "either", "parameters": schema}])):
        assert isinstance(call["arguments"]["v"], bool)
    assert "either" not in maker.refused


def test_a_llama3_call_needs_no_marker_to_be_constrained(
    engine: Engine, maker: GrammarMaker
) -> None:
    def begun(text: str) -> Constraint:
        constraint = Constraint(
            lambda: maker, engine.vocabulary, tools=[PYTHON], family=family_named("llama3")
        )
        for token in engine.vocabulary.encode([text], first=True):
            assert constraint.take(token)
        return constraint

    assert begun('{"name": "py').in_force
    assert not begun('{"age": 3}').in_force
    assert not begun('See {"name": "py').in_force


def test_free_text_costs_no_mask_and_the_grammar_has_a_name(
    engine: Engine, maker: GrammarMaker
) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    assert constraint.sha256 == ""
    constraint.take(engine.vocabulary.named("<tool_call>") or -1)
    assert len(constraint.sha256) == 64
