"""An OpenAI-compatible server on loopback that answers from a script: for tests and benchmarks.

    with ScriptedServer([stream_calls([("python", {"code": "6*7"})]), stream_text("42")]) as server:
        model = ChatModel("test", endpoint=server.base_url, model_id="m")

It misbehaves as told: wrong statuses, web pages, cut, stalled and dripped streams, calls with
missing or repeated ids and indexes. As a process of its own, for benchmarks:

    python -m wardian.models.scripted_server --steps 10
"""

import argparse
import asyncio
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self, cast

Framing = Literal["chunked", "length", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP response, and how to spoil it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: tuple[bytes, ...] = ()
    """The body; each part is one HTTP chunk"""
    framing: Framing = "chunked"
    """`close` ends the body by closing, so that a cut cannot be told from an end"""
    cut_after_bytes: int | None = None
    """Close the connection after so many bytes of the whole response"""
    stall_after_bytes: int | None = None
    """Send so many bytes of the whole response, then nothing more"""
    piece_bytes: int | None = None
    """Write in pieces of this size, each in a turn of the loop of its own"""

    def encode(self) -> bytes:
        """The response as it goes over the wire, unspoiled."""
        body = b"".join(self.parts)
        headers = {"content-type": "text/event-stream", **self.headers}
        match self.framing:
            case "chunked":
                headers["transfer-encoding"] = "chunked"
                chunks = [b"%x\r\n%s\r\n" % (len(p), p) for p in self.parts if p]
                body = b"".join((*chunks, b"0\r\n\r\n"))
            case "length":
                headers["content-length"] = str(len(body))
            case "close":
                headers["connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Scripted\r\n{lines}\r\n".encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Iterable[Answer] | Callable[[Received], Answer]


def event(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with one choice, whose delta has these fields."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    return {"id": "x", "object": "chat.completion.chunk", "model": "scripted", "choices": [choice]}


def stream(
    *chunks: Mapping[str, Any], usage: Mapping[str, Any] | None = None, done: bool = True
) -> Answer:
    """A stream of these chunks, with a usage chunk and `[DONE]` after them."""
    counted = {"prompt_tokens": 10, "completion_tokens": 5} if usage is None else usage
    parts = [event(chunk) for chunk in chunks]
    if counted:
        parts.append(event({"model": "scripted", "choices": [], "usage": dict(counted)}))
    return Answer(parts=(*parts, *([b"data: [DONE]\n\n"] if done else [])))


def stream_text(text: str, *, finish_reason: str | None = "stop", piece_chars: int = 8) -> Answer:
    """The text in pieces."""
    pieces = [text[i : i + piece_chars] for i in range(0, len(text), piece_chars)]
    chunks = [delta(role="assistant", content=""), *(delta(content=p) for p in pieces)]
    return stream(*chunks, delta(finish_reason))


def stream_calls(
    calls: Iterable[tuple[str, Mapping[str, Any] | str]],
    *,
    finish_reason: str | None = "tool_calls",
    ids: Literal["unique", "same", "missing", "every piece"] = "unique",
    indexes: Literal["right", "missing", "same"] = "right",
    piece_chars: int = 8,
) -> Answer:
    """Tool calls in pieces (`piece_chars=0`: each whole in one chunk), numbered as told."""
    chunks = [delta(role="assistant", content=None)]
    for place, (name, arguments) in enumerate(calls):
        text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
        numbered: dict[str, Any] = {
            "right": {"index": place},
            "same": {"index": 0},
            "missing": {},
        }[indexes]
        given_id = {"same": "call_x", "missing": None}.get(ids, f"call_{place}")
        size = piece_chars or max(1, len(text))
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        if piece_chars:
            pieces.insert(0, "")
        for number, piece in enumerate(pieces or [""]):
            function = {"arguments": piece} | ({"name": name} if number == 0 else {})
            call = {**numbered, "type": "function", "function": function}
            if given_id and (number == 0 or ids == "every piece"):
                call["id"] = given_id
            chunks.append(delta(tool_calls=[call]))
    return stream(*chunks, delta(finish_reason))


def refuse(status: int, message: str = "", *, code: str | None = None, **headers: str) -> Answer:
    """An error as OpenAI words it; `retry_after="2"` becomes the header `retry-after`."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        headers={"content-type": "application/json", **named},
        parts=(body,) if message else (),
        framing="length",
    )


def web_page(status: int = 200, title: str = "Welcome") -> Answer:
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    headers = {"content-type": "text/html; charset=utf-8"}
    return Answer(status=status, headers=headers, parts=(body.encode(),), framing="length")


def whole(body: bytes | Mapping[str, Any], content_type: str = "application/json") -> Answer:
    """A body that is no stream."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(headers={"content-type": content_type}, parts=(data,), framing="length")


def list_models(*ids: str) -> Answer:
    """What `/models` answers."""
    return whole({"object": "list", "data": [{"id": name, "object": "model"} for name in ids]})


def call_then_answer(steps: int, tool: str, arguments: Mapping[str, Any], text: str) -> Script:
    """`steps` calls of `tool`, then `text`; told from the conversation alone, so that any number
    of agents may ask at once."""
    call = json.dumps(dict(arguments))
    asking = stream_calls([(tool, call)], piece_chars=0)
    # an id of its own for each step, as real servers give
    ids = [b'"call_s%d"' % step for step in range(steps)]
    answers = [
        replace(asking, parts=tuple(p.replace(b'"call_0"', name) for p in asking.parts))
        for name in ids
    ]
    answers.append(stream_text(text))

    def answer(received: Received) -> Answer:
        return answers[min(received.body.count(b'"role":"tool"'), steps)]

    return answer


class ScriptedServer:
    """Serves a script on a free port: `with` runs it in a thread, `async with` in this loop.

    A script is answers in order, or a function of the request. `models` are what `/models`
    lists; without them that request is one for the script, as any other.
    """

    def __init__(
        self, script: Script, *, models: Iterable[str] = (), records: bool = True, port: int = 0
    ) -> None:
        self._answer = script if callable(script) else _in_order(script)
        self._models = tuple(models)
        self._records = records
        self._port = port
        self._encoded: dict[int, tuple[Answer, bytes]] = {}
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = _do_nothing
        self.received: list[Received] = []
        """Requests the script answered, in order"""
        self.connections = 0
        """How many were accepted"""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self._port, backlog=2048
        )
        self._port = cast(int, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in tuple(self._open):
            connection.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # lets the aborted connections' callbacks run

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(started),), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        self._stop()
        self._thread.join()

    async def _run(self, started: threading.Event) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: cast(None, loop.call_soon_threadsafe(stopping.set))
        async with self:
            started.set()
            await stopping.wait()

    def respond(self, received: Received) -> tuple[Answer, bytes]:
        """The answer to one request, and its bytes."""
        if self._models and received.method == "GET":
            answer = list_models(*self._models)
            return answer, answer.encode()
        if self._records:
            self.received.append(received)
        answer = self._answer(received)
        held = self._encoded.get(id(answer))
        if held is None:
            held = (answer, answer.encode())
            if len(self._encoded) < 256:
                self._encoded[id(answer)] = held
        return held

    def opened(self, connection: "_Connection") -> None:
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: "_Connection") -> None:
        self._open.discard(connection)


def _in_order(script: Iterable[Answer]) -> Callable[[Received], Answer]:
    answers = itertools.chain(script, itertools.repeat(refuse(400, "The script is used up.")))
    return lambda _: next(answers)


def _do_nothing() -> None:
    pass


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as little of it as clients of this server send."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._serve()

    def _serve(self) -> None:
        """Answer the request in the buffer, if it is whole."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._is_busy:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        method, path, _ = first.split(" ", 2)
        self._send(*self._server.respond(Received(method, path, headers, body)))

    def _send(self, answer: Answer, data: bytes) -> None:
        assert self._transport is not None
        stops = [n for n in (answer.cut_after_bytes, answer.stall_after_bytes) if n is not None]
        if stops:
            data = data[: min(stops)]
        is_last = answer.cut_after_bytes is not None or answer.framing == "close"
        self._is_busy = answer.stall_after_bytes is not None or answer.piece_bytes is not None
        if answer.piece_bytes is not None:
            self._drip(memoryview(data), answer.piece_bytes, is_last)
            return
        self._transport.write(data)
        if is_last:
            self._transport.close()

    def _drip(self, data: memoryview, size: int, is_last: bool) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._transport.write(bytes(data[:size]))
        if len(data) > size:
            asyncio.get_running_loop().call_soon(self._drip, data[size:], size, is_last)
        elif is_last:
            self._transport.close()
        else:
            self._is_busy = False


async def _serve_forever(script: Script, port: int) -> None:
    async with ScriptedServer(script, records=False, port=port) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve agents that call a tool `--steps` times and then get an answer."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one, printed as a URL")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tool", default="python")
    parser.add_argument("--arguments", type=json.loads, default={"code": "1+1"})
    parser.add_argument("--text", default="The answer is 2.")
    given = parser.parse_args()
    script = call_then_answer(given.steps, given.tool, given.arguments, given.text)
    try:
        asyncio.run(_serve_forever(script, given.port))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
