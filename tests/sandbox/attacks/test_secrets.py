"""Reading what is the host's: its environment, its processes, its descriptors, its files."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    ResourceLimits,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
OnHost = Callable[..., CompletedProcess[str]]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_the_hosts_environment_is_nowhere(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDIAN_TEST_SECRET", "sk-wardian-secret")
    result = shell("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; env")
    assert "sk-wardian-secret" not in result.output
    assert "AGENT=wardian" in result.output


def test_the_supervisor_cannot_be_looked_into(shell: Shell) -> None:
    for secret in ("environ", "mem", "maps", "fd", "root", "cwd"):
        assert shell(f"ls -l /proc/1/{secret}/ || cat /proc/1/{secret}").exit_code != 0
    assert shell("cat /proc/self/maps; ls /proc/self/fd").exit_code == 0


def test_no_descriptor_of_the_host_is_inherited(shell: Shell, python: Python) -> None:
    assert shell("cd /proc/self/fd; echo *").output == "0 1 2 3\n"  # 3 is the folder itself
    held = python("import os\n[os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2, 3)]")[0].value
    assert held is not None
    assert [kind in held for kind in ("/dev/null", "pipe:", "socket:", "memfd")] == [
        *(True, True, True),
        False,
    ]


def test_the_users_files_are_not_there(shell: Shell, tmp_path: Path, workspace: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("private")
    attack = shell(f"cat {secret} {Path.home()}/.bashrc /etc/shadow /etc/machine-id")
    assert "private" not in attack.output
    assert len(re.findall("No such file|Permission denied", attack.output)) == 4
    assert shell(f"ls {Path.home()}").exit_code != 0
    assert shell("cat /workspace/notes.txt /etc/passwd").exit_code == 0


SECRET = "sk-wardian-secret"


def test_the_environment_is_not_there_but_is_on_the_host(
    python: Python, on_host: OnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDIAN_TEST_SECRET", SECRET)
    code = (
        "import glob, os\nfound = str(os.environ)\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: found += open(path, errors='replace').read()\n    except OSError: pass\n"
        "print(found)"
    )
    assert SECRET in on_host(code, env={**os.environ}).stdout
    assert SECRET not in python(code)[0].output


def test_command_lines_of_the_host_are_not_seen(python: Python, on_host: OnHost) -> None:
    code = (
        "import glob\nfor path in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: print(open(path, errors='replace').read())\n    except OSError: pass"
    )
    with subprocess.Popen([sys.executable, "-c", "input()", SECRET], stdin=subprocess.PIPE) as held:
        try:
            assert SECRET in on_host(code).stdout
            assert SECRET not in python(code)[0].output
        finally:
            held.communicate(b"\n")


def test_an_open_file_of_the_host_is_not_inherited(
    python: Python, tmp_path: Path, on_host: OnHost
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    code = (
        "import os\nfor fd in range(3, 300):\n"
        "    try: print(os.pread(fd, 100, 0))\n    except OSError: pass"
    )
    held = os.open(secret, os.O_RDONLY)
    try:
        os.set_inheritable(held, True)
        line = [sys.executable, "-I", "-c", code]
        careless = subprocess.run(line, close_fds=False, capture_output=True, check=True)
        assert SECRET.encode() in careless.stdout
        assert SECRET not in python(code)[0].output
    finally:
        os.close(held)


def test_keys_in_the_home_folder_are_not_there(
    python: Python, on_host: OnHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for name in (".ssh/id_ed25519", ".aws/credentials", ".config/wardian/keys", ".netrc"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
    monkeypatch.setenv("HOME", str(home))
    code = (
        "import os\n"
        f"for top in ({str(home)!r}, os.path.expanduser('~'), '/root', '/home'):\n"
        "    for folder, _, names in os.walk(top):\n        for name in names:\n"
        "            try: print(open(os.path.join(folder, name), errors='replace').read(200))\n"
        "            except OSError: pass"
    )
    narrow = code.replace(", os.path.expanduser('~'), '/root', '/home'", ",")
    assert SECRET in on_host(narrow).stdout
    assert SECRET not in python(code)[0].output


def test_temporary_files_of_the_host_are_not_there(shell: Shell, on_host: OnHost) -> None:
    with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="wardian-secret-") as secret:
        secret.write(SECRET)
        secret.flush()
        code = "import glob; print([open(f).read() for f in glob.glob('/tmp/wardian-secret-*')])"
        assert SECRET in on_host(code).stdout
        assert SECRET not in shell("cat /tmp/* /var/tmp/* /dev/shm/* 2>&1").output


def test_the_memory_of_the_controller_is_out_of_reach(python: Python, on_host: OnHost) -> None:
    """An API key is in the controller's memory; whoever sees its process can read that."""
    code = (
        "import re\nfor line in open('/proc/PID/maps'):\n"
        "    if '[heap]' in line or '[stack]' in line: print(line)\n"
        "start = int(re.match('[0-9a-f]+', line)[0], 16)"
    )
    mine = str(os.getpid())
    control = on_host(code.replace("PID", mine))
    assert "[stack]" in control.stdout
    hidden = python(code.replace("PID", mine))[0]
    assert "FileNotFoundError" in str(hidden.error) or "[stack]" not in hidden.output
    parent = python(code.replace("PID", "1"))[0]
    assert "PermissionError" in str(parent.error)


def test_a_crash_leaves_no_memory_in_a_file(
    python: Python, on_host: OnHost, workspace: Path, plain_folder: Path
) -> None:
    want = (
        "import os, resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
    )
    attack, _ = python(f"{want}held = 'k' * 10**6\nos.abort()", "1")
    assert (attack.exit_code, attack.state_lost) == (134, True)
    assert not [path for path in workspace.rglob("*") if path.name.startswith("core")]
    raised = python("import resource; resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, -1))")[0]
    assert raised.error is not None
    can_dump = on_host("import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[1])").stdout
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if can_dump.strip() != "0" and not pattern.startswith(("|", "/")):
        on_host(f"{want}os.abort()")
        assert [path for path in plain_folder.iterdir() if path.name.startswith("core")]


def test_sockets_of_the_hosts_daemons_are_not_there(
    python: Python, on_host: OnHost, tmp_path: Path
) -> None:
    path = tmp_path / "daemon.sock"
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r}); print('in')"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        daemon.listen()
        assert on_host(code).stdout == "in\n"
        assert "FileNotFoundError" in str(python(code)[0].error)
    known = "ls /run/docker.sock /var/run/docker.sock /run/dbus /run/user /tmp/.X11-unix 2>&1"
    assert python(f"import os; os.system({known!r})")[0].value != "0"
