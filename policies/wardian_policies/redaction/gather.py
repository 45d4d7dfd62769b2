"""The values a policy's `[secrets]` names: from the environment, the keyring, and files."""

import fnmatch
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from wardian_policies.globs import one_of, path_regex
from wardian_policies.redaction.randomness import MIN_CHARS, looks_random
from wardian_policies.tables import SecretRules
from wardian_sandbox.hiding import OTHERS_CODE

MAX_FILE_BYTES = 1 << 20
MAX_WORKSPACE_FILES = 20_000
ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s*(.+?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The secrets of a run."""

    values: Mapping[str, str]
    """By the name that is shown in their place"""
    left_out: tuple[str, ...] = ()
    """What was named and cannot be looked for: a sentence each"""


def gather(rules: SecretRules, environ: Mapping[str, str]) -> Registered:
    """Read them. What is missing is left out, since a secret that is not there cannot leak."""
    found: dict[str, str] = {}
    left_out: list[str] = []
    sources = (
        *from_environment(rules, environ),
        *(pair for entry in rules.keyring for pair in from_keyring(entry)),
        *(pair for path in rules.files for pair in from_file(path)),
    )
    for name, value in sources:
        if value is None:
            left_out.append(f"{name} cannot be read.")
        elif len(value.strip()) >= MIN_CHARS:
            found[name] = value
        elif value.strip():
            left_out.append(f"{name} is too short to be told from other text.")
    return Registered(values=found, left_out=tuple(left_out))


Source = tuple[str, str | None]
"""Name and value; None where it cannot be read."""


def from_environment(rules: SecretRules, environ: Mapping[str, str]) -> Iterator[Source]:
    sign = re.compile("|".join(fnmatch.translate(glob) for glob in rules.environment) or r"\Z.")
    return ((name, value) for name, value in environ.items() if sign.match(name))


def from_workspace(
    rules: SecretRules, private_paths: tuple[str, ...], workspace: Path
) -> dict[str, str]:
    """What looks like a secret in the workspace's private files, by the file and its own name.

    For a model elsewhere: it may see those files in another way than by name, such as in a
    repository's history. Passed over are links, files larger than 1 MiB, and others' code.
    """
    private = one_of((path_regex(glob) for glob in private_paths), re.IGNORECASE)
    secret_name = re.compile("|".join(map(fnmatch.translate, rules.environment)) or r"\Z.")
    found: dict[str, str] = {}
    for path in islice(plain_files(workspace), MAX_WORKSPACE_FILES):
        relative = path.relative_to(workspace).as_posix()
        if not private.fullmatch(relative) or path.stat().st_size > MAX_FILE_BYTES:
            continue
        text = path.read_text("utf-8", "replace")
        for line in text.splitlines():
            pair = ASSIGNMENT.fullmatch(line)
            value = pair[2].strip("\"'") if pair else ""
            if pair and len(value) >= MIN_CHARS and (secret_name.match(pair[1]) or random(value)):
                found[f"{relative} {pair[1]}"] = value
        if "PRIVATE KEY-----" in text:
            found[relative] = text
    return found


def plain_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in OTHERS_CODE]
        for name in names:
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path


def from_keyring(entry: str) -> Iterator[Source]:
    service, _, user = entry.rpartition("/")
    name = f"keyring {entry}"
    try:
        held: object = importlib.import_module("keyring").get_password(service, user)
    except Exception:  # noqa: BLE001 - not installed, or a back end that raises anything
        held = None
    yield name, held if isinstance(held, str) else None


def from_file(path: str) -> Iterator[Source]:
    """The secrets in a file: JSON's texts, `NAME=value` lines, words that look random, or all."""
    place = Path(path).expanduser()
    try:
        with place.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return
    except OSError:
        yield path, None
        return
    text = content.decode("utf-8", "replace")
    values = list(dict.fromkeys(secrets_in(text)))
    for number, value in enumerate(values, start=1):
        yield (path if len(values) == 1 else f"{path} ({number})"), value


def secrets_in(text: str) -> Iterator[str]:
    try:
        yield from (leaf for leaf in leaves(json.loads(text)) if "-----" in leaf or random(leaf))
        return
    except (ValueError, RecursionError):
        pass
    if "-----BEGIN" in text or len(text.split()) == 1:
        yield text.strip()
        return
    for line in text.splitlines():
        if found := ASSIGNMENT.fullmatch(line):
            yield found[2].strip("\"'")
        else:
            yield from filter(random, line.split())


def random(text: str) -> bool:
    return len(text) >= MIN_CHARS and looks_random(text)


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from leaves(item)
