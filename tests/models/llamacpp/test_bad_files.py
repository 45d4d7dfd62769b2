"""Whatever the file holds, asking it ends in an answer or in one sentence, never in a hang."""

import asyncio
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from wardian.errors import ModelError, ModelUnavailable
from wardian.models.llama import LlamaModel
from wardian.models.llamacpp.header import HeaderDamaged, read_header
from wardian.types import Message, Reply, Request, Role, Sampling

QUESTION = Request(
    messages=(Message(role=Role.USER, content="Hello"),),
    sampling=Sampling(temperature=1.0, seed=0, max_tokens=3),
)


async def outcome(path: Path) -> Reply | ModelError:
    model = LlamaModel(path, name="bad", threads=1, load_seconds=20)
    try:
        items = [item async for item in model.stream(QUESTION)]
    except ModelError as e:
        return e
    finally:
        await model.close()
    assert isinstance(items[-1], Reply)
    return items[-1]


def failure(path: Path) -> ModelError:
    found = asyncio.run(outcome(path))
    assert isinstance(found, ModelError)
    assert found.cause.endswith(".")
    assert not found.cause.endswith("..")
    assert found.remedy.endswith(".")
    assert "\n" not in str(found)
    return found


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    found = failure(tmp_path / "none.gguf")
    assert isinstance(found, ModelUnavailable)
    assert "does not exist" in found.cause


def test_a_directory_is_unavailable(tmp_path: Path) -> None:
    assert "is a directory" in failure(tmp_path).cause


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        (b"GG", "is not a GGUF file"),
        (b"<html>not found</html>", "is not a GGUF file"),
        (b"GGUF", "cut short"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "do not fit"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "do not fit"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "could not be loaded"),
    ],
)
def test_a_file_that_is_no_model_is_unavailable(tmp_path: Path, content: bytes, cause: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    found = failure(path)
    assert isinstance(found, ModelUnavailable)
    assert cause in found.cause


def test_a_cut_file_is_told_before_anything_is_loaded(tmp_path: Path, small_gguf: Path) -> None:
    whole = small_gguf.read_bytes()
    path = tmp_path / "cut.gguf"
    for size in (30, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "cut short" in failure(path).cause


def test_a_tensor_that_is_missing_is_named(tmp_path: Path, small_gguf: Path) -> None:
    path = tmp_path / "renamed.gguf"
    path.write_bytes(small_gguf.read_bytes().replace(b"blk.1.ffn_up.", b"blk.1.ffn_xx."))
    assert "blk.1.ffn_up.weight" in failure(path).cause


def test_weights_that_are_no_numbers_are_told(tmp_path: Path, small_gguf: Path) -> None:
    whole = bytearray(small_gguf.read_bytes())
    start = len(whole) // 2
    whole[start : start + 4000] = struct.pack("<f", float("nan")) * 1000
    path = tmp_path / "nan.gguf"
    path.write_bytes(whole)
    failure(path)


def test_every_flipped_header_ends_in_an_answer_or_a_sentence(
    tmp_path: Path, small_gguf: Path
) -> None:
    """Those that our own reader lets pass go to llama.cpp, each in a child of its own."""
    whole = small_gguf.read_bytes()
    header_bytes = whole.index(b"blk.1.ffn_up.weight") + 60
    chosen = random.Random(7)
    passing: list[Path] = []
    while len(passing) < 10:
        damaged = bytearray(whole)
        place = chosen.choice([chosen.randrange(600), chosen.randrange(header_bytes)])
        damaged[place] ^= 1 << chosen.randrange(8)
        path = tmp_path / f"{place}.gguf"
        path.write_bytes(damaged)
        with suppress(HeaderDamaged):
            read_header(path)
            passing.append(path)

    async def main() -> None:
        assert all([str(await outcome(path)) for path in passing])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("template", "cause"),
    [
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "does not come to an end",
        ),
        ("{% for a in range(90000) %}{{ 'x' * 100000 }}{% endfor %}", "more than"),
        ("{{ '%10000000000d' % 1 }}", "Memory"),
        ("{{ raise_exception('not today') }}", "not today"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ messages | attr('content') }}", "writes nothing of the conversation"),
    ],
)
def test_a_hostile_template_is_told(
    tmp_path: Path, make_gguf: Callable[..., Path], template: str, cause: str
) -> None:
    found = failure(make_gguf(tmp_path / "hostile.gguf", template=template))
    assert cause in found.cause
    assert "template" in found.cause


def test_the_header_says_what_the_model_is(small_gguf: Path) -> None:
    header = read_header(small_gguf)
    assert (header.architecture, header.quantisation) == ("qwen3", "F32")
    assert header.trained_context_tokens == 4096
    assert header.template is not None
    assert "<|im_start|>" in header.template
    assert header.data_end <= small_gguf.stat().st_size
