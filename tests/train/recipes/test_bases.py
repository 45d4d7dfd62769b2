"""Base models: GGUF files unpacked into what trainers read, templates looked at first."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from wardian.data.vocabulary import read_vocabulary
from wardian.errors import ConfigurationError
from wardian.models.catalogue import TINY_PATH
from wardian.models.llamacpp.header import read_header
from wardian.models.template import pieces
from wardian.train.base import load_weights, prepare
from wardian.train.checkpoints import mark, whole_checkpoints
from wardian.train.from_gguf import unpack
from wardian.train.gguf.contents import write
from wardian.train.gguf.convert import contents_of
from wardian.train.gguf.sources import load_source
from wardian.train.quiet import quiet
from wardian.train.recipe import Method, Recipe, recipe_of
from wardian.train.same_tokens import check_same_tokens
from wardian.train.template_check import check_template
from wardian.train.text_rows import Encoder

CALL: dict[str, Any] = {"function": {"name": "python", "arguments": {"code": "1+1"}}}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "add"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "<|im_end|>2"},
    {"role": "assistant", "content": "It is 2."},
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The built-in model, prepared as a base."""
    return prepare(recipe(tmp_path_factory.mktemp("tiny"), "tiny"))


def recipe(out: Path, base: str, **more: Any) -> Recipe:
    return recipe_of(Method.SFT, {"base": base, "data": "x", "out": str(out), **more})


@pytest.mark.parametrize("name", ["small", "small_llama"])
def test_weights_come_back_from_a_gguf_file_unchanged(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(name)
    write(tmp_path / "m.gguf", contents_of(load_source(folder), "m"), "F32")
    unpacked = unpack(tmp_path / "m.gguf", tmp_path / "m")
    before, after = (load_file(f / "model.safetensors") for f in (folder, unpacked))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    first, second = load_source(folder), load_source(unpacked)
    ids = torch.tensor([first.tokenizer.encode("12 files are read")])
    assert torch.equal(first.model(ids).logits, second.model(ids).logits)
    assert ids[0].tolist() == second.tokenizer.encode("12 files are read")
    assert second.tokenizer.chat_template == first.tokenizer.chat_template.replace(
        "{% generation %}", "{# #}"
    ).replace("{% endgeneration %}", "{# #}")


def test_a_gguf_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    import gguf

    writer: Any = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "mamba")
    writer.add_token_list(["a"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ConfigurationError, match="architecture mamba cannot be trained"):
        unpack(tmp_path / "m.gguf", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_built_in_model_is_a_base_whose_template_passes(tiny: Any) -> None:
    assert TINY_PATH.is_file()
    assert tiny.notices == ()
    assert not tiny.describe_tools
    assert tiny.pad != tiny.tokenizer.eos_token_id


def test_a_conversation_trains_what_the_assistant_wrote_and_its_ends(tiny: Any) -> None:
    ids, marks = tiny.encoder.conversation(TALK, [])
    learnt = tiny.tokenizer.decode(
        [token for token, counts in zip(ids, marks, strict=True) if counts]
    )
    call = '<tool_call>\n{"name": "python", "arguments": {"code": "1+1"}}\n</tool_call>'
    assert learnt == f"{call}<|im_end|>It is 2.<|im_end|>"


def test_text_of_a_message_never_becomes_a_control_token(tiny: Any) -> None:
    ids, _ = tiny.encoder.conversation(TALK, [])
    assert ids.count(tiny.tokenizer.eos_token_id) == 4
    assert tiny.tokenizer.decode(ids).count("<|im_end|>") == 5


def test_the_reply_of_a_pair_follows_its_prompt_as_at_inference(tiny: Any) -> None:
    prompt, reply = tiny.encoder.reply(TALK[:3], TALK[3:], [])
    ids, _ = tiny.encoder.conversation(TALK, [])
    assert [*prompt, *reply] == ids


class Tokenizer:
    """A template, and every letter a token."""

    bos_token, eos_token = "", "</s>"
    added_tokens_decoder: dict[int, str] = {0: "</s>"}  # noqa: RUF012 - a double of a library's class

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return list(map(ord, text))


HERMES = (
    "{%- if tools %}{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}"
    "{%- for m in messages %}<s>{{ m.role }}:{{ m.content }}"
    "{%- for c in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}</s>{% endfor %}"
    "{%- if add_generation_prompt %}<s>assistant:{% endif %}"
)


def faults(template: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_template(Encoder(Tokenizer(template)), allow=False)
    assert check_template(Encoder(Tokenizer(template)), allow=True)
    return caught.value.cause


def test_a_template_made_for_tools_passes() -> None:
    assert check_template(Encoder(Tokenizer(HERMES)), allow=False) == []


def test_a_template_that_drops_tools_is_refused_unless_allowed() -> None:
    assert "does not describe tools" in faults(HERMES.replace("if tools", "if false"))


def test_a_template_that_counts_messages_first_is_refused_unless_allowed() -> None:
    assert "rewrites earlier messages" in faults("{{ messages | length }}" + HERMES)


def test_text_rows_are_refused_where_the_template_rewrites_what_was_learnt() -> None:
    encoder = Encoder(Tokenizer("{{ messages | length }}" + HERMES))
    with pytest.raises(ConfigurationError, match="rewrites earlier messages"):
        encoder.conversation(TALK, [])


def test_marks_split_what_a_person_wrote_from_what_the_template_wrote() -> None:
    rendered = Encoder(Tokenizer(HERMES)).render([{"role": "user", "content": "a</s>b"}], [])
    assert not any("</s>b" in piece for piece in pieces(rendered))


def test_ids_of_another_tokenizer_are_refused(tiny: Any, small: Path, tmp_path: Path) -> None:
    """The built-in model's own file says what its folder says; the other's does not."""
    sampled = {
        "name": "tiny",
        "tokenizer_sha256": read_vocabulary(TINY_PATH).sha256,
        "template_sha256": hashlib.sha256(
            (read_header(TINY_PATH).template or "").encode()
        ).hexdigest(),
    }
    assert check_same_tokens(tiny.tokenizer, tiny.vocabulary, {"model": sampled}, "d") == []
    other = prepare(recipe(tmp_path, str(small), unstable_template="allow"))
    with pytest.raises(ConfigurationError, match="tokenizer is another"):
        check_same_tokens(other.tokenizer, other.vocabulary, {"model": sampled}, "d")
    changed = {**sampled, "template_sha256": "0" * 64}
    assert check_same_tokens(tiny.tokenizer, tiny.vocabulary, {"model": changed}, "d")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no config\.json"):
        prepare(recipe(tmp_path / "o", str(tmp_path)))


def test_a_half_written_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
    mark(tmp_path / "checkpoints" / "checkpoint-5")
    assert [one.name for one in whole_checkpoints(tmp_path)] == ["checkpoint-5"]
    assert not (tmp_path / "checkpoints" / "checkpoint-10").exists()


def test_an_adapter_is_merged_before_another_training_begins(small: Path, tmp_path: Path) -> None:
    told = recipe(
        tmp_path / "p", str(small), unstable_template="allow", **{"tuning.method": "lora"}
    )
    with quiet():
        adapted = load_weights(prepare(told), told)
    for key, weight in adapted.named_parameters():
        if "lora_B" in key:
            torch.nn.init.ones_(weight)
    adapted.save_pretrained(tmp_path / "a" / "model")
    shutil.copy(small / "tokenizer.json", tmp_path / "a" / "model")
    made = prepare(recipe(tmp_path / "o", str(tmp_path / "a"), unstable_template="allow"))
    weights = load_file(made.folder / "model.safetensors")
    before = load_file(small / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(weights[name], before[name])
