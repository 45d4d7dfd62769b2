"""A model's spelling becomes the model meant, or a sentence that says what could be."""

import os
from pathlib import Path

import pytest

from wardian.errors import ConfigurationError, ModelRefused, ModelUnavailable
from wardian.models.catalogue import known_models, resolve_model
from wardian.models.gguf_files import GgufFile
from wardian.models.litellm_model import LitellmModel
from wardian.models.llama import LlamaModel

KEY = {"OPENAI_API_KEY": "sk-test"}


@pytest.mark.parametrize(
    ("spelling", "environ", "base_url", "endpoint"),
    [
        ("ollama/qwen3:8b", {}, None, "http://127.0.0.1:11434/v1"),
        ("ollama/q", {"OLLAMA_HOST": "0.0.0.0"}, None, "http://127.0.0.1:11434/v1"),
        ("ollama/q", {"OLLAMA_HOST": ":9000"}, None, "http://127.0.0.1:9000/v1"),
        ("ollama/q", {"OLLAMA_HOST": "gpu.lan"}, None, "http://gpu.lan:11434/v1"),
        ("ollama/q", {"OLLAMA_HOST": "https://gpu.lan"}, None, "https://gpu.lan:443/v1"),
        ("ollama/q", {"OLLAMA_HOST": "[::]:5"}, None, "http://[::1]:5/v1"),
        ("lmstudio/q", {}, None, "http://127.0.0.1:1234/v1"),
        ("vllm/org/model", {"VLLM_BASE_URL": "http://h:1/v1/"}, None, "http://h:1/v1"),
        ("llama-server/q", {}, "127.0.0.1:9", "http://127.0.0.1:9/v1"),
        ("openai/gpt-5", KEY, None, "https://api.openai.com/v1"),
        ("openai/m", {"OPENAI_BASE_URL": "http://127.0.0.1:7/v1"}, None, "http://127.0.0.1:7/v1"),
        ("openai/m", {}, "http://lan.example:7/api", "http://lan.example:7/api"),
        ("any-name", {}, "http://127.0.0.1:7", "http://127.0.0.1:7/v1"),
    ],
)
def test_a_server_s_model_is_asked_where_that_server_is(
    spelling: str, environ: dict[str, str], base_url: str | None, endpoint: str
) -> None:
    model = resolve_model(spelling, base_url=base_url, environ=environ)
    assert model.identity["kind"] == "chat"
    assert (model.name, model.identity["endpoint"]) == (spelling, endpoint)


def test_a_nested_name_is_kept_whole() -> None:
    assert resolve_model("vllm/org/model", environ={}).identity["model"] == "org/model"


def test_openai_without_a_key_names_the_variable() -> None:
    with pytest.raises(ModelRefused, match="OPENAI_API_KEY is not set"):
        resolve_model("openai/gpt-5", environ={"OPENAI_API_KEY": "  "})


def test_the_key_is_named_by_its_source_and_never_shown() -> None:
    identity = resolve_model("openai/gpt-5", environ=KEY).identity
    assert identity["key_from"] == "OPENAI_API_KEY"
    assert "sk-test" not in str(identity)


def test_other_providers_go_through_litellm() -> None:
    model = resolve_model("anthropic/claude", environ={"ANTHROPIC_API_KEY": "x"})
    assert isinstance(model, LitellmModel)
    assert (model.is_local, model.identity["key_from"]) == (False, "ANTHROPIC_API_KEY")


@pytest.mark.parametrize(
    ("spelling", "hint"),
    [
        ("tinny", "Did you mean tiny?"),
        ("olama/qwen3", "ollama/qwen3"),
        ("antropic/claude", "anthropic/claude"),
        ("model.gguf", "gguf:model.gguf"),
        ("gpt-5", "PROVIDER/NAME"),
        ("ollama/", "ollama/NAME"),
        ("", "gguf:PATH"),
        ("gguf:", "gguf:PATH"),
        ("hf:justname:Q4", "hf:OWNER/NAME:QUANT"),
        ("hf:../../etc:Q4", "hf:OWNER/NAME:QUANT"),
        ("hf:o/n:Q4_K_M", "agent models pull hf:o/n:Q4_K_M"),
    ],
)
def test_an_unknown_spelling_is_answered_with_the_nearest(
    spelling: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        resolve_model(spelling, environ={"HF_HOME": str(tmp_path)})
    assert hint in caught.value.remedy


@pytest.mark.parametrize(
    "url", ["ftp://h/v1", "http://", "http://h:99999", "http://h\n.evil", "a b"]
)
def test_a_base_url_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        resolve_model("openai/m", base_url=url, environ={})


def test_a_base_url_contradicts_a_model_loaded_here(tmp_path: Path) -> None:
    for spelling in ("tiny", f"gguf:{tmp_path}/m.gguf"):
        with pytest.raises(ConfigurationError, match="loaded here"):
            resolve_model(spelling, base_url="http://127.0.0.1:1", environ={})


def gguf(path: Path, content: bytes = b"GGUF\x03\x00\x00\x00") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_gguf_file_becomes_a_local_model(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf")
    model = resolve_model(f"gguf:{path}", environ={})
    assert isinstance(model, LlamaModel)
    assert (model.name, model.is_local) == (f"gguf:{path}", True)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"GG"), "is no GGUF file"),
        (lambda path: path.write_bytes(b"version https://git-lfs"), "Git LFS pointer"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to(path), "does not exist"),
    ],
    ids=["missing", "folder", "empty", "magic", "lfs", "fifo", "loop"],
)  # fmt: skip
def test_a_file_that_is_no_model_is_told_before_it_is_loaded(
    make: object, cause: str, tmp_path: Path
) -> None:
    assert callable(make)
    make(tmp_path / "m.gguf")
    with pytest.raises(ModelUnavailable) as caught:
        resolve_model(f"gguf:{tmp_path / 'm.gguf'}", environ={})
    assert cause in caught.value.cause
    assert caught.value.remedy


def hub_file(home: Path, name: str, *, repo: str = "o--n", revision: str = "r1") -> Path:
    return gguf(home / "hub" / f"models--{repo}" / "snapshots" / revision / name)


def test_a_cached_file_is_found_by_repository_and_quantisation(tmp_path: Path) -> None:
    hub_file(tmp_path, "n-Q8_0.gguf")
    wanted = hub_file(tmp_path, "n-Q4_K_M.gguf")
    hub_file(tmp_path, "n-Q4_K_M.gguf", repo="other--n")
    environ = {"HF_HOME": str(tmp_path)}
    model = resolve_model("hf:o/n:q4_k_m", environ=environ)
    assert str(wanted) in str(vars(model))
    with pytest.raises(ModelUnavailable, match="no GGUF file of o/n in Q2_K"):
        resolve_model("hf:o/n:Q2_K", environ=environ)


def test_known_models_are_those_of_the_machine_and_its_keys(tmp_path: Path) -> None:
    hub_file(tmp_path, "n-Q4_K_M.gguf")
    hub_file(tmp_path, "mmproj-n.gguf")
    gguf(tmp_path / "mine" / "big-00001-of-00003.gguf")
    gguf(tmp_path / "mine" / "big-00002-of-00003.gguf")
    gguf(tmp_path / "mine" / "empty.gguf", b"")
    (tmp_path / "mine" / "gone.gguf").symlink_to(tmp_path / "nothing")
    environ = {"GROQ_API_KEY": "x", "OPENAI_API_KEY": "y", "OLLAMA_HOST": "h", "XAI_API_KEY": " "}
    known = known_models(environ, [tmp_path / "hub", tmp_path / "mine", tmp_path / "absent"])
    assert [m.spelling for m in known if m.source == "file"] == [
        "hf:o/n:Q4_K_M",
        f"gguf:{tmp_path}/mine/big-00001-of-00003.gguf",
    ]
    providers = {m.spelling: m.detail for m in known if m.source == "provider"}
    assert list(providers) == ["openai/…", "ollama/…", "groq/…"]
    assert providers["ollama/…"] == "OLLAMA_HOST set"
    assert all(secret not in str(known) for secret in ("'x'", "'y'"))


def test_what_is_listed_can_be_resolved(tmp_path: Path) -> None:
    hub_file(tmp_path, "n-IQ3_XS.gguf")
    environ = {"HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
    (file,) = (m for m in known_models(environ) if m.source == "file")
    assert isinstance(resolve_model(file.spelling, environ=environ), LlamaModel)


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3-4B-Q4_K_M.gguf", "Q4_K_M"),
        ("llama.q8_0.gguf", "Q8_0"),
        ("m-UD-IQ2_XXS-00001-of-00002.gguf", "IQ2_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("m-BF16.gguf", "BF16"),
        ("Qwen3.gguf", ""),
    ],
)
def test_a_file_s_quantisation_is_read_from_its_name(name: str, quant: str) -> None:
    assert GgufFile(path=Path(name), size_bytes=1).quant == quant
