"""What a model is loaded with and where: adapters, memory, GPU layers; damaged headers."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.catalogue import adapters_named, resolve_model
from wardian.models.llama import LlamaModel
from wardian.models.llamacpp.header import HeaderDamaged, read_header
from wardian.models.llamacpp.load import LoadFailed, LoadOptions, check_memory
from wardian.models.llamacpp.memory import Layout, available_bytes, layers_that_fit
from wardian.types import Message, Reply, Request, Role, Sampling

QUESTION = Request(
    messages=(Message(role=Role.USER, content="Hello"),),
    sampling=Sampling(temperature=0.0, max_tokens=12),
)
GIB = 2**30


def make_adapter(path: Path, *, architecture: str = "qwen3", width: int = 64) -> Path:
    """A LoRA of rank 4 that changes what the first layer's queries are."""
    rng = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_string("general.base_model.0.name", "Llama 9")
    writer.add_float32("adapter.lora.alpha", 4.0)
    for name in ("attn_q", "attn_output"):
        for layer in (0, 1):
            for part, shape in (("a", (4, width)), ("b", (width, 4))):
                tensor = rng.standard_normal(shape).astype(np.float32)
                writer.add_tensor(f"blk.{layer}.{name}.weight.lora_{part}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def replied(path: Path, **options: Any) -> tuple[Reply, dict[str, Any]]:
    async def main() -> tuple[Reply, dict[str, Any]]:
        model = LlamaModel(path, name="test", threads=1, **options)
        try:
            async with aclosing(model.stream(QUESTION)) as stream:
                reply = [item async for item in stream][-1]
            assert isinstance(reply, Reply)
            return reply, model.identity
        finally:
            await model.close()

    return asyncio.run(main())


def test_an_adapter_changes_the_replies_by_its_scale_and_is_part_of_the_record(
    small_gguf: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "lora.gguf")
    plain, _ = replied(small_gguf)
    changed, identity = replied(small_gguf, adapters=[(adapter, 1.0)])
    without, _ = replied(small_gguf, adapters=[(adapter, 0.0)])
    assert changed.message != plain.message
    assert without.message == plain.message
    assert plain.tokens is not None
    assert changed.tokens is not None
    assert changed.tokens.model_sha256 != plain.tokens.model_sha256
    assert identity["adapters"][0]["sha256"]


def test_an_adapter_for_another_model_is_one_sentence(small_gguf: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "lora.gguf", width=32)
    told = r"adapter lora\.gguf does not go with it"
    with pytest.raises(ModelUnavailable, match=told) as caught:
        replied(small_gguf, adapters=[(adapter, 1.0)])
    assert "\n" not in str(caught.value)
    assert caught.value.remedy == "Name the model that the adapter was trained on."


def test_an_adapter_in_the_place_of_a_model_is_named_as_one(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "lora.gguf")
    with pytest.raises(ModelUnavailable, match="is a LoRA adapter, not a model") as caught:
        replied(adapter)
    assert f"--adapter {adapter}" in caught.value.remedy


def test_an_adapter_of_another_architecture_is_refused_by_name_before_loading(
    small_gguf: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "lora.gguf", architecture="llama")
    told = r"made for Llama 9 \(llama\) and small\.gguf is qwen3"
    with pytest.raises(ModelUnavailable, match=told):
        replied(small_gguf, adapters=[(adapter, 1.0)])
    with pytest.raises(ModelUnavailable, match="no LoRA adapter but a model"):
        replied(small_gguf, adapters=[(small_gguf, 1.0)])


def test_an_adapter_that_is_missing_is_one_sentence(small_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"The adapter .* does not exist"):
        replied(small_gguf, adapters=[(tmp_path / "none.gguf", 1.0)])


def test_adapters_are_spelled_with_their_scales() -> None:
    named = adapters_named("a.gguf, b@home.gguf@0.5")
    assert named == [(Path("a.gguf"), 1.0), (Path("b@home.gguf"), 0.5)]
    assert adapters_named("") == []
    with pytest.raises(ConfigurationError, match="no scale"):
        adapters_named("a.gguf@much")


def test_an_adapter_for_a_model_elsewhere_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not loaded here"):
        resolve_model("ollama/m", environ={}, adapter="a.gguf")


def test_a_model_larger_than_the_memory_is_refused_in_one_sentence() -> None:
    options = LoadOptions(path="m.gguf")
    available = available_bytes()
    assert available is not None
    check_memory(options, 1)
    with pytest.raises(LoadFailed, match=r"needs \d+\.\d GiB of memory and .* can be had"):
        check_memory(options, available + GIB)
    others = LoadOptions(path="m.gguf", taken_bytes=available)
    with pytest.raises(LoadFailed):
        check_memory(others, 1)


def test_a_context_that_no_memory_holds_is_one_sentence(small_gguf: Path) -> None:
    with pytest.raises(ModelUnavailable, match="context of 2000000000 tokens needs") as caught:
        replied(small_gguf, context_tokens=2_000_000_000)
    assert "context_tokens" in caught.value.remedy


@pytest.mark.parametrize(
    ("free_gib", "expected"),
    [(0, 0), (1, 0), (4, 2), (16, 14), (18, 16), (20, 17), (200, 17)],
)
def test_a_gpu_takes_the_layers_that_fit(free_gib: int, expected: int) -> None:
    layout = Layout(layers=[900 * 2**20] * 16, output=GIB // 2, cells=100 * 2**20)
    assert abs(layers_that_fit(layout, free_gib * GIB) - expected) <= 1


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, GIB), min_size=1, max_size=40),
    st.integers(0, GIB),
    st.integers(0, GIB // 8),
    st.integers(0, 64 * GIB),
)
def test_layers_on_a_gpu_never_take_more_than_is_free(
    layers: list[int], output: int, cells: int, free: int
) -> None:
    layout = Layout(layers=layers, output=output, cells=cells)
    count = layers_that_fit(layout, free)
    taken = sum(sorted(layers[::-1][: min(count, len(layers))])) + min(count, len(layers)) * cells
    assert count == 0 or taken + output <= free
    assert layers_that_fit(layout, free + GIB) >= count


def test_the_header_weighs_each_layer(small_gguf: Path) -> None:
    header = read_header(small_gguf)
    assert len(header.layer_bytes) == 2
    assert header.layer_bytes[0] == header.layer_bytes[1] > 0
    whole = sum(header.layer_bytes) + header.other_bytes
    assert 0 < whole <= small_gguf.stat().st_size
    assert header.layer_cell_bytes == 2 * (16 + 16) * 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_header_is_read_or_told(
    small_gguf: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Bytes changed, cut out, doubled or put in: nothing but a header or `HeaderDamaged`."""
    whole = small_gguf.read_bytes()
    header_bytes = whole.index(b"blk.1.ffn_up.weight") + 60
    damaged = bytearray(whole[:header_bytes])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        put_in = data.draw(st.binary(max_size=16))
        damaged[at : at + data.draw(st.integers(0, 16))] = put_in
    path = tmp_path / "damaged.gguf"
    path.write_bytes(bytes(damaged) + whole[header_bytes:])
    try:
        told, end = "a header", read_header(path).data_end
    except HeaderDamaged as e:
        told, end = str(e), 0
    assert told
    assert "\n" not in told
    assert end <= path.stat().st_size


def test_a_model_says_where_it_runs(small_gguf: Path) -> None:
    _, identity = replied(small_gguf)
    assert identity["device"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_threads_that_compute_outlive_the_tokens_they_compute(small_gguf: Path) -> None:
    async def main() -> None:
        short = replace(
            QUESTION, sampling=Sampling(max_tokens=2)
        )  # two threads wait for each other
        model = LlamaModel(small_gguf, name="test", threads=2)
        try:
            await model.start()
            threads = Path(f"/proc/{model.pid}/task")
            before = {t.name for t in threads.iterdir()}
            async with aclosing(model.stream(short)) as stream:
                assert [item async for item in stream]
            after = {t.name for t in threads.iterdir()}
        finally:
            await model.close()
        assert after == before
        assert len(after) == 3, "one that reads requests, two that compute"

    asyncio.run(main())
