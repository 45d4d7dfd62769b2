"""What a reply may look like, token by token: llguidance masks from the tools' own schemas.

A model writes prose and reasoning freely until it writes `<tool_call>`. From there to
`</tool_call>` only `{"name": <a tool>, "arguments": <what its schema allows>}` can be sampled, one
newline allowed before and after, separators as `json.dumps` writes them. With a schema for the
answer, the whole reply is either such calls or a JSON value of that schema.

llguidance, not llama.cpp's own grammars: of 40 schemas those got 15 right and one crashed.

Covers: names, required and extra arguments, types, bounds, patterns, and that the call ends.
Does not cover: a reply cut by its token limit; keywords llguidance does not know (those are left to
the validation that every call goes through anyway).
"""

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.models.llamacpp.api import llguidance
from wardian.models.llamacpp.schema import enforceable
from wardian.models.llamacpp.vocab import Vocabulary

CALL_OPENS, CALL_CLOSES = "<tool_call>", "</tool_call>"
THINK_OPENS, THINK_CLOSES = "<think>", "</think>"

_EXACTLY = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANY_OBJECT = {"type": "object"}


class GrammarMaker:
    """Compiles tools into grammars for one vocabulary, and remembers them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._module = llguidance()
        self._vocabulary = vocabulary
        self.tokenizer = _tokenizer(self._module, vocabulary)
        self._argument_rules: dict[str, tuple[dict[str, Any], str]] = {}
        self._matchers: dict[str, Any] = {}
        self.refused: dict[str, str] = {}
        """Tool, or `answer` → what of its schema is not enforced."""

    def call_body(self, tools: Sequence[Mapping[str, Any]]) -> Any:
        """A matcher for what stands after `<tool_call>`."""
        return self._matcher(f"start: body\n{self._rules(tools)}")

    def whole_reply(self, tools: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> Any:
        """A matcher for a reply that is calls, or an answer of `schema`."""
        answer = json.dumps(self._enforceable("answer", schema))
        if not tools:
            return self._matcher(f"start: /\\n{{0,2}}/ answer\nanswer: %json {answer}\n")
        opens = _literal(self._vocabulary, CALL_OPENS)
        return self._matcher(
            f'start: /\\n{{0,2}}/ reply\nreply: answer | call ("\\n" call)*\n'
            f"call: {opens} body\nanswer: %json {answer}\n{self._rules(tools)}"
        )

    def _rules(self, tools: Sequence[Mapping[str, Any]]) -> str:
        closes = _literal(self._vocabulary, CALL_CLOSES)
        lines = [f'body: "\\n"? call_object "\\n"? {closes}']
        lines.append("call_object: " + " | ".join(f"call_{i}" for i in range(len(tools))))
        for i, tool in enumerate(tools):
            schema = _arguments_schema(tool["parameters"])
            head = json.dumps(f'{{"name": {json.dumps(tool["name"])}, "arguments": ')
            lines.append(f'call_{i}: {head} arguments_{i} "}}"')
            enforced = self._enforceable(tool["name"], schema)
            lines.append(f"arguments_{i}: %json {json.dumps(enforced)}")
        return "\n".join(lines) + "\n"

    def _enforceable(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The strictest form of the schema that llguidance takes."""
        key = json.dumps([name, schema])
        if key not in self._argument_rules:
            self._argument_rules[key] = self._strictest(schema)
        enforced, complaint = self._argument_rules[key]
        if complaint:
            self.refused[name] = complaint
        return enforced

    def _strictest(self, schema: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        schema = enforceable(schema)
        strict = {**schema, "x-guidance": _EXACTLY}
        complaint = self._complaint(strict)
        if not complaint:
            return strict, ""
        lenient = {**schema, "x-guidance": {**_EXACTLY, "lenient": True}}
        if not self._complaint(lenient):
            return lenient, complaint
        return {**_ANY_OBJECT, "x-guidance": _EXACTLY}, complaint

    def _complaint(self, schema: Mapping[str, Any]) -> str:
        compiler = self._module.LLMatcher
        grammar = compiler.grammar_from_lark(f"start: %json {json.dumps(schema)}\n")
        failed, messages = compiler.validate_grammar_with_warnings(grammar, self.tokenizer)
        return str(messages[0])[:300] if failed else ""

    def _matcher(self, lark: str) -> Any:
        if lark not in self._matchers:
            grammar = self._module.LLMatcher.grammar_from_lark(lark)
            self._matchers[lark] = self._module.LLMatcher(self.tokenizer, grammar, log_level=0)
        return self._matchers[lark].deep_copy()


class Constraint:
    """Follows one reply and says which tokens may come next."""

    def __init__(
        self,
        maker: Callable[[], GrammarMaker],
        vocabulary: Vocabulary,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        schema: Mapping[str, Any] | None = None,
        thinking: bool = False,
    ) -> None:
        """`maker` is called when first needed. `thinking`: the prompt ends inside reasoning."""
        self._maker = maker
        self._vocabulary = vocabulary
        self._tools = tools
        self._schema = schema
        self._thinking = thinking
        self._tail = b""
        self._matcher: Any = None
        self._may_think = vocabulary.named(THINK_OPENS)
        """A model that reasons may begin its reply with that instead of the grammar."""
        self.sha256 = ""
        self._whole = schema is not None
        if self._whole and not thinking:
            self._begin_whole()

    @property
    def in_force(self) -> bool:
        return self._matcher is not None

    def allowed(self) -> NDArray[np.bool_] | None:
        """One claim a token of the vocabulary; None where all are allowed."""
        if self._matcher is None:
            return None
        packed: bytes = self._matcher.compute_bitmask()
        allowed = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").astype(
            np.bool_
        )[: self._vocabulary.size]
        if self._matcher.is_error() or not allowed.any():
            self._matcher, self._whole = None, False
            return None
        if self._whole and self._may_think is not None:
            allowed[self._may_think] = True
        return allowed

    def take(self, token: int) -> bool:
        """Follow the token; False where it must not come, and another is to be chosen."""
        if token in self._vocabulary.ends:
            return True
        if self._matcher is None:
            return self._watch(self._vocabulary.piece(token))
        if self._whole and token == self._may_think:
            self._matcher, self._thinking = None, True
        elif not self._matcher.consume_token(token):
            return False
        elif not self._whole and self._matcher.is_stopped():
            self._matcher = None
        self._may_think = None
        return True

    def _watch(self, piece: bytes) -> bool:
        """Outside a call: look for what opens one, and for reasoning, where nothing does."""
        thinking, rest = self._thinking, self._tail + piece
        while True:
            wanted = (THINK_CLOSES,) if thinking else (THINK_OPENS, CALL_OPENS)
            at, opened = min(
                ((rest.find(w.encode()), w) for w in wanted if w.encode() in rest),
                default=(-1, ""),
            )
            if at < 0:
                break
            rest = rest[at + len(opened) :]
            if opened == CALL_OPENS:
                if self._tools:
                    return self._begin_call(rest)
            else:
                thinking = opened == THINK_OPENS
                if not thinking and self._whole:
                    self._begin_whole()
        self._thinking, self._tail = thinking, rest[-len(CALL_OPENS) + 1 :]
        return True

    def _begin_call(self, rest: bytes) -> bool:
        maker = self._maker()
        matcher = maker.call_body(self._tools)
        if matcher.is_error():
            return True
        if rest and not matcher.consume_tokens(maker.tokenizer.tokenize_bytes(rest)):
            return False
        self._matcher, self._tail = matcher, b""
        return True

    def _begin_whole(self) -> None:
        assert self._schema is not None
        self._matcher = self._maker().whole_reply(self._tools, self._schema)
        self._tail = b""


def _arguments_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A tool without parameters takes none."""
    if "$ref" in parameters or "additionalProperties" in parameters:
        return {"type": "object", **parameters}
    return {"type": "object", "properties": {}, **parameters}


def _literal(vocabulary: Vocabulary, spelling: str) -> str:
    """In Lark: the token of that name, or its letters where there is no such token."""
    token = vocabulary.named(spelling)
    return json.dumps(spelling) if token is None else f"<[{token}]>"


def _tokenizer(module: Any, vocabulary: Vocabulary) -> Any:
    named = {*vocabulary.control.values()} | {
        i for s, i in vocabulary.user_defined.items() if s[:1] == "<" and s[-1:] == ">"
    }
    tokens = vocabulary.all_pieces()
    for i in named:
        tokens[i] = b"\xff" + tokens[i]
    tokenize = ctypes.cast(vocabulary.api._lib.llama_tokenize, ctypes.c_void_p).value  # noqa: SLF001
    return module.LLTokenizer.from_llamacpp(
        tokens=tokens,
        vocab_ptr=vocabulary.handle,
        tokenize_fptr=tokenize,
        eos_token=sorted(vocabulary.ends),
        slices=None,
    )
