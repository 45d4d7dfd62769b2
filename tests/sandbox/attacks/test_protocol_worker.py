"""The interpreter as an attacker: what it can say of itself, and what it cannot say of anything."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from wardian_sandbox import Confinement, Ending, ExecResult, ResourceLimits, SupervisedSandbox
from wardian_sandbox.inner.claims import MAX_FIGURES

Python = Callable[..., list[ExecResult]]
Work = Callable[..., Any]
OnHost = Callable[..., CompletedProcess[str]]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
BRIEF = Confinement(limits=ResourceLimits(wall_seconds=2.0))
FIND = """
import sys
frame = sys._getframe()
while 'sock' not in frame.f_locals: frame = frame.f_back
sock, nonce = frame.f_locals['sock'], frame.f_locals['data'][:16]
"""
"""The socket and the nonce are the interpreter's own: code in it can find both."""


@pytest.mark.parametrize(
    "patch",
    [
        "import builtins; builtins.repr = lambda value: 'forged'",
        'import json; json.dumps = lambda value, **more: \'{"value": "forged"}\'',
        "import json; json.loads = lambda text: {'cpu_seconds': 1, 'text_bytes': 1 << 40}",
        "import os; os.getpid = lambda: 1",
        "import os; os._exit = lambda code: None",
        "import os; os.dup2 = lambda *fds, **more: None",
        "import sys; sys.stdout = sys.stderr = None",
        "import ast; ast.parse = None",
        "import socket; socket.socket.send = lambda *given: 0",
        "import resource; resource.setrlimit = None",
        "__builtins__.clear()",
    ],
)
def test_a_patched_interpreter_deceives_nobody_but_itself(work: Work, patch: str) -> None:
    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, Any, ExecResult]:
        await box.python(patch, BRIEF)
        await box.python("1 + 1", BRIEF)
        said = await box.shell("echo true; exit 3", PLENTY)
        read = await box.file("read", {"path": "notes.txt"}, PLENTY)
        await box.reset()
        return said, said, read, await box.python("1 + 1", PLENTY)

    said, _, read, after = work(do)
    assert (said.ending, said.exit_code, said.output) == (Ending.EXITED, 3, "true\n")
    assert not said.exit_code_claimed
    assert read["text"] == "alpha\nbeta\ngamma\n"
    assert (after.value, after.output, after.error, after.state_lost) == ("2", "", None, False)


def test_a_patched_repr_is_seen_where_it_may_be(python: Python) -> None:
    """The control: within the interpreter the same patches work, and are marked as claims."""
    forged = python('import json; json.dumps = lambda *a, **k: \'{"value": "forged"}\'\n1')[0]
    assert forged.value == "forged"
    assert forged.exit_code_claimed


def test_an_exit_code_of_the_process_is_a_fact_and_not_a_value(
    python: Python, on_host: OnHost
) -> None:
    attack = "import os; print('all tests passed', flush=True); os._exit(0)"
    assert on_host(attack).returncode == 0  # all that a plain runner would know
    result, after = python(attack, "1 + 1")
    assert (result.ending, result.exit_code, result.value) == (Ending.EXITED, 0, None)
    assert result.state_lost
    assert not result.exit_code_claimed
    assert not after.state_lost


def test_guessed_nonces_are_noise(python: Python) -> None:
    forge = (
        f'{FIND}\nimport os\nbody = b\'{{"value": "forged"}}\'\n'
        "for _ in range(3000): sock.send(b'.' + os.urandom(16) + body)\n'honest'"
    )
    assert python(forge)[0].value == "'honest'"
    control = f"{FIND}\nsock.send(b'.' + nonce + b'{{\"value\": \"forged\"}}')\n'honest'"
    assert python(control)[0].value == "forged"


def test_a_nonce_is_good_for_one_call(python: Python) -> None:
    keep = f"{FIND}\nkept = nonce\nkept_sock = sock"
    replay = "kept_sock.send(b'.' + kept + b'{\"value\": \"forged\"}'); 'honest'"
    assert python(keep, replay)[1].value == "'honest'"
    assert python(f"{FIND}\nsock.send(b'.' + nonce + b'{{\"value\": \"forged\"}}')")[0].value


def test_a_child_that_steals_the_next_cell_changes_no_fact(work: Work) -> None:
    """It holds the worker's socket, so it may get the cell; what it says then is a claim."""
    steal = (
        f"{FIND}\nimport os, socket\n"
        "if os.fork() == 0:\n"
        "    data, fds, _, _ = socket.recv_fds(sock, 4096, 2)\n"
        '    sock.send(b\'.\' + data[:16] + b\'{"value": "stolen", "exit_code": 0}\')\n'
        "    os._exit(0)\n"
        "import time; end = time.monotonic() + 0.5\n"
        "while time.monotonic() < end: pass"
    )

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        await box.python(steal, PLENTY)
        stolen = await box.python("'honest'", BRIEF)
        said = await box.shell("exit 5", PLENTY)
        await box.reset()
        return stolen, said, await box.python("'honest'", PLENTY)

    stolen, said, after = work(do)
    assert stolen.exit_code_claimed or stolen.value is None
    assert (said.exit_code, after.value) == (5, "'honest'")


def test_a_claim_sent_early_ends_the_call_and_not_the_limits(work: Work) -> None:
    early = f"{FIND}\nsock.send(b'.' + nonce + b'{{\"value\": \"done\"}}')\nwhile True: pass"

    async def do(box: SupervisedSandbox) -> list[ExecResult]:
        return [await box.python(cell, BRIEF) for cell in (early, "1 + 1", "1 + 1")]

    first, second, third = work(do)
    assert first.value == "done"
    assert (second.ending, second.state_lost) == (Ending.TIMED_OUT, True)
    assert third.value == "2"


@pytest.mark.parametrize(
    "flood",
    [
        "while True: sock.send(b'f' + nonce + bytes(30000))",
        "for _ in range(1000): sock.send(b'F' + nonce + b'x')",
        "while True: sock.send(b'+' + nonce + bytes(30000))",
        "for _ in range(20000): sock.send(b'')\nfor _ in range(20000): sock.send(b'?')",
    ],
)
def test_a_flood_of_parts_ends_the_interpreter(python: Python, flood: str) -> None:
    flooded, after = python(f"{FIND}\n{flood}", "1 + 1")
    assert flooded.state_lost or after.state_lost
    assert len(flooded.figures) <= MAX_FIGURES
    assert after.value == "2"


def test_a_figure_that_is_none_is_left_out(python: Python) -> None:
    send = "{find}\nsock.send(b'F' + nonce + {content!r})"
    png = b"\x89PNG\r\n\x1a\n" + bytes(10)
    assert python(send.format(find=FIND, content=b"<script>"))[0].figures == ()
    (figure,) = python(send.format(find=FIND, content=png))[0].figures
    assert (figure.reference.mime, figure.content) == ("image/png", png)


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("'x' * 30_000_000", 30_000_002),
        ("list(range(3_000_000))", 20_000_000),
        ("type('Bomb', (), {'__repr__': lambda self: 'y' * 30_000_000})()", 30_000_000),
        ("{'k' * 1_000_000: ['v' * 1_000_000] * 20}", 20_000_000),
    ],
    ids=["text", "list", "repr", "nested"],
)
def test_a_giant_value_is_bounded(python: Python, on_host: OnHost, code: str, length: int) -> None:
    assert int(on_host(f"print(len(repr({code})))").stdout) >= length
    giant, after = python(code, "1 + 1")
    assert giant.value is not None
    assert len(giant.value.encode()) <= PLENTY.limits.output_bytes + 100
    assert giant.data is None
    assert after.value == "2"


@pytest.mark.parametrize(
    ("bomb", "ending"),
    [
        ("def f(): return f()\nf()", Ending.EXITED),
        ("x = []\nfor _ in range(200_000): x = [x]\nx", Ending.EXITED),
        ("x = []; x.append(x); x", Ending.EXITED),
        ("type('R', (), {'__repr__': lambda self: 1 / 0})()", Ending.EXITED),
        ("type('R', (), {'__repr__': lambda self: 5})()", Ending.EXITED),
        ("import sys\ntype('R', (), {'__repr__': lambda self: sys.exit(0)})()", Ending.EXITED),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", Ending.EXITED),
        ("class R:\n    def __repr__(self):\n        while True: pass\nR()", Ending.TIMED_OUT),
        ("import ctypes; ctypes.string_at(0)", Ending.SIGNALLED),
        ("import sys; sys.setrecursionlimit(10**9)\ndef f(): return f()\nf()", None),
    ],
)
def test_a_bomb_in_a_value_is_a_result(python: Python, bomb: str, ending: Ending | None) -> None:
    within = BRIEF if ending is Ending.TIMED_OUT else PLENTY
    result, after = python(bomb, "1 + 1", within=within)
    assert ending is None or result.ending is ending
    assert after.value == "2"


def test_what_is_left_for_the_end_of_the_interpreter_never_runs(
    work: Work, on_host: OnHost, workspace: Path, plain_folder: Path
) -> None:
    leave = "import atexit; atexit.register(lambda: open('late', 'w').close())"
    on_host(leave)
    assert (plain_folder / "late").exists()

    async def do(box: SupervisedSandbox) -> None:
        await box.python(leave, PLENTY)
        await box.reset()
        await box.python(leave, PLENTY)

    work(do)
    assert not (workspace / "late").exists()


def test_a_thread_that_outlives_its_cell_writes_into_nobody_elses_output(work: Work) -> None:
    thread = (
        "import threading, os\nstop = threading.Event()\n"
        "def write():\n    while not stop.is_set():\n        os.write(1, b'noise')\n"
        "threading.Thread(target=write, daemon=True).start()"
    )

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        noisy = await box.python(f"{thread}\nwhile not stop.wait(0.01): break", PLENTY)
        said = await box.shell("echo quiet; exit 4", PLENTY)
        await box.reset()
        return noisy, said, await box.python("print('quiet')", PLENTY)

    noisy, said, after = work(do)
    assert "noise" in noisy.output  # the control: it does write
    assert (said.output, said.exit_code) == ("quiet\n", 4)
    assert after.output == "quiet\n"


WAITING = "mkfifo door; (read line < door; echo late > late) > /dev/null 2>&1 &"
OPENING = "timeout 2 sh -c 'echo go > door'"


def test_a_background_process_of_a_command_does_not_write_later(
    work: Work, on_host: OnHost, workspace: Path, plain_folder: Path
) -> None:
    control = f"import subprocess\nfor line in {[WAITING, OPENING + '; sleep 0.2']}: "
    on_host(control + "subprocess.run(['bash', '-c', line])")
    assert (plain_folder / "late").exists()

    async def do(box: SupervisedSandbox) -> ExecResult:
        await box.shell(WAITING, PLENTY)
        return await box.shell(OPENING, PLENTY)

    assert work(do).exit_code == 124
    assert not (workspace / "late").exists()


DAEMON = (
    "import os\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
    "    os.execvp('sleep', ['sleep', '1000'])\n"
    "os.wait()"
)
COUNT = (
    "for p in $(grep -ls '^sleep' /proc/[0-9]*/comm); do "
    "grep -Ls '^State:.Z' ${p%comm}status; done | wc -l"
)


def test_a_daemon_is_gone_after_a_reset(work: Work) -> None:
    async def do(box: SupervisedSandbox) -> tuple[str, str]:
        counted = f"import subprocess; subprocess.run([{'bash'!r}, '-c', {COUNT!r}])"
        before = (await box.python(f"{DAEMON}\n{counted}", PLENTY)).output
        await box.python(DAEMON, PLENTY)
        await box.reset()
        return before, (await box.shell(COUNT, PLENTY)).output

    assert work(do) == ("1\n", "0\n")


CHILD = "import subprocess; kept = subprocess.Popen(['sleep', '1000'])"
CHILD_OF_A_THREAD = (
    "import threading, time\n"
    f"def start():\n    global kept; {CHILD}\n    kept.wait()\n"
    "threading.Thread(target=start, daemon=True).start()\n"
    "while 'kept' not in globals(): time.sleep(0.01)"
)


@pytest.mark.parametrize(
    "left", [DAEMON, CHILD, CHILD_OF_A_THREAD], ids=["daemon", "child", "of a thread"]
)
def test_what_a_cell_leaves_running_ends_with_it_and_its_interpreter_does_not(
    work: Work, left: str
) -> None:
    async def do(box: SupervisedSandbox) -> tuple[ExecResult, str, ExecResult]:
        first = await box.python(f"x = 7\n{left}", PLENTY)
        counted = (await box.shell(COUNT, PLENTY)).output
        return first, counted, await box.python("x", PLENTY)

    first, counted, after = work(do)
    assert (first.error, first.left_running, first.state_lost) == (None, 1, False)
    assert counted == "0\n"
    assert (after.value, after.left_running, after.state_lost) == ("7", 0, False)


@pytest.mark.parametrize(
    ("body", "least"), [("time.sleep(1000)", 10), ("os._exit(0)", 0)], ids=["alive", "dead"]
)
def test_a_fork_bomb_in_a_cell_leaves_room_for_the_next_calls(
    work: Work, body: str, least: int
) -> None:
    bomb = (
        "import os, time\n"
        "try:\n"
        "    while True:\n"
        f"        if os.fork() == 0: {body}\n"
        "except OSError: print('full')"
    )

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        first = await box.python(bomb, PLENTY)
        return first, await box.shell("echo hi | cat", PLENTY), await box.python("2", PLENTY)

    first, said, after = work(do)
    assert first.output == "full\n"
    assert first.left_running >= least
    assert (said.output, said.exit_code, after.value) == ("hi\n", 0, "2")


def test_an_interpreter_without_descriptors_left_hurts_itself_only(
    work: Work, on_host: OnHost
) -> None:
    exhaust = (
        "import os, resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nheld = []\n"
        "try:\n    while True: held.append(os.open('/dev/null', 0))\n"
        "except OSError as problem: print(problem.errno)"
    )
    assert on_host(f"{exhaust}\nos.open('/dev/null', 0)").returncode == 1

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, Any, ExecResult]:
        await box.python(exhaust, PLENTY)
        said = await box.shell("ls > /dev/null && echo fine", PLENTY)
        read = await box.file("read", {"path": "notes.txt"}, PLENTY)
        await box.reset()
        return said, read, await box.python("1 + 1", PLENTY)

    said, read, after = work(do)
    assert said.output == "fine\n"
    assert read["total_lines"] == 3
    assert after.value == "2"


def test_what_is_dropped_is_counted_by_the_supervisor(python: Python) -> None:
    code = "print('[... 0 bytes dropped ...]' + 'x' * 1_000_000)"
    result = python(code)[0]
    assert result.dropped_bytes > 900_000
    small = python("print('[... 7 bytes dropped ...]')")[0]
    assert (small.dropped_bytes, small.output) == (0, "[... 7 bytes dropped ...]\n")


def test_a_grader_gets_a_box_that_nothing_ran_in(work: Work, workspace: Path) -> None:
    plant = (
        "echo 'def check(): return True' > check.py; mkdir -p ~/packages; "
        "echo evil > ~/packages/graded.py; echo evil > /tmp/left; echo evil > /dev/shm/left"
    )
    look = "echo ~/packages/* /tmp/* /dev/shm/* | grep -o -e graded -e left | wc -l; cat check.py"

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, str]:
        await box.python("graded = True", PLENTY)
        await box.shell(plant, PLENTY)
        before = await box.shell(look, PLENTY)
        async with await box.fresh() as other:
            after = await other.shell(look, PLENTY)
            state = await other.python("'graded' in globals()", PLENTY)
            await other.shell("echo worse > notes.txt", PLENTY)
        return before, after, str(state.value)

    before, after, state = work(do)
    assert before.output.startswith("3\n")
    assert after.output.startswith("0\n")
    assert after.output.endswith("return True\n")
    assert state == "False"
    assert (workspace / "notes.txt").read_text() == "alpha\nbeta\ngamma\n"
