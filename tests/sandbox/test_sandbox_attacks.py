"""Hostile code in a bubblewrap box. Each attack has a harmless twin that works.

The probe of each pair is tried where it should work, so that a failed attack shows confinement and
not a mistake in the attack.
"""

import os
import platform
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    Ending,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SupervisedSandbox,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


@pytest.fixture
def backend() -> str:
    return "bubblewrap"


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
    assert attack.output.count("No such file") == 4
    assert shell(f"ls {Path.home()}").exit_code != 0
    assert shell("cat /workspace/notes.txt /etc/passwd").exit_code == 0


def test_links_planted_in_the_workspace_lead_nowhere(
    work: Callable[..., Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("private")

    async def do(box: SupervisedSandbox) -> list[Any]:
        await box.shell(f"ln -s {secret} a; ln -s {tmp_path} b; ln -s /proc/self/root c", PLENTY)
        reads = [{"path": path} for path in ("a", "b/secret.txt", f"c{secret}", "c/etc/passwd")]
        writes = [{"path": path, "content": "x"} for path in ("a", "b/secret.txt", "b/new")]
        await box.shell("ln -s notes.txt good", PLENTY)
        return [
            *[await box.file("read", arguments, PLENTY) for arguments in reads],
            *[await box.file("write", arguments, PLENTY) for arguments in writes],
            await box.file("read", {"path": "good"}, PLENTY),
        ]

    *attacks, twin = work(do)
    assert {attack.code for attack in attacks} == {"outside"}
    assert twin["total_lines"] == 3
    assert secret.read_text() == "private"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "workspace"]


def test_a_racer_that_swaps_links_gets_nothing_out(
    work: Callable[..., Any], tmp_path: Path, workspace: Path
) -> None:
    """A folder that is now a folder and now a link out of the workspace."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "f").write_text("private")
    race = (
        "import os, threading\nos.makedirs('real', exist_ok=True)\n"
        "open('real/f', 'w').write('mine')\n"
        f"os.symlink({str(tmp_path / 'target')!r}, 'bad')\nos.symlink('real', 'flip')\n"
        "def spin():\n    while True:\n        for to in ('bad', 'real'):\n"
        "            os.symlink(to, 'tmp'); os.rename('tmp', 'flip')\n"
        "threading.Thread(target=spin, daemon=True).start()"
    )

    async def do(box: SupervisedSandbox) -> list[Any]:
        await box.python(race, PLENTY)
        results: list[Any] = []
        for _ in range(40):
            results.append(await box.file("read", {"path": "flip/f"}, PLENTY))
            results.append(await box.file("write", {"path": "flip/f", "content": "mine"}, PLENTY))
        return results

    results = work(do)
    texts = {r["text"] for r in results if not isinstance(r, FileFailure) and "text" in r}
    assert texts <= {"mine", ""}
    assert any(not isinstance(result, FileFailure) for result in results)
    assert (tmp_path / "target" / "f").read_text() == "private"


def test_no_network_is_reached(python: Python) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempt = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()"
        server.settimeout(5)
        # The same attempt works on the host.
        thread = threading.Thread(target=exec, args=(attempt,))
        thread.start()
        server.accept()[0].close()
        thread.join()
        result = python(attempt)[0]
    assert "ConnectionRefusedError" in str(result.error)


def test_only_the_loopback_is_there_and_it_works(python: Python) -> None:
    interfaces = "import socket; [name for _, name in socket.if_nameindex()]"
    outside = "socket.create_connection(('192.0.2.1', 80), 2)"
    inside = (
        "s = socket.create_server(('127.0.0.1', 0)); "
        "c = socket.create_connection(s.getsockname()); c.send(b'hi')"
    )
    named, refused, twin = python(interfaces, outside, inside)
    assert named.value == "['lo']"
    assert "Network is unreachable" in str(refused.error)
    assert twin.value is None or twin.value == "2"
    assert twin.error is None


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_ALG", "AF_PACKET", "AF_BLUETOOTH"])
def test_sockets_that_pass_network_namespaces_are_refused(python: Python, family: str) -> None:
    code = f"import socket; socket.socket(getattr(socket, {family!r}), socket.SOCK_STREAM)"
    attack, twin = python(code, code.replace(family, "AF_UNIX"))
    assert "Address family not supported" in str(attack.error)
    assert twin.error is None


def test_raw_sockets_are_refused(python: Python) -> None:
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"
    assert "Operation not permitted" in str(python(code)[0].error)


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/x", "/etc/passwd", "/bin/x", "/lib/x", "/x", "/dev/x", "/run/wardian/inner/main.py"],
)
def test_the_system_cannot_be_written(shell: Shell, path: str) -> None:
    result = shell(f"echo x > {path}")
    assert result.exit_code != 0
    assert "Read-only file system" in result.output or "Permission denied" in result.output


@pytest.mark.parametrize("path", ["/tmp/x", "/dev/shm/x", "~/x", "/workspace/x", "/dev/null"])
def test_private_places_can_be_written(shell: Shell, path: str) -> None:
    assert shell(f"echo x > {path}").exit_code == 0


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/sys/net/ipv4/ip_forward",
    ],
)
def test_kernel_settings_cannot_be_written(shell: Shell, path: str) -> None:
    assert shell(f"test -e {path} && cat {path} > /tmp/v; cat /tmp/v > {path}").exit_code != 0
    assert shell("echo 500 > /proc/self/oom_score_adj").exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        "unshare --user true",
        "unshare --mount true",
        "mount -t tmpfs tmpfs /tmp",
        "mount -o remount,rw /",
        "umount /proc",
        "chroot / true",
        "hostname changed",
        "nsenter -t 1 -m true",
        "setpriv --reuid 0 true",
        "mknod /tmp/device b 8 0",
        "dmesg",
    ],
)
def test_privileged_commands_fail(shell: Shell, command: str) -> None:
    program = command.partition(" ")[0]
    result = shell(f"export PATH=$PATH:/usr/sbin; command -v {program} >/dev/null && {command}")
    assert result.exit_code != 0


def test_there_are_no_privileges_to_have(shell: Shell) -> None:
    status = shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").output
    facts = {name: value for name, _, value in (x.partition(":\t") for x in status.splitlines())}
    assert all(int(value, 16) == 0 for name, value in facts.items() if name.startswith("Cap"))
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert shell("id -u").output == "1000\n"


SYSCALLS = {
    "x86_64": {"ptrace": 101, "bpf": 321, "io_uring_setup": 425, "userfaultfd": 323, "keyctl": 250,
               "perf_event_open": 298, "process_vm_readv": 310, "open_by_handle_at": 304,
               "kcmp": 312, "add_key": 248, "clone3": 435, "mseal + 1": 463, "personality": 135},
    "aarch64": {"ptrace": 117, "bpf": 280, "io_uring_setup": 425, "userfaultfd": 282,
                "keyctl": 219, "perf_event_open": 241, "clone3": 435},
}  # fmt: skip


def test_dangerous_system_calls_are_refused(python: Python) -> None:
    numbers = SYSCALLS[platform.machine()]
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(n):\n    ctypes.set_errno(0)\n"
        "    return libc.syscall(n, 0x1234567, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno()\n"
        f"{{name: call(n) for name, n in {numbers!r}.items()}}"
    )
    refused = python(code)[0]
    assert refused.value is not None
    for name in numbers:
        absent = name in ("clone3", "mseal + 1")
        assert f"'{name}': {38 if absent else 1}" in refused.value
    assert python("import os; os.getpid() > 1")[0].value == "True"


def test_a_new_user_namespace_by_clone_is_refused(python: Python) -> None:
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"pid = libc.syscall({number}, FLAGS | 17, 0, 0, 0, 0)\n"
        "if pid == 0: os._exit(0)\n(pid > 0, ctypes.get_errno())"
    )
    assert python(code.replace("FLAGS", "0x10000000"))[0].value == "(False, 1)"
    assert python(code.replace("FLAGS", "0"))[0].value == "(True, 0)"


def test_no_file_becomes_set_user_id(shell: Shell, workspace: Path) -> None:
    attacks = (
        "cp /bin/true a && chmod u+s a",
        "cp /bin/true b && chmod 2755 b",
        "python3 -c \"import os; os.close(os.open('c', os.O_CREAT | os.O_WRONLY, 0o4755))\"",
        "python3 -c \"import os; os.mknod('d', 0o104755)\"",
        "install -m 4755 /bin/true e",
    )
    for attack in attacks:
        assert "not permitted" in shell(attack).output
    assert shell("cp /bin/true good && chmod 755 good").exit_code == 0
    modes = [path.lstat().st_mode for path in workspace.rglob("*")]
    assert not any(mode & 0o6000 for mode in modes)
    assert os.access(workspace / "good", os.X_OK)


def test_a_fork_bomb_stays_in_its_box(work: Callable[..., Any]) -> None:
    few = Confinement(limits=ResourceLimits(wall_seconds=2.0, processes=64))

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        bomb = await box.shell("bomb() { bomb | bomb & }; bomb; sleep 60", few)
        after = await box.shell("ls -d /proc/[0-9]* | wc -l", few)
        return bomb, after, await box.python("'still here'", few)

    bomb, after, python = work(do, few)
    assert bomb.ending is Ending.TIMED_OUT
    assert after.exit_code == 0, after
    assert int(after.output) < 10
    assert python.value == "'still here'"


def test_a_fork_bomb_that_leaves_its_session_is_ended_too(work: Callable[..., Any]) -> None:
    few = Confinement(limits=ResourceLimits(wall_seconds=2.0, processes=64))
    bomb = (
        "import os\nos.setsid() if os.fork() == 0 else None\n"
        "while True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass"
    )

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        result = await box.shell(f"python3 -c {bomb!r}".replace("\\n", "\n"), few)
        return result, await box.shell("ls -d /proc/[0-9]* | wc -l", few)

    result, after = work(do, few)
    assert result.ending is not Ending.EXITED or result.exit_code != 0
    assert after.exit_code == 0, after
    assert int(after.output) < 10


@pytest.mark.parametrize("size", ["bytearray(1 << 30)", "[0] * (1 << 28)"])
def test_memory_beyond_the_limit_is_an_error_of_the_cell(python: Python, size: str) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, memory_bytes=512 << 20))
    attack, twin = python(f"kept = 1; len({size})", "len(bytearray(1 << 20)) + kept", within=small)
    assert "MemoryError" in str(attack.error)
    assert twin.value == str((1 << 20) + 1)


def test_scratch_space_is_bounded(shell: Shell) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, scratch_bytes=1 << 20))
    for place in ("/tmp", "/dev/shm", "~"):
        result = shell(f"head -c 2M /dev/zero > {place}/x", within=small)
        assert "No space left" in result.output
        assert shell(f"head -c 900k /dev/zero > {place}/x", within=small).exit_code == 0


def test_processor_time_is_bounded(python: Python) -> None:
    second = Confinement(limits=ResourceLimits(wall_seconds=30.0, cpu_seconds=1))
    kept, spent, after = python("1", "while True: pass", "2", within=second)
    assert kept.value == "1"
    assert (spent.ending, spent.exit_code, spent.state_lost) == (Ending.SIGNALLED, 152, True)
    assert after.value == "2"


def test_a_file_larger_than_the_limit_is_cut_off(shell: Shell) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, file_bytes=1 << 20))
    assert shell("head -c 2M /dev/zero > big", within=small).exit_code != 0
    assert shell("head -c 1M /dev/zero > fits", within=small).exit_code == 0


FORGE = """
import json, os
def frame(message):
    body = json.dumps(message).encode()
    return len(body).to_bytes(4, 'big') + body
result = {'ending': 'exited', 'exit_code': 0, 'output': 'forged', 'dropped': 0, 'value': 'forged',
          'error': None, 'state_lost': False, 'seconds': 0.0}
forged = [frame({'id': n, 'result': result}) for n in range(1, 30)]
claims = [b'.' + bytes(16) + json.dumps(result).encode()]
for fd in range(3, 1000):
    for data in forged + claims:
        try: os.write(fd, data)
        except OSError: break
'honest'
"""


def test_frames_written_to_every_descriptor_forge_nothing(python: Python) -> None:
    forging, after = python(FORGE, "1 + 1")
    assert forging.value == "'honest'"
    assert (after.value, after.output) == ("2", "")


def test_a_command_cannot_answer_for_the_supervisor(
    work: Callable[..., Any], workspace: Path
) -> None:
    (workspace / "forge.py").write_text(FORGE)

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        result = await box.shell("python3 forge.py > /dev/null; exit 7", PLENTY)
        return result, await box.python("1 + 1", PLENTY)

    result, after = work(do)
    assert (result.exit_code, result.output, after.value) == (7, "", "2")


def test_an_interpreter_that_closes_its_descriptors_is_replaced(python: Python) -> None:
    closed, after = python("import os; os.closerange(3, 1000); 'gone'", "1 + 1")
    assert closed.state_lost
    assert after.value == "2"


def test_a_flood_of_claims_ends_the_interpreter_and_not_the_box(python: Python) -> None:
    flood = (
        "import socket\ns = socket.socket(fileno=3)\nwhile True: s.send(b'.' + bytes(16) + b'{}')"
    )
    flooded, after = python(flood, "1 + 1")
    assert (flooded.ending, flooded.state_lost) == (Ending.SIGNALLED, True)
    assert after.value == "2"


@pytest.mark.parametrize(
    "claim",
    ["[]", "no json", '{"value": "\\ud800"}', '{"value": 3, "error": {}, "exit_code": 1e9}',
     '{"exit_code": ' + "9" * 100 + "}", '{"value": "' + "v" * 200_000 + '"}', "[" * 30_000],
)  # fmt: skip
def test_a_claim_is_taken_for_no_more_than_it_is(python: Python, claim: str) -> None:
    """Code can find the nonce in the interpreter it runs in, and so can lie about its own value."""
    forge = (
        "import sys\nframe = sys._getframe()\n"
        "while 'sock' not in frame.f_locals: frame = frame.f_back\n"
        "sock, nonce = frame.f_locals['sock'], frame.f_locals['data'][:16]\n"
        f"body = {claim!r}.encode()\n"
        "for at in range(0, len(body), 30000):\n"
        "    last = at + 30000 >= len(body)\n"
        "    sock.send((b'.' if last else b'+') + nonce + body[at:at + 30000])\n"
    )
    forged, after = python(forge, "1 + 1")
    assert len((forged.value or "").encode()) <= PLENTY.limits.output_bytes + 100
    assert 0 <= forged.exit_code <= 255
    assert after.value == "2"


def test_signals_from_inside_do_not_reach_the_supervisor(shell: Shell) -> None:
    result = shell("for s in HUP INT TERM KILL STOP CHLD USR1 SEGV; do kill -$s 1; done; echo on")
    assert result.output.endswith("on\n")


def test_a_command_that_kills_everything_kills_only_its_box(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        killed = await box.shell("kill -9 -1; echo alone", PLENTY)
        return killed, await box.python("1 + 1", PLENTY)

    killed, after = work(do)
    assert killed.ending in (Ending.EXITED, Ending.SIGNALLED)
    assert (after.value, after.state_lost) == ("2", True)


def test_a_protected_path_cannot_be_written_by_code(
    work: Callable[..., Any], workspace: Path
) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".git" / "config").write_text("original")
    within = Confinement(protected=(".git/**",), limits=ResourceLimits(wall_seconds=30.0))
    command = "echo evil > .git/config; echo evil > .git/hooks; mv .git moved; echo fine > other"
    work(lambda box: box.shell(command, within), within)
    assert (workspace / ".git" / "config").read_text() == "original"
    assert not (workspace / ".git" / "hooks").exists()
    assert not (workspace / "moved").exists()
    assert (workspace / "other").read_text() == "fine\n"


def test_special_files_and_planted_links_harm_nothing_outside(
    work: Callable[..., Any], tmp_path: Path, workspace: Path
) -> None:
    (tmp_path / "secret.txt").write_text("private")
    command = (
        f"mkfifo pipe; rm -r src; ln -s {tmp_path} src; "
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; echo y > plain"
    )

    async def do(box: SupervisedSandbox) -> None:
        await box.shell(command, PLENTY)
        await box.shell("echo z > src/planted; echo w > plain", PLENTY)

    work(do)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "workspace"]
    assert (workspace / "plain").read_text() == "w\n"
    assert (workspace / "src").is_symlink()
