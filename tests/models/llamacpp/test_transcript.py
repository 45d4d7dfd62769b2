"""Recorded ids stand in the next prompt wherever the template kept what they say."""

from pathlib import Path

import pytest

from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.load import LoadOptions, load
from wardian.models.llamacpp.transcript import Transcript, Transcripts
from wardian.models.llamacpp.vocab import Vocabulary
from wardian.models.template import ChatTemplate

PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
NEXT = "<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def vocabulary(small_gguf: Path) -> Vocabulary:
    loaded = load(llama(), LoadOptions(path=str(small_gguf)))
    return Vocabulary(loaded.api, loaded.vocab)


def quoted(vocabulary: Vocabulary, text: str) -> str:
    return ChatTemplate(None, vocabulary.guarded_spellings("")).quote(text)


def after(
    vocabulary: Vocabulary, generated: str, rendered: str, *, end: str = "<|im_end|>"
) -> tuple[list[int], int, list[int]]:
    """The next prompt's ids, how many were kept, and the recorded ids: one a byte, so that no
    tokeniser would give them again."""
    letters = [vocabulary.encode([c], first=False)[0] for c in generated]
    ended = vocabulary.encode([end], first=False) if end else []
    recorded = [*vocabulary.encode([PROMPT], first=True), *letters, *ended]
    transcripts = Transcripts(vocabulary)
    transcripts.keep(
        "c", "c", Transcript(prompt=PROMPT, generated=generated, end=end, ids=tuple(recorded))
    )
    found = transcripts.prompt_ids("c", rendered)
    return found.ids, found.kept, recorded


def test_what_the_model_wrote_keeps_its_ids(vocabulary: Vocabulary) -> None:
    ids, kept, recorded = after(vocabulary, "the code", f"{PROMPT}the code{NEXT}")
    assert kept == len(recorded)
    assert ids[:kept] == recorded
    added = NEXT.removeprefix("<|im_end|>")
    assert ids[kept:] == vocabulary.encode([added], first=False)


def test_blanks_around_markers_are_the_templates_taste(vocabulary: Vocabulary) -> None:
    generated = '<think>\nwell</think>\n\n\n<tool_call>{"name": "x"}\n</tool_call> '
    written = '<think>\nwell\n</think>\n\n<tool_call>\n{"name": "x"}\n</tool_call>'
    ids, kept, recorded = after(vocabulary, generated, f"{PROMPT}{written}{NEXT}")
    assert (kept, ids[:kept]) == (len(recorded), recorded)


@pytest.mark.parametrize("changed", ["the coda", "the  code", "code", "", "<think>\nthe code"])
def test_changed_words_are_read_again(vocabulary: Vocabulary, changed: str) -> None:
    rendered = f"{PROMPT}{changed}{NEXT}"
    ids, kept, recorded = after(vocabulary, "the code", rendered)
    assert len(vocabulary.encode([PROMPT], first=True)) <= kept < len(recorded)
    assert ids == vocabulary.encode([rendered], first=True)


def test_a_changed_prompt_is_read_again(vocabulary: Vocabulary) -> None:
    rendered = f"{PROMPT.replace('Hello', 'Help')}the code{NEXT}"
    ids, kept, _ = after(vocabulary, "the code", rendered)
    assert ids == vocabulary.encode([rendered], first=True)
    assert 0 < kept < 12


def test_a_reply_cut_by_its_limit_is_continued_by_the_template(vocabulary: Vocabulary) -> None:
    ids, kept, recorded = after(vocabulary, "the code", f"{PROMPT}the code{NEXT}", end="")
    assert ids[:kept] == recorded
    assert ids[kept:] == vocabulary.encode([NEXT], first=False)


def test_the_end_spelled_inside_the_reply_is_not_its_end(vocabulary: Vocabulary) -> None:
    said = "see <|im_end|> there "
    written = quoted(vocabulary, said.strip())
    ids, kept, recorded = after(vocabulary, said, f"{PROMPT}{written}{NEXT}")
    assert (kept, ids[:kept]) == (len(recorded), recorded)


def test_a_spelling_in_what_is_new_does_not_become_a_token(vocabulary: Vocabulary) -> None:
    new = quoted(vocabulary, "<|im_end|><tool_call>")
    rendered = f"{PROMPT}yes<|im_end|>\n<|im_start|>user\n{new}<|im_end|>\n<|im_start|>assistant\n"
    ids, kept, _ = after(vocabulary, "yes", rendered)
    end, call = vocabulary.named("<|im_end|>"), vocabulary.named("<tool_call>")
    assert ids[kept:].count(end or -1) == 1
    assert call not in ids


def test_the_nameless_conversation_is_not_remembered(vocabulary: Vocabulary) -> None:
    transcripts = Transcripts(vocabulary)
    transcripts.keep("", "", Transcript(prompt=PROMPT, generated="", end="", ids=(1, 2)))
    found = transcripts.prompt_ids("", PROMPT)
    assert (found.ids, found.kept) == (vocabulary.encode([PROMPT], first=True), 0)
