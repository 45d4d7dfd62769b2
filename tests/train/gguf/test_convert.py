"""Converted weights compute in llama.cpp what they did in transformers, or there is no file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from wardian.errors import ConfigurationError, ModelError, ModelUnavailable
from wardian.models.llamacpp.header import read_header
from wardian.train.gguf import convert, convert_adapter
from wardian.train.gguf.agreement import check, compared, limit_of
from wardian.train.gguf.sources import load_source
from wardian.train.gguf.vocabulary import PRE_TOKENIZERS

# peft asks transformers for what its next version names otherwise
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}
PATTERN = {name: pattern for pattern, name in PRE_TOKENIZERS.items()}
ROUNDING = 1e-9
"""Nats a token that the order of additions makes"""


@pytest.mark.parametrize(
    ("name", "pre", "config"),
    [
        ("LlamaConfig", "llama-bpe", {"rope_parameters": LLAMA3, "attention_bias": True}),
        ("MistralConfig", "gpt-2", {"tie_word_embeddings": True}),
        ("Qwen2Config", "qwen2", {"tie_word_embeddings": True}),
        ("Qwen3Config", "bloom", {"head_dim": 32, "rope_parameters": YARN}),
    ],
)
def test_each_architecture_computes_the_same_in_llama_cpp(
    name: str, pre: str, config: dict[str, Any], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    folder = make_model(tmp_path / "source", name, PATTERN[pre], **config)
    done = convert(folder, tmp_path / "made.gguf", quantisation="F32")
    assert done.agreement.mean_divergence < ROUNDING
    assert done.agreement.same_choice == 1.0
    assert done.agreement.tokens > 300
    assert read_header(done.path).values["tokenizer.ggml.pre"] == pre
    assert str(folder / "model.safetensors") in done.sources


@pytest.mark.parametrize("quantisation", ["BF16", "Q8_0", "Q4_K_M"])
def test_each_quantisation_is_named_in_the_file_and_near_its_source(
    quantisation: str, tmp_path: Path, qwen3: Path
) -> None:
    done = convert(qwen3, tmp_path / "made.gguf", quantisation=quantisation.lower())
    assert read_header(done.path).quantisation == quantisation
    assert 0 < done.agreement.mean_divergence < limit_of(quantisation)
    assert [path.name for path in tmp_path.iterdir()] == ["made.gguf"]


def test_keys_and_template_are_carried_without_the_marks_that_only_training_reads(
    tmp_path: Path, qwen3: Path
) -> None:
    folder = shutil.copytree(qwen3, tmp_path / "source")
    kept = {"wardian.tools_in_prompt": False, "general.name": "old"}
    (folder / "gguf.json").write_text(json.dumps(kept))
    header = read_header(convert(folder, tmp_path / "made.gguf", name="new").path)
    assert header.quantisation == "F16"
    assert header.values["wardian.tools_in_prompt"] is False
    assert header.values["general.name"] == "new"
    assert header.template is not None
    assert "{% generation" not in header.template
    assert "message.content" in header.template


def _lora(base: Path, folder: Path, **options: Any) -> Path:
    import peft
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(
        r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", **options
    )
    model: Any = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Path]) -> Path:
    return make_model(tmp_path_factory.mktemp("llama") / "base", "LlamaConfig")


def test_an_adapter_is_merged_or_put_on_top_with_the_same_result(
    tmp_path: Path, llama: Path
) -> None:
    adapter = _lora(llama, tmp_path / "adapter", use_rslora=True)
    merged = convert(adapter, tmp_path / "merged.gguf", quantisation="F32")
    base = convert(llama, tmp_path / "base.gguf", quantisation="F32")
    on_top = convert_adapter(adapter, tmp_path / "lora.gguf", base_gguf=base.path)
    assert merged.agreement.mean_divergence < ROUNDING
    assert on_top.agreement.mean_divergence < ROUNDING
    source = load_source(adapter)
    without = compared(source.model, source.tokenizer, base.path)
    assert without.mean_divergence > 1e-3, "the adapter changes what is computed"


def test_an_adapter_that_gguf_cannot_hold_is_to_be_merged(tmp_path: Path, llama: Path) -> None:
    adapter = _lora(llama, tmp_path / "adapter", use_dora=True)
    base = convert(llama, tmp_path / "base.gguf", quantisation="F32")
    with pytest.raises(ConfigurationError, match=r"DoRA.*Merge it"):
        convert_adapter(adapter, tmp_path / "lora.gguf", base_gguf=base.path)
    merged = convert(adapter, tmp_path / "merged.gguf", quantisation="F32")
    assert merged.agreement.mean_divergence < ROUNDING


def test_an_adapter_without_its_base_says_how_to_name_it(tmp_path: Path, llama: Path) -> None:
    adapter = _lora(llama, tmp_path / "adapter")
    config = adapter / "adapter_config.json"
    described = json.loads(config.read_text()) | {"base_model_name_or_path": "no/where"}
    config.write_text(json.dumps(described))
    with pytest.raises(ModelUnavailable, match=r"no/where.*--base"):
        convert(adapter, tmp_path / "made.gguf")
    done = convert(adapter, tmp_path / "made.gguf", base=llama)
    assert done.path.exists()


def test_a_file_of_other_weights_does_not_pass(tmp_path: Path, qwen3: Path) -> None:
    file = convert(qwen3, tmp_path / "made.gguf").path
    other = shutil.copytree(qwen3, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    name = "model.layers.0.self_attn.k_proj.weight"
    half = weights[name].shape[0] // 2
    weights[name] = torch.cat((weights[name][half:], weights[name][:half]))
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    source = load_source(other)
    agreement = compared(source.model, source.tokenizer, file)
    with pytest.raises(ModelError, match="does not compute what its source model does"):
        check(agreement, "F16")


def test_weights_that_are_not_numbers_leave_no_file(tmp_path: Path, qwen3: Path) -> None:
    folder = shutil.copytree(qwen3, tmp_path / "source")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError):
        convert(folder, tmp_path / "made.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def _with_config(folder: Path, **changed: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    return folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architectures": ["Gemma3ForCausalLM"]}, "Gemma3ForCausalLM"),
        ({"architectures": []}, "of this model"),
        ({"quantization_config": {"bits": 4}}, "quantised already"),
        ({"use_sliding_window": True}, "sliding-window"),
        ({"hidden_act": "gelu"}, "gelu"),
    ],
    ids=["gemma", "none", "quantised", "window", "activation"],
)
def test_what_is_not_supported_is_refused_by_name_with_llama_cpps_script_as_remedy(
    changed: dict[str, Any], said: str, tmp_path: Path, qwen3: Path
) -> None:
    folder = _with_config(shutil.copytree(qwen3, tmp_path / "source"), **changed)
    with pytest.raises(ConfigurationError, match=said) as caught:
        convert(folder, tmp_path / "made.gguf")
    assert "convert_hf_to_gguf.py" in caught.value.remedy


def test_a_folder_without_a_model_and_a_damaged_one_are_told_apart(
    tmp_path: Path, qwen3: Path
) -> None:
    with pytest.raises(ModelUnavailable, match=r"no config\.json"):
        convert(tmp_path, tmp_path / "made.gguf")
    folder = shutil.copytree(qwen3, tmp_path / "source")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        convert(folder, tmp_path / "made.gguf")


def test_an_unknown_quantisation_names_those_there_are(tmp_path: Path, qwen3: Path) -> None:
    with pytest.raises(ConfigurationError, match="Q4_K_M"):
        convert(qwen3, tmp_path / "made.gguf", quantisation="Q9")
