"""Image files for models that see.

Covers: size, and what the first bytes say the file is. Does not cover: what is in the picture; the
redaction of secrets reads text and does not look into it.
"""

import base64
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from wardian.errors import ConfigurationError
from wardian.types import Image, ImageData

MAX_IMAGE_BYTES = 10 << 20
MAX_IMAGES = 20
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""Source: what OpenAI, Anthropic and Google take, https://platform.openai.com/docs/guides/vision"""


def read_image(path: Path) -> Image:
    """Raises: ConfigurationError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = file.read(MAX_IMAGE_BYTES + 1) if is_file else b""
    except OSError as error:
        cause = f"The image {path} cannot be read: {error.strerror or error}."
        raise ConfigurationError(cause, "Name a file that can.") from error
    if len(content) > MAX_IMAGE_BYTES:
        raise ConfigurationError(
            f"The image {path} is larger than {MAX_IMAGE_BYTES >> 20} MiB.", "Make it smaller."
        )
    return image(content, str(path))


def read_images(files: Sequence[Path]) -> tuple[Image, ...]:
    """Raises: ConfigurationError."""
    if len(files) > MAX_IMAGES:
        raise ConfigurationError(
            f"{len(files)} images are too many.", f"Give {MAX_IMAGES} at most."
        )
    return tuple(read_image(file) for file in files)


def image(content: bytes, name: str = "the image") -> Image:
    """The bytes as a part of a message. Raises: ConfigurationError."""
    mime = next((mime for magic, mime in MAGIC.items() if content.startswith(magic)), "")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        mime = "image/webp"
    if not mime:
        raise ConfigurationError(
            f"{name} is not a PNG, JPEG, GIF or WebP image.", "Convert it to one of them."
        )
    return Image(mime=mime, data=ImageData(base64.b64encode(content).decode()))
