"""What the environment may change about a request, and what the imports cost."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from wardian.models.chat import ChatModel
from wardian.models.http_endpoint import proxy_for, without_userinfo
from wardian.models.scripted_server import ScriptedServer, refuse, stream_text
from wardian.types import Delta, Reply


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "http://other.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.example/v1", "http://proxy.example:3128"),
        ("http://lan.example/v1", "http://other.example:3128"),
        ("https://internal.example/v1", None),
        ("http://127.0.0.1:8080/v1", None),
        ("http://localhost:8080/v1", None),
        ("http://[::1]:8080/v1", None),
    ],
)
def test_the_environment_s_proxy_is_used_but_never_for_this_machine(
    url: str, proxy: str | None
) -> None:
    assert proxy_for(url) == proxy


@pytest.mark.usefixtures("proxied")
def test_a_local_server_is_reached_past_a_proxy_that_is_not_there(
    ask: Callable[..., tuple[list[Delta], Reply]], chat_model: Callable[..., ChatModel]
) -> None:
    with ScriptedServer([refuse(503), stream_text("ok")]) as server:
        assert ask(chat_model(server))[1].message.content == "ok"


def test_a_shown_url_holds_no_secret() -> None:
    shown = without_userinfo("https://me:secret@h:8/v1?key=secret#secret")
    assert shown == "https://h:8/v1"


def test_choosing_a_model_loads_neither_http_nor_model_libraries() -> None:
    heavy = ("httpx2", "litellm", "llama_cpp", "pydantic", "numpy", "jinja2", "urllib.request")
    program = (
        "import sys, wardian.models.catalogue as c;"
        "c.known_models({}, []); c.resolve_model('ollama/m', environ={});"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
