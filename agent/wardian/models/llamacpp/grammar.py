"""What a reply may look like, token by token: llguidance masks from the tools' own schemas.

A model writes prose and reasoning freely until it writes its family's opening marker, such as
`<tool_call>`. From there to the end of the call only what the family's grammar makes of the tools'
schemas can be sampled, with separators as `json.dumps` writes them. With a schema for the answer,
the whole reply is either such calls or a JSON value of that schema; where a call is demanded, it is
calls and nothing else.

llguidance, not llama.cpp's own grammars: of 40 schemas those got 15 right and one crashed.

Covers: names, required and extra arguments, types, bounds, patterns, and that the call ends.
Does not cover: a reply cut by its token limit; keywords llguidance does not know (those are left to
the validation that every call goes through anyway); a call that a model spells in another family's
way.
"""

import ctypes
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardian.models.families import HERMES, MARKERS, Family, WrittenCall
from wardian.models.families.lark import LarkTerminals
from wardian.models.llamacpp.api import llguidance
from wardian.models.llamacpp.masking import Masks
from wardian.models.llamacpp.schema import enforceable, without_unusable
from wardian.models.llamacpp.vocab import Vocabulary

_EXACTLY = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANY_OBJECT = {"type": "object"}
_BLANK_LINES = "/\\n{0,2}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A compiled grammar; each reply follows it with a matcher of its own."""

    compiled: Any
    sha256: str

    def matcher(self) -> Any:
        return self.compiled.deep_copy()


class GrammarMaker:
    """Compiles tools into grammars for one vocabulary, and remembers them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._module = llguidance()
        self._named = _named_tokens(vocabulary)
        self.tokenizer = _tokenizer(self._module, vocabulary, self._named.values())
        self._enforced: dict[str, tuple[dict[str, Any], str]] = {}
        self._grammars: dict[str, Grammar] = {}
        self.masks = Masks(vocabulary.size)
        self.refused: dict[str, str] = {}
        """Tool, or `answer` → what of its schema is not enforced."""

    def call_body(self, tools: Sequence[Mapping[str, Any]], family: Family = HERMES) -> Grammar:
        """What stands after the family's marker."""
        terminals = self._terminals()
        rules = family.grammar(_schemas(tools), terminals) + "".join(terminals.rules)
        return self._grammar(f"start: body\n{rules}")

    def whole_reply(
        self,
        tools: Sequence[Mapping[str, Any]],
        schema: Mapping[str, Any] | None,
        family: Family = HERMES,
    ) -> Grammar:
        """A reply that is calls, or an answer of `schema` where there is one."""
        terminals, ways, rules = self._terminals(), list[str](), ""
        if schema is not None:
            opens = terminals.literal(family.answer_opens)
            ways.append(f"{opens} answer")
            rules = f"answer: {self._json(schema, 'answer')}\n"
        if tools:
            opens = terminals.literal(_call_opens(family))
            more = "" if family.resumes else f'("\\n" {opens} body)*'
            ways.append(f"{opens} body {more}")
            rules += family.grammar(_schemas(tools), terminals)
        begins = _BLANK_LINES
        if family.resumes:
            opens, closes = family.reasoning[0]
            thought = f"{terminals.literal(opens)} {terminals.text_to(closes)}"
            begins = f"({thought})? ({terminals.literal(family.resumes)})?"
        rules += "".join(terminals.rules)
        return self._grammar(f"start: {begins} reply\nreply: {' | '.join(ways)}\n{rules}")

    def _terminals(self) -> LarkTerminals:
        return LarkTerminals(self._named, self._json)

    def _json(self, schema: Mapping[str, Any], tool: str) -> str:
        return f"%json {json.dumps(self._enforceable(tool, schema))}"

    def _enforceable(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The strictest form of the schema that llguidance takes."""
        key = json.dumps([name, schema])
        if key not in self._enforced:
            self._enforced[key] = self._strictest(schema)
        enforced, complaint = self._enforced[key]
        if complaint:
            self.refused[name] = complaint
        return enforced

    def _strictest(self, schema: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        schema = enforceable(schema)
        strict = {**schema, "x-guidance": _EXACTLY}
        complaint = self._complaint(strict)
        if not complaint:
            return strict, ""
        mended, lost = without_unusable(schema, self._complaint)
        for way in ({}, {"lenient": True}, {"lenient": True, "coerce_one_of": True}):
            candidate = {**mended, "x-guidance": {**_EXACTLY, **way}}
            if not self._complaint(candidate):
                return candidate, complaint if way else lost
        return {**_ANY_OBJECT, "x-guidance": _EXACTLY}, complaint

    def _complaint(self, schema: Mapping[str, Any]) -> str:
        compiler = self._module.LLMatcher
        grammar = compiler.grammar_from_lark(f"start: %json {json.dumps(schema)}\n")
        failed, messages = compiler.validate_grammar_with_warnings(grammar, self.tokenizer)
        return _cause(str(messages[0])) if failed else ""

    def _grammar(self, lark: str) -> Grammar:
        if lark not in self._grammars:
            grammar = self._module.LLMatcher.grammar_from_lark(lark)
            self._grammars[lark] = Grammar(
                compiled=self._module.LLMatcher(self.tokenizer, grammar, log_level=0),
                sha256=hashlib.sha256(lark.encode()).hexdigest(),
            )
        return self._grammars[lark]


def _cause(message: str) -> str:
    """The first line that says something, without where it stands in a grammar nobody wrote."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "")
    return said.rpartition("JSON schema: ")[2].removeprefix("error: ")[:300] or "it is refused"


def _schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {tool["name"]: tool["parameters"] for tool in tools}


def _call_opens(family: Family) -> str:
    """All that a reply begins with when it begins with a call: the marker and what leads to it."""
    call = WrittenCall(name="x", arguments={}, json="{}")
    before, trigger, _ = family.write([call]).partition(family.trigger)
    return family.call_opens + before + trigger if trigger else ""


def _named_tokens(vocabulary: Vocabulary) -> dict[str, int]:
    """Spelling → id of what is never text: control tokens, and added ones that look like tags."""
    tags = {
        s: i
        for s, i in vocabulary.user_defined.items()
        if (s[:1] == "<" and s[-1:] == ">") or s in MARKERS
    }
    return {**tags, **vocabulary.control}


def _tokenizer(module: Any, vocabulary: Vocabulary, named: Iterable[int]) -> Any:
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
