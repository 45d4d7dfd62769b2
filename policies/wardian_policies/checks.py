"""What an element of a policy's list must be. Each check raises PolicyError."""

import re
from pathlib import PurePosixPath

from wardian_policies.errors import PolicyError
from wardian_policies.globs import segments_of
from wardian_policies.linear import compile_pattern
from wardian_sandbox.egress.rules import parse_host_rule

MAX_SEGMENTS = 32
MAX_DOUBLE_STARS = 3
RECEIVERS = ("mcp", "tool", "host")
GIFT = re.compile(r"(?P<name>\S.*?) to (?P<kind>[a-z]+):(?P<receiver>\S+)")


def check_path(glob: str) -> None:
    """A glob below the workspace."""
    segments = segments_of(glob)
    problem = ""
    if not glob.strip() or glob.startswith(("/", "~")) or ".." in segments:
        problem = f"{glob!r} is not a path below the workspace."
    elif set(glob) & set("[]\\\0"):
        problem = f"{glob!r} has a '[', ']' or backslash, which path globs do not know."
    elif len(segments) > MAX_SEGMENTS or segments.count("**") > MAX_DOUBLE_STARS:
        problem = f"{glob!r} has over {MAX_SEGMENTS} parts or {MAX_DOUBLE_STARS} times '**'."
    if problem:
        raise PolicyError(problem, "Write one such as 'docs/**'.")


def check_host(host: str) -> None:
    remedy = "Name each host, as 'example.org', '*.example.org' or '192.0.2.7:8080'."
    if host.strip() == "*":
        wider = "For web tools alone, any_web = true reaches every public host."
        raise PolicyError("'*' would let everything out.", f"{remedy} {wider}")
    try:
        parse_host_rule(host)
    except ValueError as error:
        raise PolicyError(str(error), remedy) from error


def check_name(glob: str) -> None:
    """A tool's or a server's name, or a glob over them."""
    if re.fullmatch(r"[\w*?.:-]+", glob) is None:
        raise PolicyError(f"{glob!r} is not a name.", "Write one, or a glob such as 'github_*'.")


def check_environment(glob: str) -> None:
    if re.fullmatch(r"[\w*?]*\w[\w*?]*", glob) is None:
        cause = f"{glob!r} is not the name of a variable."
        raise PolicyError(cause, "Write one, or a glob such as '*_API_KEY'.")


def check_keyring(entry: str) -> None:
    service, _, user = entry.rpartition("/")
    if not service.strip() or not user.strip():
        raise PolicyError(f"{entry!r} is not an entry of a keyring.", "Write 'service/user'.")


def check_file(path: str) -> None:
    pure = PurePosixPath(path)
    if not (pure.is_absolute() or path.startswith("~/")) or "\0" in path or ".." in pure.parts:
        cause = f"{path!r} is neither an absolute path nor one below '~/'."
        raise PolicyError(cause, "Write it in full, without '..'.")


def check_gift(text: str) -> None:
    """`NAME to KIND:RECEIVER`."""
    found = GIFT.fullmatch(text)
    if found is None or found["kind"] not in RECEIVERS:
        kinds = " or ".join(f"'{kind}:…'" for kind in RECEIVERS)
        raise PolicyError(f"{text!r} does not say who receives what.", f"Write 'NAME to {kinds}'.")
    if found["kind"] == "host":
        check_host(found["receiver"])


def check_regex(pattern: str) -> None:
    """One for RE2, which matches in linear time and so cannot be made to hang."""
    try:
        compiled = compile_pattern(pattern)
    except ValueError as error:
        cause = f"{pattern!r} is not a regular expression: {error}."
        raise PolicyError(cause, "Mend it, or escape what is meant literally.") from error
    if compiled.search("") is not None:
        raise PolicyError(f"{pattern!r} matches the empty text.", "It would redact everything.")
