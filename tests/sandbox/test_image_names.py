"""Which names of packages and images are let through to programs that run as root."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_sandbox import InvalidRequest
from wardian_sandbox.docker.naming import (
    check_packages,
    check_reference,
    is_reference,
    repository_and_tag,
)
from wardian_sandbox.docker.problems import MAX_SAID_CHARS, Tail

DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_what_debian_calls_packages_is_taken() -> None:
    check_packages(["python3", "g++", "libstdc++6", "0ad", "python3.11-venv", "gcc:amd64"])
    check_packages(["python3=3.11.2-1+b1", "libc6:arm64=2.36-9+deb12u10", "vim=2:9.0.1378-2"])


@pytest.mark.parametrize(
    "name",
    ["", "x", "Python3", "python_3", "-p", "python3-", "a b", "a,b", "a\n", "../x", "./x", "?x",
     "~nx", "a/bookworm", "a=", "a=;", "a:", "$(id)", "é2", "a*"],
)  # fmt: skip
def test_what_no_package_is_called_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="no name of a Debian package"):
        check_packages(["python3", name])


@given(st.text(alphabet=string.printable, max_size=12))
def test_no_package_that_is_taken_means_more_to_a_program_than_its_name(name: str) -> None:
    try:
        check_packages([name])
    except InvalidRequest:
        return
    assert name[0].isalnum()
    assert not set(name) & set(string.whitespace + ",;|&$`'\"\\()<>*?[]{}!#/@%^")
    assert not re.search(r"-(:|=|$)", re.split("[:=]", name)[0])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("wardian-sandbox", ("wardian-sandbox", "latest")),
        ("small:1", ("small", "1")),
        ("a.b/c__d/e---f:V_1.0-x", ("a.b/c__d/e---f", "V_1.0-x")),
        ("localhost:5000/x:1", ("localhost:5000/x", "1")),
        ("localhost:5000/x", ("localhost:5000/x", "latest")),
        ("Registry.Example.org:5000/x", ("Registry.Example.org:5000/x", "latest")),
    ],
)
def test_a_name_of_an_image_is_split_as_docker_splits_it(name: str, parts: tuple[str, str]) -> None:
    assert repository_and_tag(name) == parts
    assert is_reference(name)
    assert is_reference(f"{name}@{DIGEST}")


@pytest.mark.parametrize(
    "name",
    ["", "BAD NAME", "BAD", "bad name", "a:", "a:b:c", "a::b", "-a", "a-", "a..b", "a___b", "a/",
     "/a", "a//b", "a:-x", "a:" + "x" * 129, "a\n", "é", "x" * 600, "a@sha256:1"],
)  # fmt: skip
def test_what_no_image_is_called_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="no name of an image"):
        check_reference(name)
    with pytest.raises(InvalidRequest, match="no name of an image"):
        repository_and_tag(name)


def test_a_digest_names_an_image_that_is_there_and_none_to_be_made() -> None:
    check_reference(DIGEST)
    for name in (DIGEST, f"a@{DIGEST}"):
        with pytest.raises(InvalidRequest):
            repository_and_tag(name)


@given(st.lists(st.text(alphabet="ab \n", max_size=900), max_size=12))
def test_the_tail_is_bounded_and_of_the_last_whole_lines(lines: list[str]) -> None:
    tail = Tail()
    for line in lines:
        tail.hear(line)
    heard = [line.strip() for line in lines if line.strip()]
    assert len(tail.text) < MAX_SAID_CHARS
    assert "\n".join(heard).endswith(tail.text)
    assert bool(tail.text) == bool(heard)
    if heard:
        assert tail.text.endswith(heard[-1])


def test_of_a_line_that_is_too_long_its_end_is_kept() -> None:
    tail = Tail()
    tail.hear("before")
    tail.hear("x" * 5_000 + "the end")
    assert tail.text.startswith("…xx")
    assert tail.text.endswith("the end")
    assert len(tail.text) < MAX_SAID_CHARS
