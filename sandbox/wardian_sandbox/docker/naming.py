"""Names that go to Docker, apt and mmdebstrap, which runs as root: checked before any starts.

A package is checked by its form, not for being there; what ends with a hyphen is none, since apt
would take it for the removal of what stands before.
"""

import re
from collections.abc import Iterable

from wardian_sandbox.errors import InvalidRequest

PACKAGE = r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9][a-z0-9-]*)?(=[0-9][A-Za-z0-9.+:~-]*)?"
"""Name, architecture, version. Source: Debian Policy 4.6.2, sections 5.6.1, 5.6.8 and 5.6.12"""
ALNUM, LABEL = "[a-z0-9]+", "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
HOST = rf"(?:{LABEL}(?:\.{LABEL})*(?::[0-9]+)?/)?"
PART = rf"{ALNUM}(?:(?:[._]|__|-+){ALNUM})*"
NAME = rf"{HOST}{PART}(?:/{PART})*"
TAG = r"\w[\w.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}"
TAGGED = rf"({NAME})(?::({TAG}))?"
"""Source: github.com/distribution/reference, regexp.go"""
MAX_CHARS = 255 + len(":") + 128 + len("@sha256:") + 64
"""Of a name, a tag, a digest"""


def check_packages(packages: Iterable[str]) -> None:
    """Raises: InvalidRequest naming the first that no Debian package can be called."""
    for package in packages:
        if not re.fullmatch(PACKAGE, package, re.ASCII):
            raise InvalidRequest(
                f"{package!r} is no name of a Debian package.",
                "It has small letters, digits, and + - . between them: numpy is python3-numpy. A "
                "version goes behind it as =1.2-3, an architecture as :amd64.",
            )


def repository_and_tag(name: str) -> tuple[str, str]:
    """(repository, tag) of a name for a new image, whose tag may be left out.

    Raises: InvalidRequest.
    """
    found = re.fullmatch(TAGGED, name[:MAX_CHARS], re.ASCII)
    # Docker refuses names that look like digests, too.
    if found is None or len(name) > MAX_CHARS or found[1] == "sha256":
        raise InvalidRequest(
            f"{name!r} is no name of an image.",
            "Docker takes small letters, digits, and . _ - between them, then a colon and a tag if "
            "you like: my-image:1.",
        )
    return found[1], found[2] or "latest"


def is_reference(name: str) -> bool:
    """Can an image be called that: by name and tag, by digest, or by both?"""
    form = rf"{DIGEST}|{TAGGED}(?:@{DIGEST})?"
    return len(name) <= MAX_CHARS and bool(re.fullmatch(form, name, re.ASCII))


def check_reference(name: str) -> None:
    """Raises: InvalidRequest when no image can be called that."""
    if not is_reference(name):
        repository_and_tag(name)
        raise InvalidRequest(f"{name!r} is no name of an image.", "Give its name, or its digest.")
