"""What this machine has to answer with, found without being told.

Servers are looked for on their usual ports (or where their variable says), all at once: a port of
this machine on which nobody listens says so in microseconds. Whoever listens is asked what it is
and what its models can do; no key and no text of the user's goes there. GGUF files are looked for
where programs keep them, and only their headers are read.

A model of a provider that costs money or leaves the machine is never chosen here, only named.
"""

import json
import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from wardian.errors import ConfigurationError
from wardian.models.families import family_of
from wardian.models.gguf_files import GgufFile, find_gguf_files
from wardian.models.llamacpp.header import Header, HeaderDamaged, read_header
from wardian.models.providers import LOCAL_SERVERS, endpoint_of

CONNECT_SECONDS = 0.25
"""For an address that is not this machine's; this machine's own answers at once."""
ANSWER_SECONDS = 2.0
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
ASKED_MODELS = 12
"""Models of one server that are asked one by one what they can do."""
READ_HEADERS = 40
MEMORY_SHARE = 0.6
"""Of the machine's memory: a file larger than this is not chosen by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model that could answer now."""

    spelling: str
    where: str
    """the server's address, or the file"""
    takes_tools: bool | None = None
    """None where it does not say"""
    context_tokens: int | None = None
    size_bytes: int | None = None
    is_loaded: bool = False
    """in memory already: no wait for it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found, the best first, and the one to use."""

    models: tuple[FoundModel, ...]
    keys: tuple[str, ...] = ()
    """Providers with a key in the environment"""

    @property
    def choice(self) -> FoundModel | None:
        """The first that takes tools, or is loaded and does not say; a file only where it fits
        into memory."""
        able = (m for m in self.models if m.takes_tools or (m.takes_tools is None and m.is_loaded))
        return next((m for m in able if _fits(m)), None)


def look_around(
    environ: Mapping[str, str], folders: Sequence[Path], keys: Sequence[str] = ()
) -> Found:
    """Servers, then files; of each kind what is loaded and what is larger first."""
    servers = sorted(find_served(environ), key=_rank)
    files = sorted(find_files(folders), key=_rank)
    return Found(models=(*servers, *files), keys=tuple(keys))


def _rank(model: FoundModel) -> tuple[bool, bool, int, str]:
    return (
        not model.takes_tools,
        not model.is_loaded,
        -(model.size_bytes or 0),
        model.spelling,
    )


def _fits(model: FoundModel) -> bool:
    is_file = model.spelling.startswith(("gguf:", "hf:"))
    return not is_file or (model.size_bytes or 0) <= MEMORY_SHARE * memory_bytes()


def memory_bytes() -> int:
    """Of this machine; 8 GB where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 8 * 10**9


def find_files(folders: Sequence[Path]) -> list[FoundModel]:
    """GGUF files that hold a chat model, newest first where there are very many."""
    files = find_gguf_files(folders)
    if len(files) > READ_HEADERS:
        files = sorted(files, key=lambda f: f.path.stat().st_mtime, reverse=True)[:READ_HEADERS]
    return [found for file in files if (found := _file(file)) is not None]


def _file(file: GgufFile) -> FoundModel | None:
    try:
        header = read_header(file.path)
    except (HeaderDamaged, OSError):
        return None
    if header.template is None:
        return None  # an embedding model, or one that only completes text
    return FoundModel(
        spelling=file.spelling,
        where=str(file.path),
        takes_tools=takes_tools(header),
        context_tokens=header.trained_context_tokens,
        size_bytes=file.size_bytes,
    )


def takes_tools(header: Header) -> bool:
    """Was the model trained to call tools, as far as its template shows?"""
    template = header.template or ""
    return family_of(template).is_template(template)


def find_served(environ: Mapping[str, str]) -> list[FoundModel]:
    """Models of the servers that answer now."""
    urls: dict[str, str] = {}
    for provider in LOCAL_SERVERS:
        with suppress(ConfigurationError):  # said where the server is named, not here
            urls[provider] = endpoint_of(provider, None, environ).base_url
    listening = [provider for provider in _listening(urls) if provider in _ASKING]
    if not listening:
        return []
    with ThreadPoolExecutor(len(listening)) as pool:
        asked = pool.map(_asked, listening, [urls[provider] for provider in listening])
    return [model for models in asked for model in models]


def _listening(urls: Mapping[str, str]) -> list[str]:
    """Providers on whose port somebody accepts a connection."""
    waiting: dict[int, tuple[str, socket.socket]] = {}
    accepted: list[str] = []
    for provider, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            continue
        opened = socket.socket(socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET)
        opened.setblocking(False)
        with suppress(OSError):
            opened.connect_ex((parts.hostname, parts.port or 80))
        waiting[opened.fileno()] = provider, opened
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLOUT)
    until = time.monotonic() + CONNECT_SECONDS
    while waiting:
        ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
        if not ready:
            break
        for descriptor, _ in ready:
            provider, opened = waiting.pop(descriptor)
            poll.unregister(descriptor)
            if opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and _is_connected(opened):
                accepted.append(provider)
            opened.close()
    for _, opened in waiting.values():
        opened.close()
    return [provider for provider in urls if provider in accepted]


def _is_connected(opened: socket.socket) -> bool:
    try:
        opened.getpeername()
    except OSError:
        return False
    return True


def _asked(provider: str, base_url: str) -> list[FoundModel]:
    """What one server says of itself; nothing where it is another kind of server."""
    root = base_url.removesuffix("/v1")
    try:
        return _ASKING[provider](root)
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return []


def _ollama(root: str) -> list[FoundModel]:
    listed = _objects(_get(root, "/api/tags").get("models"))
    with ThreadPoolExecutor(4) as pool:
        names = [str(entry["name"]) for entry in listed[:ASKED_MODELS]]
        known = dict(zip(names, pool.map(partial(_ollama_details, root), names), strict=True))
    loaded = {str(m.get("name")) for m in _objects(_get(root, "/api/ps").get("models"))}
    found: list[FoundModel] = []
    for entry in listed:
        name = str(entry["name"])
        takes, context = known.get(name, (None, None))
        found.append(
            FoundModel(
                spelling=f"ollama/{name}",
                where=root,
                takes_tools=takes,
                context_tokens=context,
                size_bytes=_whole(entry.get("size")),
                is_loaded=name in loaded,
            )
        )
    return found


def _ollama_details(root: str, name: str) -> tuple[bool | None, int | None]:
    try:
        shown = _get(root, "/api/show", {"model": name})
    except (OSError, ValueError):
        return None, None
    info = shown.get("model_info")
    lengths = (
        [v for k, v in cast("dict[str, Any]", info).items() if k.endswith(".context_length")]
        if isinstance(info, dict)
        else []
    )
    takes = _names(shown.get("capabilities"), "tools")
    return takes, _whole(lengths[0]) if lengths else None


def _lmstudio(root: str) -> list[FoundModel]:
    found: list[FoundModel] = []
    for entry in _objects(_get(root, "/api/v0/models")["data"]):
        if entry.get("type") not in ("llm", "vlm"):
            continue
        loaded = _whole(entry.get("loaded_context_length"))
        found.append(
            FoundModel(
                spelling=f"lmstudio/{entry['id']}",
                where=root,
                takes_tools=_names(entry.get("capabilities"), "tool_use"),
                context_tokens=loaded or _whole(entry.get("max_context_length")),
                is_loaded=entry.get("state") == "loaded",
            )
        )
    return found


def _llama_server(root: str) -> list[FoundModel]:
    settings = _get(root, "/props")
    generation = settings["default_generation_settings"]  # another kind of server has none
    context = _whole(cast("dict[str, Any]", generation).get("n_ctx"))
    template = settings.get("chat_template")
    takes = family_of(template).is_template(template) if isinstance(template, str) else None
    return [
        FoundModel(
            spelling=f"llama-server/{entry['id']}",
            where=root,
            takes_tools=takes,
            context_tokens=context,
            is_loaded=True,
        )
        for entry in _objects(_get(root, "/v1/models")["data"])
    ]


def _vllm(root: str) -> list[FoundModel]:
    return [
        FoundModel(
            spelling=f"vllm/{entry['id']}",
            where=root,
            context_tokens=_whole(entry.get("max_model_len")),
            is_loaded=True,
        )
        for entry in _objects(_get(root, "/v1/models")["data"])
        if entry.get("owned_by") == "vllm"
    ]


_ASKING: Mapping[str, Callable[[str], list[FoundModel]]] = {
    "ollama": _ollama,
    "lmstudio": _lmstudio,
    "llama-server": _llama_server,
    "vllm": _vllm,
}
"""Source: the API pages of Ollama, LM Studio (v0), llama-server and vLLM."""


def _get(root: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object. Raises: OSError, ValueError, TypeError."""
    import http.client  # most machines have none of these servers, and need none of this

    parts = urlsplit(root)
    server = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=ANSWER_SECONDS
    )
    sent = None if body is None else json.dumps(body).encode()
    with closing(server):
        try:
            server.request("GET" if sent is None else "POST", parts.path + path, sent)
            answer = server.getresponse()
            text = answer.read(ANSWER_LIMIT_BYTES)
        except http.client.HTTPException as e:
            raise ValueError(f"{path} did not answer in HTTP") from e
    if answer.status != 200:
        raise ValueError(f"{path} answered {answer.status}")
    value: Any = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"{path} is no JSON object")
    return cast("dict[str, Any]", value)


def _names(capabilities: Any, wanted: str) -> bool | None:
    """Is it listed? None where there is no list."""
    if not isinstance(capabilities, list):
        return None
    return wanted in cast("list[object]", capabilities)


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
