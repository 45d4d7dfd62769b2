"""`--local`: no socket leaves this machine.

Three things hold it. The model has to be one that runs here, the policy is narrowed so that neither
tools nor the sandbox reach anything, and a hook in the interpreter refuses every connection and
every look-up of a name that is not this machine's, whichever package asks for it.

The hook covers this process. The sandbox has no network of its own, and the model's process opens
none. Loopback and Unix sockets stay: local model servers and the Docker daemon are reached by them.
"""

import ipaddress
import sys
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.types import Model
from wardian_policies import Policy

NARROWED = """\
[tools]
deny = ["@egress"]

[network]
hosts = []
private = false
any_web = false

[mcp]
servers = []
"""
HOST_FIRST = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
ADDRESS_SECOND = ("socket.connect", "socket.sendto", "socket.sendmsg")


class LeavesTheMachine(PermissionError):
    """Something wanted to connect elsewhere, with `--local` in force."""


def check_local(model: Model, sandbox: str) -> None:
    """Raises: ConfigurationError for a model that is elsewhere, and where nothing holds code."""
    if not model.is_local:
        raise is_elsewhere(model.name)
    if sandbox == "none":
        raise ConfigurationError(
            "Without a sandbox nothing keeps code from the network, so --local cannot hold.",
            "Choose a sandbox (`agent sandbox doctor` says which there are), or leave --local.",
        )


def is_elsewhere(model: str) -> ConfigurationError:
    return ConfigurationError(
        f"With --local, {model} cannot be asked: it is not on this machine.",
        "Name a local model with -m, such as tiny, gguf:PATH or ollama/NAME, or leave --local.",
    )


def narrowed(policy: Policy) -> Policy:
    """The policy without anything that sends."""
    return policy.narrowed_by_text(NARROWED, Path("--local"))


def forbid_leaving() -> None:
    """From now on, for as long as the process lives. Calling it again changes nothing."""
    if not _forbidden:
        _forbidden.append(True)
        sys.addaudithook(_refuse)


_forbidden: list[bool] = []


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    host: object = None
    if event in HOST_FIRST:
        host = arguments[0]
    elif event in ADDRESS_SECOND and isinstance(arguments[1], tuple):
        # Of another family an address is a path or a number, and stays here.
        host = next(iter(cast("tuple[object, ...]", arguments[1])), None)
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if isinstance(host, str) and not is_here(host):
        raise LeavesTheMachine(f"With --local nothing connects to {host!r}.")


def is_here(host: str) -> bool:
    """Is this an address of this machine, or a name that is one by definition?"""
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
