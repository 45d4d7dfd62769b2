"""What a guest finds of the kernel beside system calls: /proc, /sys, devices, priorities, limits.

Each attack is tried where it works: on the guest's own process, or on the host.
"""

import ctypes
import os
import socket
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from wardian_sandbox import ExecResult

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
OnHost = Callable[..., CompletedProcess[str]]


@pytest.fixture(params=["bubblewrap", "docker"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    return prepared(str(request.param))


@pytest.mark.parametrize(
    "name", ["mem", "maps", "smaps", "environ", "auxv", "stack", "syscall", "io", "pagemap"]
)
def test_the_supervisors_memory_is_shut(shell: Shell, name: str) -> None:
    read = "head -c 8 /proc/{}/" + name + " | wc -c"
    assert shell(read.format(1)).output.splitlines()[-1] == "0"
    if name not in ("mem", "stack", "syscall"):  # whose beginning is no memory, or root's alone
        assert shell(read.format("self")).output.splitlines()[-1] == "8"


@pytest.mark.parametrize("name", ["net", "mnt", "user", "pid", "ipc", "uts", "cgroup"])
def test_the_supervisors_namespaces_cannot_be_opened(shell: Shell, name: str) -> None:
    assert shell(f": < /proc/1/ns/{name}").exit_code != 0
    assert shell(f": < /proc/self/ns/{name}").exit_code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("oom_score_adj", "1000"), ("comm", "x"), ("coredump_filter", "0"), ("clear_refs", "1")],
)
def test_the_supervisors_settings_cannot_be_written(shell: Shell, name: str, value: str) -> None:
    assert shell(f"echo {value} > /proc/1/{name}").exit_code != 0
    assert shell(f"echo {value} > /proc/self/{name}").exit_code == 0


@pytest.mark.parametrize(
    "path",
    [
        *("/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/slabinfo", "/proc/kpagecount"),
        *("/proc/iomem", "/proc/vmallocinfo"),
    ],
)
def test_what_only_root_reads_of_the_kernel_is_not_read(
    shell: Shell, on_host: OnHost, path: str
) -> None:
    # Of some the beginning is there, and zeros stand where addresses were.
    seen = shell(f"timeout 5 head -c 99 {path} 2>/dev/null").output
    assert seen == "" or ("iomem" in path and seen.startswith("00000000-"))
    if os.geteuid() == 0 and Path(path).exists() and path != "/proc/kmsg":
        assert on_host(f"print(len(open({path!r}, 'rb').read(1)))").stdout == "1\n"


def test_addresses_of_the_kernel_are_hidden(python: Python, on_host: OnHost) -> None:
    look = "print(sum(int(line.split()[0], 16) != 0 for line in open('/proc/kallsyms')))"
    assert python(look)[0].output == "0\n"
    if os.geteuid() == 0 and Path("/proc/kallsyms").exists():
        assert int(on_host(look).stdout) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/power/state",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
    ],
)
def test_nothing_of_the_machine_is_written(shell: Shell, path: str) -> None:
    assert (
        shell(f"cat {path} 2>/dev/null | head -c 99 > /tmp/v; cat /tmp/v > {path}").exit_code != 0
    )
    assert shell("echo 0 > /proc/self/coredump_filter").exit_code == 0


DEVICES = {"full", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero", "mqueue"}
LINKS = {"core", "fd", "stderr", "stdin", "stdout", "console"}


def test_only_harmless_devices_are_there(shell: Shell) -> None:
    assert set(shell("ls /dev").output.split()) <= DEVICES | LINKS
    assert shell("head -c 4 /dev/zero | wc -c; echo x > /dev/null").output == "4\n"


@pytest.mark.parametrize("kind", ["c 1 1", "b 8 0", "c 10 232", "c 0 0"])
def test_no_device_can_be_made(shell: Shell, kind: str) -> None:
    for place in ("/tmp", "/workspace", "/dev/shm"):
        assert shell(f"mknod {place}/device {kind}").exit_code != 0
    assert shell("mknod /tmp/pipe p && test -p /tmp/pipe").exit_code == 0


ACTS = {
    # what: (code that must raise, its harmless twin)
    "become root": ("os.setuid(0)", "os.setuid(os.getuid())"),
    "take root's group": ("os.setgid(0)", "os.setgid(os.getgid())"),
    "take more groups": ("os.setgroups([0])", "os.getgroups()"),
    "go before others": ("os.nice(-5)", "os.nice(1)"),
    "run in real time": (
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
    ),
    "raise the limit of processes": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 30, 1 << 30))",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    ),
    "raise the limit of memory": (
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "resource.setrlimit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS))",
    ),
    "raise the limit of file size": (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))",
    ),
    "lock much memory": (
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 40, 1 << 40))",
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))",
    ),
    "set the clock": (
        "time.clock_settime(time.CLOCK_REALTIME, 0)",
        "time.clock_gettime(time.CLOCK_REALTIME)",
    ),
    "rename the machine": ("socket.sethostname('x')", "socket.gethostname()"),
    "change the root": ("os.chroot('/tmp')", "os.chdir('/tmp')"),
    "trace the supervisor": ("call(101, 16, 1, 0, 0)", "call(39)"),
    "drop the filter": ("call(157, 22, 0, 0, 0, 0)", "call(157, 21, 0, 0, 0, 0)"),
    "take back that privileges cannot be gained": (
        "call(157, 38, 0, 0, 0, 0)",
        "call(157, 39, 0, 0, 0, 0)",
    ),
}
TRY = (
    "import ctypes, os, resource, socket, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(*words):\n    made = libc.syscall(*[ctypes.c_long(word) for word in words])\n"
    "    if made < 0: raise OSError(ctypes.get_errno(), 'refused')\n"
    "try:\n    {}\n    print('done')\nexcept (OSError, ValueError) as problem: print('refused')"
)


@pytest.mark.parametrize("act", ACTS)
def test_no_right_can_be_gained(python: Python, act: str) -> None:
    if "call(" in ACTS[act][0] and os.uname().machine != "x86_64":
        pytest.skip("other numbers elsewhere")
    attack, twin = python(*(TRY.format(code) for code in ACTS[act]))
    assert (attack.output, twin.output) == ("refused\n", "done\n")


def test_a_set_user_id_program_gives_nothing(shell: Shell) -> None:
    found = shell("find / -xdev -perm /6000 -type f 2>/dev/null | head -20").output.split()
    for program in found:
        assert "uid=0" not in shell(f"{program} -c id < /dev/null; {program} < /dev/null").output
    assert shell("id -u").output.strip() not in ("", "0")
    assert shell("grep NoNewPrivs /proc/self/status").output.split()[-1] == "1"


def test_processes_of_the_host_are_not_there(python: Python, on_host: OnHost) -> None:
    me = os.getpid()
    attempt = f"import os\nprint('{me}' in os.listdir('/proc') and os.readlink('/proc/{me}/exe'))"
    assert python(attempt)[0].output.strip() != on_host(attempt).stdout.strip()
    count = "import os\nprint(sum(name.isdecimal() for name in os.listdir('/proc')))"
    assert int(python(count)[0].output) < 10 < int(on_host(count).stdout)


def test_an_abstract_socket_of_the_host_is_not_reached(python: Python, on_host: OnHost) -> None:
    name = f"wardian-{os.getpid()}"
    connect = (
        "import socket\ns = socket.socket(socket.AF_UNIX)\n"
        f"try: s.connect('\\0{name}'); print('reached')\nexcept OSError as e: print('not', e.errno)"
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        assert on_host(connect).stdout == "reached\n"
        assert python(connect)[0].output.startswith("not")


IPC_CREATE, IPC_REMOVE = 0o1000, 0
SEGMENT_KEY = 0x57415244


def test_shared_memory_of_the_host_is_not_reached(python: Python, on_host: OnHost) -> None:
    look = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.shmget({SEGMENT_KEY}, 0, 0) >= 0)"
    )
    libc = ctypes.CDLL(None)
    segment = libc.shmget(SEGMENT_KEY, 4096, IPC_CREATE | 0o666)
    assert segment >= 0
    try:
        assert on_host(look).stdout == "True\n"
        assert python(look)[0].output == "False\n"
    finally:
        libc.shmctl(segment, IPC_REMOVE, None)


def test_a_crash_runs_no_handler_of_the_host(python: Python, shell: Shell) -> None:
    """One byte is the only limit for which the kernel does not pipe a core to the handler."""
    look = "import resource\nresource.getrlimit(resource.RLIMIT_CORE)"
    assert python(look)[0].value == "(1, 1)"
    crash = shell("python3 -c 'import os; os.kill(os.getpid(), 11)'; echo $?; ls core* 2>/dev/null")
    assert crash.output.splitlines()[-1] == "139"


def test_there_is_no_terminal(shell: Shell) -> None:
    assert shell(": < /dev/tty").exit_code != 0
    assert shell("python3 -c 'import pty; pty.openpty()'").exit_code == 0
