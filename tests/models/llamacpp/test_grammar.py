"""Under the constraint a model that knows nothing still never writes an invalid call."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.engine import Engine
from wardian.models.llamacpp.grammar import Constraint, GrammarMaker
from wardian.models.llamacpp.load import LoadOptions, load
from wardian.models.llamacpp.sampling import Sampler

MAX_TOKENS = 300


class Colour(enum.Enum):
    RED = "red"
    BLUE = 'b"l\\ue\n'


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: float
    y: float = 0.0


class Tree(BaseModel):
    value: int
    children: list["Tree"] = Field(default=[], max_length=2)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, Field(max_length=4)]


@dataclass
class Span:
    start: int
    end: int | None = None


SHORT = Annotated[str, Field(max_length=8)]
TYPES: dict[str, Any] = {
    "string": str,
    "bounded": SHORT,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "anything": Any,
    "natural": Annotated[int, Field(ge=0)],
    "percent": Annotated[int, Field(ge=0, le=100)],
    "below": Annotated[float, Field(lt=1.5, gt=-1.5)],
    "even": Annotated[int, Field(multiple_of=2, ge=0, le=20)],
    "literal": Literal["a", "b", 3],
    "one": Literal["only"],
    "enum": Colour,
    "strings": Annotated[list[SHORT], Field(max_length=3)],
    "at_least": Annotated[list[bool], Field(min_length=2, max_length=4)],
    "matrix": Annotated[list[Annotated[list[bool], Field(max_length=2)]], Field(max_length=2)],
    "pair": tuple[bool, SHORT],
    "map": dict[Literal["a", "b"], bool],
    "map_of_enum": dict[Colour, bool],
    "map_of_pattern": dict[Annotated[str, Field(pattern="^[ab]{1,2}$")], bool],
    "optional": bool | None,
    "either": bool | SHORT,
    "model": Point,
    "optional_model": Point | None,
    "tree": Tree,
    "union": Cat | Dog,
    "tagged": Annotated[Cat | Dog, Field(discriminator="kind")],
    "dataclass": Span,
    "models": Annotated[list[Point], Field(max_length=2)],
    "pattern": Annotated[str, Field(pattern="^[a-z]{1,3}-[0-9]+$", max_length=8)],
    "alternatives": Annotated[str, Field(pattern="^(get|put|post)$")],
    "unicode": Annotated[str, Field(pattern="^[äöü]{2}$")],
    "at_least_two": Annotated[str, Field(min_length=2, max_length=6)],
}
SCHEMAS: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = {}
for _name, _type in TYPES.items():
    _required: Any = create_model(_name, __config__=ConfigDict(extra="forbid"), value=(_type, ...))
    SCHEMAS[_name] = (TypeAdapter(_required), _required.model_json_schema())
FIELDS: dict[str, dict[str, Any]] = {
    "empty": {},
    "all_optional": {"a": (SHORT, ""), "b": (bool, False), "c": (Point | None, None)},
    "mixed": {"path": (SHORT, ...), "first": (int, 1), "last": (int | None, None)},
    "many": {f"field_{i}": (bool, ...) for i in range(12)},
    "nested": {"outer": (Annotated[list[Cat | Dog], Field(max_length=2)], ...), "on": (bool, True)},
    "quoted": {"v": (Literal['say "hi"', "back\\slash", "new\nline", "</tool_call>"], ...)},
}
for _name, _fields in FIELDS.items():
    _made: Any = create_model(_name, __config__=ConfigDict(extra="forbid"), **_fields)
    SCHEMAS[_name] = (TypeAdapter(_made), _made.model_json_schema())

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


def written_call(engine: Engine, constraint: Constraint, seed: int) -> str | None:
    """What the model writes after `<tool_call>` up to the constraint's end; None if cut."""
    ids = engine.vocabulary.encode(["<tool_call>"], first=True)
    assert all(constraint.take(i) for i in ids)
    assert constraint.in_force
    engine.evaluate("", ids, lambda: False)
    sampler, sampled = Sampler(temperature=1.0, seed=seed), b""
    for _ in range(MAX_TOKENS):
        allowed, logits = constraint.allowed(), engine.logits()
        assert allowed is not None
        logits[~allowed] = -np.inf
        token = sampler.choose(logits).token
        assert token not in engine.vocabulary.ends
        assert constraint.take(token)
        sampled += engine.vocabulary.piece(token)
        if not constraint.in_force:
            return sampled.decode()
        engine.append("", token)
    return None


def parsed(written: str) -> Any:
    head, tail = written.removeprefix("\n").rsplit("</tool_call>", 1)
    assert tail == ""
    return json.loads(head.removesuffix("\n"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_random_model_only_writes_valid_calls(
    engine: Engine, maker: GrammarMaker, name: str
) -> None:
    adapter, schema = SCHEMAS[name]
    tools = [{"name": name, "parameters": schema}]
    whole = 0
    for seed in range(6):
        written = written_call(
            engine, Constraint(lambda: maker, engine.vocabulary, tools=tools), seed
        )
        if written is not None:
            call = parsed(written)
            assert call["name"] == name
            adapter.validate_json(json.dumps(call["arguments"]), strict=False)
            whole += 1
    assert whole or name in ("string", "anything", "tree")
    assert name not in maker.refused


def test_a_model_without_marker_tokens_is_constrained_all_the_same(textual_engine: Engine) -> None:
    maker = GrammarMaker(textual_engine.vocabulary)
    tools = [{"name": name, "parameters": SCHEMAS[name][1]} for name in ("percent", "enum")]
    for seed in range(10):
        constraint = Constraint(lambda: maker, textual_engine.vocabulary, tools=tools)
        written = written_call(textual_engine, constraint, seed)
        assert written is not None
        call = parsed(written)
        SCHEMAS[call["name"]][0].validate_python(call["arguments"])


def test_the_training_format_is_what_the_constraint_allows(
    engine: Engine, maker: GrammarMaker
) -> None:
    arguments = json.dumps({"code": "print('é', \"x\")\n"}, ensure_ascii=False)
    text = f'<tool_call>\n{{"name": "python", "arguments": {arguments}}}\n</tool_call>'
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    for token in engine.vocabulary.encode([text], first=True):
        allowed = constraint.allowed()
        assert allowed is None or allowed[token]
        assert constraint.take(token)
    assert not constraint.in_force
    assert constraint.allowed() is None


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
        allowed = constraint.allowed()
        assert allowed is not None
        if not allowed[token]:
            refused = True
            break
        constraint.take(token)
    assert refused


def test_prose_and_reasoning_are_free(engine: Engine, maker: GrammarMaker) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, tools=[PYTHON])
    text = 'I {"say": <tool_cal l>.\n<think>perhaps <tool_call>x</tool_call></think> so'
    for token in engine.vocabulary.encode([text], first=True):
        assert constraint.take(token)
        assert constraint.allowed() is None


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
        ids = engine.vocabulary.encode(["x"], first=True)
        engine.evaluate("", ids, lambda: False)
        sampler, text = Sampler(temperature=1.0, seed=seed), ""
        for _ in range(MAX_TOKENS):
            allowed, logits = constraint.allowed(), engine.logits()
            assert allowed is not None
            allowed[engine.vocabulary.named("<think>") or 0] = False
            logits[~allowed] = -np.inf
            token = sampler.choose(logits).token
            if token in engine.vocabulary.ends:
                seen.add("call" if "<tool_call>" in text else "answer")
                if "<tool_call>" not in text:
                    assert json.loads(text)["n"] in range(10)
                break
            constraint.take(token)
            text += engine.vocabulary.piece(token).decode(errors="replace")
            engine.append("", token)
    assert "answer" in seen


def test_reasoning_may_come_before_a_constrained_answer(
    engine: Engine, maker: GrammarMaker
) -> None:
    constraint = Constraint(lambda: maker, engine.vocabulary, schema={"type": "boolean"})
    assert constraint.in_force
    for token in engine.vocabulary.encode(["<think>well, a</think>"], first=True):
        allowed = constraint.allowed()
        assert allowed is None or allowed[token]
        assert constraint.take(token)
    assert constraint.in_force
    allowed = constraint.allowed()
    assert allowed is not None
    assert not allowed[engine.vocabulary.named("<think>") or 0]


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "pattern": "(?=x)y"}}},
        {"properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"properties": {"a": {"not": {"type": "string"}}}},
        {"properties": {"a": {"type": "nonsense"}}},
    ],
)
def test_a_schema_that_cannot_be_enforced_is_named_and_the_rest_still_holds(
    engine: Engine, small_gguf: Path, schema: dict[str, Any]
) -> None:
    maker = GrammarMaker(engine.vocabulary)
    constraint = Constraint(
        lambda: maker, engine.vocabulary, tools=[{"name": "odd", "parameters": schema}, PYTHON]
    )
    constraint.take(engine.vocabulary.named("<tool_call>") or -1)
    assert constraint.in_force
    assert set(maker.refused) == {"odd"}
