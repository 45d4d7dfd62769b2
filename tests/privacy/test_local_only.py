"""P0: with `--local` no socket leaves the machine, whoever asks for one."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wardian.local_only import is_here, narrowed
from wardian_policies import Policy

TASK = "How many lines are in a.txt?"
AGENT = [sys.executable, "-P", "-m", "wardian"]
CONNECTS = re.compile(
    r"(?:connect|sendto|sendmsg|bind)\((?P<fd>\d+), .*?sa_family=(?P<family>AF_INET6?).*?"
    r'(?:inet_addr\("(?P<v4>[^"]+)"\)|inet_pton\(AF_INET6, "(?P<v6>[^"]+)")'
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.txt").write_text("one\ntwo\n")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
        "WARDIAN_HOME": str(tmp_path / "wardian"),
    }


def finished(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=tmp_path / "w",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def works(*command: str) -> bool:
    """Can this machine run it at all?"""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


NAMESPACE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def test_code_without_a_sandbox_is_not_local(environment: dict[str, str], tmp_path: Path) -> None:
    command = [*AGENT, "run", "--local", "--sandbox", "none", TASK]
    done = finished(command, environment, tmp_path)
    assert done.returncode == 3
    assert "Without a sandbox nothing keeps code from the network" in done.stderr


@pytest.mark.parametrize("key", ["", "sk-xxxxxxxxxxxxxxxxxxxxxxxx"])
def test_a_private_model_elsewhere_is_refused_with_a_key_and_without(
    environment: dict[str, str], tmp_path: Path, key: str
) -> None:
    command = [*AGENT, "run", "--local", "--private-model", "openai/gpt-5", TASK]
    done = finished(command, environment | {"OPENAI_API_KEY": key}, tmp_path)
    assert done.returncode == 3
    assert "openai/gpt-5 is not on this machine" in done.stderr


@pytest.mark.skipif(not works(*NAMESPACE, "true"), reason="no network namespace can be made here")
def test_a_local_run_needs_no_network_at_all(environment: dict[str, str], tmp_path: Path) -> None:
    """In a namespace without one, not even loopback."""
    done = finished([*NAMESPACE, *AGENT, "run", "--local", "-q", TASK], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2" in done.stdout


@pytest.mark.skipif(not works("strace", "true"), reason="strace is not installed or not permitted")
def test_no_system_call_of_a_local_run_names_another_machine(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Of any of its processes: the controller's, the model's, the sandbox's."""
    trace = tmp_path / "trace"
    calls = "trace=connect,sendto,sendmsg,sendmmsg,bind"
    strace = ["strace", "-f", "-qq", "-e", calls, "-o", str(trace)]
    done = finished([*strace, *AGENT, "run", "--local", "-q", TASK], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    named = [found["v4"] or found["v6"] for found in CONNECTS.finditer(trace.read_text())]
    assert [address for address in named if not is_here(address)] == []


@pytest.mark.parametrize("key", [None, "sk-of-somebody"])
def test_a_model_elsewhere_is_refused_whether_its_key_is_set_or_not(
    environment: dict[str, str], tmp_path: Path, key: str | None
) -> None:
    if key:
        environment["OPENAI_API_KEY"] = key
    command = [*AGENT, "run", "--local", "-m", "openai/gpt-4o", "hi"]
    done = finished(command, environment, tmp_path)
    assert done.returncode == 3, done.stderr
    assert "With --local, openai/gpt-4o cannot be asked" in done.stderr


def test_whatever_connects_elsewhere_is_refused(tmp_path: Path) -> None:
    """Names, addresses, datagrams, asyncio; and loopback still works."""
    script = """
import asyncio, json, socket
from wardian.local_only import LeavesTheMachine, forbid_leaving
forbid_leaving(); forbid_leaving()
def attempt(work):
    try:
        work()
    except LeavesTheMachine:
        return "refused"
    except OSError as error:
        return type(error).__name__
    return "done"
def connect(family, address):
    with socket.socket(family) as s:
        s.settimeout(1)
        s.connect(address)
def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", address)
async def over_asyncio(host):
    await asyncio.open_connection(host, 9)
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
a, b = socket.socketpair()
print(json.dumps({
    "address": attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
    "v6": attempt(lambda: connect(socket.AF_INET6, ("2001:db8::1", 80))),
    "name": attempt(lambda: socket.getaddrinfo("example.org", 80)),
    "datagram": attempt(lambda: send(("192.0.2.1", 53))),
    "asyncio": attempt(lambda: asyncio.run(over_asyncio("example.org"))),
    "loopback": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", port))),
    "localhost": attempt(lambda: socket.getaddrinfo("localhost", port)),
    "unix": attempt(lambda: a.send(b"x")),
}))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    outcomes = json.loads(done.stdout)
    refused = {name for name, outcome in outcomes.items() if outcome == "refused"}
    assert refused == {"address", "v6", "name", "datagram", "asyncio"}
    assert outcomes["loopback"] == outcomes["localhost"] == outcomes["unix"] == "done"


def test_a_model_elsewhere_is_refused_before_anything_is_sent(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        url = f"http://192.0.2.1:{listener.getsockname()[1]}/v1"
        run = ["run", "--local", "-m", "openai/m", "--base-url", url, "Hello"]
        done = finished([*AGENT, *run], environment, tmp_path)
    assert done.returncode == 3
    assert "not on this machine" in done.stderr


def test_the_policy_is_narrowed_to_nothing_that_sends(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('[network]\nhosts = ["example.org"]\nany_web = true\n[budgets]\nsteps = 7\n')
    policy = narrowed(Policy.load(file))
    assert policy.confinement.egress.hosts == ()
    assert not policy.confinement.egress.any_web
    assert policy.mcp.servers == ()
    assert policy.budgets.steps == 7, "what sends nothing stays as it was"
    assert Policy.load(file).confinement.egress.hosts == ("example.org",)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_loopback_is_here(host: str, here: bool) -> None:
    assert is_here(host) is here
