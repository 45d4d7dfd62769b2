"""An OpenAI-compatible server for `bench/agent.py`: model `bench-N` calls `look` N times.

It prints its base URL and serves until it is killed. The answer depends on the request alone: how
many tool messages it holds.
"""

import asyncio
import json


def answer(body: bytes) -> bytes:
    steps = int(body.partition(b'"bench-')[2].partition(b'"')[0])
    done = body.count(b'"role":"tool"') + body.count(b'"role": "tool"')
    delta: dict[str, object] = {"role": "assistant", "content": "Done."}
    finish = "stop"
    if done < steps:
        function = {"name": "look", "arguments": json.dumps({"n": done})}
        call = {"index": 0, "id": f"c{done}", "type": "function", "function": function}
        delta = {"role": "assistant", "content": None, "tool_calls": [call]}
        finish = "tool_calls"
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {"choices": [], "usage": usage},
    ]
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return b"".join([*lines, b"data: [DONE]\n\n"])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            content = answer(await reader.readexactly(length))
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(content), content)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 26, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
