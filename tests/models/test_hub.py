"""Models come from the hub whole, at one commit, and go on where they broke off."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from wardian.errors import ModelRefused, ModelUnavailable
from wardian.models.advice import ADVICE, advised
from wardian.models.gguf_files import find_in_hugging_face_cache
from wardian.models.hub import Hub, HubFile, remove_cached, sha256_of

_PATH = Path(__file__).parents[1] / "support" / "hub_server.py"
_SPEC = importlib.util.spec_from_file_location("hub_server", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
hub_server: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hub_server)

GOOD = b"GGUF" + bytes(range(256)) * 4096
FILES = {
    "README.md": b"hello",
    "m-Q8_0.gguf": b"GGUF" + b"8" * 100,
    "m-Q4_K_M.gguf": GOOD,
    "mmproj-F16.gguf": b"GGUF vision",
    "big/m-BF16-00002-of-00002.gguf": b"GGUF second",
    "big/m-BF16-00001-of-00002.gguf": b"GGUF first",
}


@pytest.fixture
def server() -> Iterator[Any]:
    with hub_server.HubServer(FILES) as running:
        yield running


@pytest.fixture
def environ(server: Any, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}


def pulled(environ: dict[str, str], quant: str = "") -> Path:
    hub = Hub(environ)
    return hub.pull(hub.files("owner/model", quant), lambda _: None)


def test_the_usual_quantisation_is_taken_where_none_is_named(environ: dict[str, str]) -> None:
    (file,) = Hub(environ).files("owner/model")
    assert (file.name, file.size_bytes) == ("m-Q4_K_M.gguf", len(GOOD))
    assert file.commit == hub_server.COMMIT


def test_all_parts_of_a_split_file_are_taken_in_order(environ: dict[str, str]) -> None:
    names = [file.name for file in Hub(environ).files("owner/model", "bf16")]
    assert names == ["big/m-BF16-00001-of-00002.gguf", "big/m-BF16-00002-of-00002.gguf"]
    assert pulled(environ, "bf16").name == "m-BF16-00001-of-00002.gguf"


def test_a_quantisation_that_is_not_there_is_answered_with_those_that_are(
    environ: dict[str, str],
) -> None:
    with pytest.raises(ModelUnavailable, match="it has BF16, Q4_K_M, Q8_0"):
        Hub(environ).files("owner/model", "Q2_K")


def test_a_pulled_file_is_found_again_by_its_spelling(environ: dict[str, str]) -> None:
    path = pulled(environ)
    assert path.read_bytes() == GOOD
    held = find_in_hugging_face_cache("owner/model", "Q4_K_M", environ)
    assert held is not None
    assert held.spelling == "hf:owner/model:Q4_K_M"
    assert hub_server.COMMIT in held.path.parts


def test_what_broke_off_goes_on_where_it_was(server: Any, environ: dict[str, str]) -> None:
    """The client keeps what came in pieces of 10 MB."""
    server.files["m-Q4_K_M.gguf"] = long = GOOD + bytes(24_000_000)
    server.break_after = [15_000_000]
    assert pulled(environ).read_bytes() == long
    ranges = [asked for _, path, asked in server.asked if path.endswith("Q4_K_M.gguf") and asked]
    assert ranges == ["bytes=10485760-"]


def test_what_is_here_already_is_not_fetched_again(server: Any, environ: dict[str, str]) -> None:
    pulled(environ)
    before = [m for m, path, _ in server.asked if path.endswith(".gguf")].count("GET")
    pulled(environ)
    assert [m for m, path, _ in server.asked if path.endswith(".gguf")].count("GET") == before


def test_a_file_whose_content_is_not_the_hubs_is_removed(
    server: Any, environ: dict[str, str]
) -> None:
    server.served = {"m-Q4_K_M.gguf": GOOD[:-1] + b"!"}
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        pulled(environ)
    assert find_in_hugging_face_cache("owner/model", "Q4_K_M", environ) is None
    server.served = {}
    assert pulled(environ).read_bytes() == GOOD


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    server: Any, environ: dict[str, str]
) -> None:
    huge = HubFile(repo="owner/model", commit="c", name="m.gguf", size_bytes=10**16, sha256=None)
    with pytest.raises(ModelUnavailable, match=r"needs 10000000\.0 GB"):
        Hub(environ).pull([huge], lambda _: None)
    assert server.asked == []


def test_a_gated_model_says_what_to_do(server: Any, environ: dict[str, str]) -> None:
    server.gated = True
    with pytest.raises(ModelRefused, match="Accept it on the model's page"):
        pulled(environ)


def test_a_repository_that_is_not_there_is_said_so(environ: dict[str, str]) -> None:
    with pytest.raises(ModelUnavailable, match="The hub has no owner/other"):
        Hub(environ).files("owner/other")


def test_a_hub_that_is_away_is_said_so(environ: dict[str, str]) -> None:
    away = environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(ModelUnavailable, match="could not give owner/model"):
        Hub(away).files("owner/model")
    with pytest.raises(ModelUnavailable, match="could not give the search") as caught:
        Hub(away).search("qwen")
    assert "`agent models search` without words" in caught.value.remedy


def test_search_finds_repositories(environ: dict[str, str]) -> None:
    (found,) = Hub(environ).search("model")
    assert (found.repo, found.downloads, found.is_gated) == ("owner/model", 1234, False)
    assert Hub(environ).search("nothing of that name") == []


def test_a_removed_file_is_gone_with_its_blob(environ: dict[str, str], tmp_path: Path) -> None:
    pulled(environ)
    held = find_in_hugging_face_cache("owner/model", "Q4_K_M", environ)
    assert held is not None
    assert remove_cached(held, environ) == len(GOOD)
    assert find_in_hugging_face_cache("owner/model", "Q4_K_M", environ) is None
    blobs = [p for p in (tmp_path / "hf").rglob("blobs/*") if p.stat().st_size == len(GOOD)]
    assert blobs == []


def test_the_command_pulls_shows_and_removes(environ: dict[str, str], tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}

    def agent(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "wardian", "models", *arguments],
            env={**kept, **environ, "WARDIAN_HOME": str(tmp_path / "w")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    done = agent("pull", "hf:owner/model")
    assert (done.stdout, done.returncode) == ("hf:owner/model:Q4_K_M\n", 0), done.stderr
    assert "m-Q4_K_M.gguf at 0123456789ab, 1.0 MB" in done.stderr
    assert "hf:owner/model:Q4_K_M" in agent("list").stdout
    assert agent("use", "hf:owner/model:Q4_K_M").returncode == 0
    (line,) = [s for s in agent("list").stdout.splitlines() if "in use:" in s]
    assert line.startswith("hf:owner/model:Q4_K_M ")
    unasked = agent("rm", "hf:owner/model:Q4_K_M")
    assert (unasked.returncode, "Nobody can be asked" in unasked.stderr) == (6, True)
    removed = agent("rm", "--yes", "hf:owner/model:Q4_K_M")
    assert (removed.returncode, "1.0 MB freed" in removed.stderr) == (0, True)


def test_advice_grows_with_the_memory_and_never_is_nothing() -> None:
    assert advised(0.5) == ADVICE[:1]
    assert advised(8)[0].memory_gb == 8
    assert advised(1000)[0] == ADVICE[-1]
    assert all(a.memory_gb > a.size_gb for a in ADVICE)


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")
