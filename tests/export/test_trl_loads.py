"""TRL's own trainers take our files with no further code, and learn from them one step.

The model is a random one of a few thousand parameters, with a tokenizer of bytes and a template
that says tools and calls: enough for every code path of the trainers.
"""

import json
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.export.conftest import rows
from tests.export.test_formats import READ, judged
from tests.runs.conftest import House

from wardian import Agent, RunStore
from wardian.models.replies import Answer
from wardian.prompt import SYSTEM_PROMPT
from wardian_tools import select

pytestmark = [
    pytest.mark.skipif(not find_spec("trl"), reason="the extra for training is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of packages about each other; not ours to mend
]

TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\n' }}{% for tool in tools %}{{ tool | tojson }}
{% endfor %}{{ '<|im_end|>\n' }}{% endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.role == 'assistant' -%}
{% generation %}{{ message.content or '' }}
{%- for call in message.tool_calls or [] -%}
{{ '<tool_call>' + (call.function | tojson) + '</tool_call>' }}
{%- endfor %}{{ '<|im_end|>' }}{% endgeneration %}{{ '\n' }}
{%- else -%}{{ message.content + '<|im_end|>\n' }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


class SmallHouse(House):
    """Runs with two tools: a long prompt takes long."""

    def agent(self, script: Sequence[Answer], **options: Any) -> Agent[Any]:
        return super().agent(script, **{"tools": ["read_file", "write_file"], **options})


@pytest.fixture
def house(tmp_path: Path) -> House:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "a.txt").write_text("one\ntwo\n")
    return SmallHouse(RunStore(tmp_path / "runs"), workspace)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    told = [
        SYSTEM_PROMPT,
        *(json.dumps(one.parameters) for one in select(["read_file", "write_file"])),
    ]
    trainer = trainers.BpeTrainer(vocab_size=1_000, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(told, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="module")
def model(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder, as a model of the hub is one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=16_384,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    folder = str(tmp_path_factory.mktemp("model"))
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def dataset(house: House, format_name: str) -> Any:
    """The written file as TRL's own way to load one gives it."""
    from datasets import load_dataset

    made, _ = rows(house, format_name)
    assert made
    file = str(house.workspace.parent / "rows.jsonl")
    cache = str(house.workspace.parent / "cache")
    return load_dataset("json", data_files=file, split="train", cache_dir=cache)


def arguments(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        **more,
    }


def test_sft_learns_from_replies_alone(
    house: House, tmp_path: Path, tokenizer: Any, model: str
) -> None:
    from trl import SFTConfig, SFTTrainer

    house.run(READ)
    config = SFTConfig(**arguments(tmp_path, assistant_only_loss=True, max_length=None))
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=dataset(house, "trl-sft"),
        processing_class=tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    said = tokenizer.decode([token for token in batch["labels"][0].tolist() if token >= 0])
    assert '"name": "read_file"' in said
    assert said.endswith("Two lines.<|im_end|>")
    assert "one\ntwo" not in said  # the tool's result
    assert trainer.train().training_loss > 0


def test_dpo_learns_from_pairs_of_single_replies(
    house: House, tmp_path: Path, tokenizer: Any, model: str
) -> None:
    from trl import DPOConfig, DPOTrainer

    judged(house)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**arguments(tmp_path, max_length=None)),
        train_dataset=dataset(house, "trl-preference"),
        processing_class=tokenizer,
    )
    assert trainer.train().training_loss > 0


def test_kto_learns_from_judged_replies(
    house: House, tmp_path: Path, tokenizer: Any, model: str
) -> None:
    from trl import KTOConfig, KTOTrainer

    judged(house)
    trainer = KTOTrainer(
        model=model,
        args=KTOConfig(**arguments(tmp_path, max_length=None)),
        train_dataset=dataset(house, "trl-kto"),
        processing_class=tokenizer,
    )
    assert trainer.train().training_loss > 0


def test_grpo_asks_the_exported_prompts_and_sees_files_and_answer(
    house: House, tmp_path: Path, tokenizer: Any, model: str
) -> None:
    from trl import GRPOConfig, GRPOTrainer

    judged(house)
    seen: list[tuple[str, str]] = []

    def reward(
        completions: list[Any], files: list[str], answer: list[str], **_: Any
    ) -> list[float]:
        seen.extend(zip(files, answer, strict=True))
        return [float(i) for i, _ in enumerate(completions)]

    trainer = GRPOTrainer(
        model=model,
        args=GRPOConfig(**arguments(tmp_path, num_generations=2, max_completion_length=2)),
        reward_funcs=reward,
        train_dataset=dataset(house, "trl-prompts"),
        processing_class=tokenizer,
    )
    trainer.train()
    assert {tuple(json.loads(files)) for files, _ in seen} == {("a.txt",)}
