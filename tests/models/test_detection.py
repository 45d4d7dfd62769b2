"""Servers on their ports, GGUF files in their folders: found, asked, ranked, one chosen."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wardian.models.detection import Found, FoundModel, find_files, find_served, look_around
from wardian.models.scripted_server import Answer, Received, ScriptedServer, stream_text


def answered(value: Any, status: int = 200) -> Answer:
    return Answer(
        status=status,
        headers={"content-type": "application/json"},
        parts=(json.dumps(value).encode(),),
        framing="length",
    )


def nowhere() -> dict[str, str]:
    """Every server is looked for on a port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
    names = ("LMSTUDIO_BASE_URL", "VLLM_BASE_URL", "LLAMA_SERVER_BASE_URL")
    return {"OLLAMA_HOST": url, **dict.fromkeys(names, url), "HOME": "/nowhere"}


def served(variable: str, answers: Mapping[str, Any]) -> list[FoundModel]:
    """What is found where a server answers these paths, and 404 to all others."""

    def answer(request: Received) -> Answer:
        value = answers.get(request.path)
        if callable(value):
            value = value(request)
        return answered({"error": "no"}, 404) if value is None else answered(value)

    with ScriptedServer(answer) as server:
        root = server.base_url.removesuffix("/v1")
        return find_served(nowhere() | {variable: root})


def ollama_shows(request: Received) -> dict[str, Any]:
    takes = request.json["model"] == "qwen3:8b"
    return {
        "capabilities": ["completion", *(["tools"] if takes else [])],
        "model_info": {"qwen3.context_length": 40960},
    }


OLLAMA = {
    "/api/tags": {"models": [{"name": "gemma2:2b", "size": 9}, {"name": "qwen3:8b", "size": 5}]},
    "/api/show": ollama_shows,
    "/api/ps": {"models": [{"name": "gemma2:2b"}]},
}


def test_ollamas_models_come_with_what_they_can_do() -> None:
    gemma, qwen = served("OLLAMA_HOST", OLLAMA)
    assert (gemma.spelling, gemma.takes_tools, gemma.is_loaded) == ("ollama/gemma2:2b", False, True)
    assert (qwen.takes_tools, qwen.context_tokens, qwen.size_bytes) == (True, 40960, 5)


def test_lm_studios_models_come_with_what_they_can_do() -> None:
    models = [
        {"id": "q", "type": "llm", "state": "loaded", "capabilities": ["tool_use"],
         "max_context_length": 9000, "loaded_context_length": 4096},
        {"id": "e", "type": "embeddings"},
    ]  # fmt: skip
    (found,) = served("LMSTUDIO_BASE_URL", {"/api/v0/models": {"data": models}})
    assert (found.spelling, found.takes_tools, found.context_tokens) == ("lmstudio/q", True, 4096)


def test_a_llama_server_is_known_by_its_properties_and_its_template() -> None:
    (found,) = served(
        "LLAMA_SERVER_BASE_URL",
        {
            "/props": {
                "default_generation_settings": {"n_ctx": 8192},
                "chat_template": "{{ m.tool_calls }}<tool_call>",
            },
            "/v1/models": {"data": [{"id": "m.gguf"}]},
        },
    )
    assert (found.spelling, found.takes_tools, found.context_tokens, found.is_loaded) == (
        "llama-server/m.gguf",
        True,
        8192,
        True,
    )


def test_vllm_is_known_by_whose_models_it_lists() -> None:
    listed = {"data": [{"id": "org/m", "owned_by": "vllm", "max_model_len": 32768}]}
    (found,) = served("VLLM_BASE_URL", {"/v1/models": listed})
    assert (found.spelling, found.takes_tools, found.context_tokens) == ("vllm/org/m", None, 32768)


@pytest.mark.parametrize(
    ("variable", "answers"),
    [
        ("LLAMA_SERVER_BASE_URL", {"/": "a web page", "/props": {"what": 1}}),
        ("VLLM_BASE_URL", {"/v1/models": {"data": [{"id": "x", "owned_by": "somebody"}]}}),
        ("VLLM_BASE_URL", {"/v1/models": ["x"]}),
        ("OLLAMA_HOST", {"/api/tags": {"models": [{"no name": 1}]}}),
        ("LMSTUDIO_BASE_URL", {"/api/v0/models": {"data": "none"}}),
    ],
)
def test_another_kind_of_server_on_that_port_is_left_alone(variable: str, answers: Any) -> None:
    assert served(variable, answers) == []


def test_a_server_that_answers_a_web_page_is_left_alone() -> None:
    page = Answer(headers={"content-type": "text/html"}, parts=(b"<html>hello</html>",))
    with ScriptedServer(lambda _: page) as server:
        root = server.base_url.removesuffix("/v1")
        assert find_served(nowhere() | {"OLLAMA_HOST": root, "VLLM_BASE_URL": root}) == []


def test_no_key_is_sent_while_looking() -> None:
    with ScriptedServer(lambda _: answered({"models": []})) as server:
        root = server.base_url.removesuffix("/v1")
        find_served(nowhere() | {"OLLAMA_HOST": root, "OLLAMA_API_KEY": "secret"})
        assert all("authorization" not in r.headers for r in server.received)


def test_nothing_is_found_where_nothing_is() -> None:
    found = look_around(nowhere(), [Path("/nowhere")])
    assert found == Found(models=())
    assert found.choice is None


def model(spelling: str, **more: Any) -> FoundModel:
    return FoundModel(spelling=spelling, where="here", **more)


def test_the_choice_takes_tools_or_is_loaded_and_does_not_say() -> None:
    able, unable = model("ollama/a", takes_tools=True), model("ollama/b", takes_tools=False)
    unknown = model("vllm/c", is_loaded=True)
    assert Found(models=(unable, able, unknown)).choice == able
    assert Found(models=(unable, unknown)).choice == unknown
    assert Found(models=(unable, model("ollama/d"))).choice is None


def test_a_file_larger_than_the_memory_is_not_chosen() -> None:
    huge = model("gguf:/m.gguf", takes_tools=True, size_bytes=10**15)
    small = model("gguf:/n.gguf", takes_tools=True, size_bytes=10**6)
    assert Found(models=(huge, small)).choice == small


def test_files_are_read_for_their_template_and_damaged_ones_passed_over(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    path = Path(__file__).parents[1] / "support" / "random_gguf.py"
    spec = importlib.util.spec_from_file_location("random_gguf", path)
    assert spec is not None
    assert spec.loader is not None
    random_gguf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(random_gguf)
    random_gguf.make_gguf(tmp_path / "good.gguf")
    random_gguf.make_gguf(tmp_path / "plain.gguf", template=None)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 60)
    (found,) = find_files([tmp_path])
    assert found.spelling == f"gguf:{tmp_path / 'good.gguf'}"
    assert (found.takes_tools, found.context_tokens) == (True, 4096)


def chat_server(request: Received) -> Answer:
    """An Ollama that has one model, which answers."""
    if request.path == "/v1/chat/completions":
        return stream_text("Hello from the server.")
    shown = {"capabilities": ["tools"], "model_info": {"q.context_length": 8192}}
    known = {"/api/tags": {"models": [{"name": "q:1b", "size": 9}]}, "/api/show": shown}
    value = known.get(request.path)
    return answered({}) if value is None else answered(value)


def test_a_run_without_a_model_uses_what_it_finds_and_says_so(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with ScriptedServer(chat_server) as server:
        root = server.base_url.removesuffix("/v1")
        environment = nowhere() | kept | {"OLLAMA_HOST": root, "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "wardian", "run", "--json", "Hello?"],
            env=environment | {"WARDIAN_HOME": str(tmp_path / "w")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert f"found ollama/q:1b at {root}, which does it" in done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["answer"] == "Hello from the server."
    (sent,) = [r.json for r in server.received if r.path == "/v1/chat/completions"]
    assert sent["model"] == "q:1b"
