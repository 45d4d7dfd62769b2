"""Pictures: from a file to what a provider gets, and back from a trajectory."""

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest

from wardian import Agent, ChatModel, LlamaModel, RunStore, ScriptedModel, Task
from wardian.errors import ConfigurationError, ModelRefused
from wardian.images import MAX_IMAGE_BYTES, MAX_IMAGES, image, read_image, read_images
from wardian.limits import IMAGE_TOKENS, most_tokens
from wardian.models.scripted_server import ScriptedServer, stream_text
from wardian.types import ImageData, Message, Request, Role

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    return path


def test_a_provider_gets_the_picture_beside_the_text(picture: Path, tmp_path: Path) -> None:
    with ScriptedServer([stream_text("A dot.")]) as server:
        model = ChatModel("openai/x", endpoint=server.base_url, model_id="x")
        agent: Agent[str] = Agent(model, tools=[], workspace=tmp_path, store=False)
        run = agent.run_sync(Task(prompt="What is it?", images=(read_image(picture),)))
        (request,) = server.received
    text, shown = json.loads(request.body)["messages"][-1]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    head, data = shown["image_url"]["url"].split(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", PNG)
    assert run.answer == "A dot."


def test_a_trajectory_gives_the_picture_back_whatever_its_size(tmp_path: Path) -> None:
    large = image(PNG + b"\0" * 50_000)
    store = RunStore(tmp_path / "runs")
    agent: Agent[str] = Agent(ScriptedModel(["x"]), tools=[], workspace=tmp_path, store=store)
    run = agent.run_sync(Task(prompt="What?", images=(large,)))
    started = store.load(run.run_id).started
    assert started
    assert started.task.images == (large,)
    assert isinstance(started.task.images[0].data, ImageData)
    assert store.load(run.run_id).messages[1].images == (large,)


def test_a_model_that_cannot_see_says_so_before_it_is_loaded(picture: Path, tmp_path: Path) -> None:
    model = LlamaModel(tmp_path / "absent.gguf", name="gguf:absent.gguf")
    seen = Message(role=Role.USER, content="x", images=(read_image(picture),))

    async def ask() -> None:
        async for _ in model.stream(Request(messages=(seen,))):
            pass

    with pytest.raises(ModelRefused, match="cannot see images"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF\0\0\0\0WEBPrest", "image/webp"),
    ],
    ids=["png", "jpeg", "gif", "webp"],
)
def test_what_a_file_is_is_told_by_its_first_bytes(content: bytes, mime: str) -> None:
    assert image(content).mime == mime


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("text.png", "is not a PNG"),
        ("empty.png", "is not a PNG"),
        ("pipe.png", "is not a PNG"),
        ("absent.png", "cannot be read"),
        ("large.png", "larger than 10 MiB"),
        ("wave.webp", "is not a PNG"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(name: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "wave.webp").write_bytes(b"RIFF\0\0\0\0WAVErest")
    (tmp_path / "large.png").write_bytes(PNG + b"\0" * MAX_IMAGE_BYTES)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ConfigurationError, match=problem):
        read_image(tmp_path / name)


def test_more_pictures_than_a_message_holds_are_refused(picture: Path) -> None:
    with pytest.raises(ConfigurationError, match="too many"):
        read_images([picture] * (MAX_IMAGES + 1))


def test_a_picture_is_estimated_by_itself_and_not_by_its_bytes() -> None:
    message = Message(role=Role.USER, content="", images=(image(PNG * 1000),))
    assert IMAGE_TOKENS <= most_tokens(message) < 2 * IMAGE_TOKENS
