"""Makes small models of transformers with random weights and real tokenizers, for conversion."""

from pathlib import Path
from typing import Any

TEXT = [
    "Hello world, the files of a folder are read and counted; 12 lines, 345 words, isn't it?",
    'def area(r): return 3.14 * r ** 2\n\n{"name": "read_file", "arguments": {"path": "a.txt"}}',
    "<|im_start|>user\nHow many lines has notes.txt?<|im_end|>\nassistant It has 12 lines.",
] * 4
TEMPLATE = (
    "{%- for message in messages %}{%- if message.role == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n' }}{% generation %}{{- message.content + '<|im_end|>' }}"
    "{% endgeneration %}{{- '\\n' }}{%- else %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 2,
}


def make_model(folder: Path, config: Any, pattern: str | None = None) -> Path:
    """Weights, configuration and tokenizer of a random model of this configuration's class.

    `pattern` cuts text before it is merged; None takes GPT-2's.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(pattern)
    config.vocab_size = len(tokenizer) + 3  # an embedding is often padded
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # as made, norms are all 1 and biases 0: nothing would be tested
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(pattern: str | None = None) -> Any:
    """A byte-level BPE of about 320 tokens in ChatML's convention."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*split, bytes_of])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT, trainer)
    backend.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        chat_template=TEMPLATE,
    )
