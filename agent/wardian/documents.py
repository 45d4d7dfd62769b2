"""Markdown files that people write for agents: bounded text, with YAML front matter above it.

Covers: size, encoding, YAML that builds objects, multiplies itself or is no table.
Source: https://agentskills.io/specification (front matter between two lines of three dashes).
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

MAX_DOCUMENT_BYTES = 256 << 10
MAX_FRONT_MATTER_CHARS = 16 << 10
MAX_FILE_BYTES = 4 << 20
MAX_FILES = 2000
FENCE = "---"


class BadDocument(Exception):
    """What is wrong with a file, for a notice: `it has no description`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's front matter and its text."""

    fields: dict[str, Any]
    text: str


class Shelf(Protocol):
    """A folder whose files may be believed. `settings.trust.Workspace` is one of a project."""

    @property
    def root(self) -> Path: ...

    def files(self, below: str) -> list[str]:
        """Names, relative to the root, of what is in a folder and the folders in it."""
        ...

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content; None where it is gone or may not be believed."""
        ...


@dataclass(frozen=True, slots=True)
class OwnShelf:
    """A folder of the user's own, where links are followed."""

    root: Path

    def files(self, below: str) -> list[str]:
        found: list[str] = []
        for folder, folders, names in os.walk(self.root / below, followlinks=True):
            folders[:] = sorted(folders)[:MAX_FILES]
            found += ((Path(folder) / n).relative_to(self.root).as_posix() for n in sorted(names))
            if len(found) > MAX_FILES:
                break
        return found[:MAX_FILES]

    def read_bytes(self, name: str) -> bytes | None:
        try:
            # Non-blocking, so that a pipe does not hang the reader.
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError:
            return None
        return content if len(content) <= MAX_FILE_BYTES else None


def read_text(shelf: Shelf, name: str, limit: int) -> str:
    """A file as text. Raises: BadDocument."""
    content = shelf.read_bytes(name)
    if content is None:
        raise BadDocument("it cannot be read")
    if len(content) > limit:
        raise BadDocument(f"it is larger than {limit >> 10} KiB")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadDocument("it is not UTF-8 text") from error


def read_document(shelf: Shelf, name: str) -> Document:
    """A Markdown file with front matter. Raises: BadDocument."""
    text = read_text(shelf, name, MAX_DOCUMENT_BYTES)
    first, _, rest = text.partition("\n")
    head, fence, body = f"\n{rest}\n".partition(f"\n{FENCE}\n")
    if first.rstrip() != FENCE or not fence:
        raise BadDocument("it does not begin with front matter between two lines of ---")
    if len(head) > MAX_FRONT_MATTER_CHARS:
        raise BadDocument(f"its front matter is longer than {MAX_FRONT_MATTER_CHARS} characters")
    return Document(fields=front_matter(head), text=body.strip())


def front_matter(text: str) -> dict[str, Any]:
    """The YAML table. Raises: BadDocument."""
    import yaml

    try:
        # Anchors would let a short text stand for a huge value; nobody writes them here.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise BadDocument("its front matter has YAML aliases")
        loaded: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(getattr(error, "problem", None) or type(error).__name__)
        raise BadDocument(f"its front matter is not YAML: {problem}") from error
    if not isinstance(loaded, dict):
        raise BadDocument("its front matter is not a table of keys")
    return {str(key): value for key, value in cast("dict[object, Any]", loaded).items()}


def text_field(fields: dict[str, Any], name: str, limit: int, *, needed: bool = True) -> str:
    """A field that is a text of at most `limit` characters. Raises: BadDocument."""
    value = fields.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value.strip():
        raise BadDocument(f"it has no {name}" if value is None else f"its {name} is not a text")
    if len(value) > limit:
        raise BadDocument(f"its {name} is longer than {limit} characters")
    return value.strip()
