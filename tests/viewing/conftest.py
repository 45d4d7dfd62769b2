"""One run with everything hostile that a page has to show, made by real tools."""

import base64
import binascii
import struct
import zlib
from pathlib import Path

import pytest

from wardian import Agent, RunStore, ScriptedModel, Trajectory, tool
from wardian.types import Finish, Message, Reply, Role
from wardian_tools.types import Effect, Output

SECRET_TEXT = "Comment\0made by hunter2-hunter2"
ATTACK = (
    "</script></style></title><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">"
    "\x1b[31mred\x07 \u202eevil\u202c \u200b\ud800 & \"quoted\" 'too' <!-- --> ]]>"
)
WHOLE = ATTACK.replace("\ud800", "")
"""The same as arguments that a call may have"""
DIFF = "--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-one <b>\n+two <script>alert(1)</script>\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", binascii.crc32(kind + body))
    )


def png(width: int = 60, height: int = 30) -> bytes:
    """A picture with a text inside it, and something behind its end."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = b"\0" + b"\x30\x70\xc0" * 60
    pixels = zlib.compress(row * 30)
    body = chunk(b"IHDR", header) + chunk(b"tEXt", SECRET_TEXT.encode()) + chunk(b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"") + b"behind the end"


@tool(effects=[Effect.READS])
def edit(path: str) -> Output:
    """Edit."""
    return Output(content=DIFF.removesuffix("\n"), data={"path": path, "diff": DIFF})


@tool(effects=[Effect.READS])
def draw(code: str) -> Output:
    """Draw."""
    figures = [
        {"path": f'{code[:9]}" onload="x.png', "base64": base64.b64encode(content).decode()}
        for content in (png(), b"GIF89a", png(100_000, 100_000))
    ]
    return Output(content=ATTACK, data={"figures": figures})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def hostile(store: RunStore) -> Trajectory:
    last = Message(
        role=Role.ASSISTANT, content=f"Done. {ATTACK}{'x' * 100_000}", reasoning=f"Hm. {ATTACK}"
    )
    model = ScriptedModel(
        [
            [("draw", {"code": f"import this\nprint(1)  # {ATTACK}", ATTACK: 1})],
            [("draw", {"code": f"import this\nprint(1)  # {WHOLE}"}), ("edit", {"path": WHOLE})],
            Reply(message=last, finish=Finish.STOP),
        ]
    )
    agent = Agent(model, tools=[edit, draw], store=store)
    return store.load(agent.run_sync(f"Do it. {ATTACK}").run_id)
