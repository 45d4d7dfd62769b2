"""The persistent interpreter, on every backend."""

from collections.abc import Callable
from typing import Any

import pytest

from wardian_sandbox import Confinement, Ending, ExecResult, ResourceLimits, SupervisedSandbox

Python = Callable[..., list[ExecResult]]
SHORT = Confinement(limits=ResourceLimits(wall_seconds=1.0))
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
SMALL = Confinement(limits=ResourceLimits(wall_seconds=30.0, output_bytes=1000))


def test_the_last_expression_is_the_value(python: Python) -> None:
    results = python("1 + 1", "x = 3", "None", "'a'", "x;")
    assert [result.value for result in results] == ["2", None, None, "'a'", "3"]


def test_state_lasts_from_call_to_call(python: Python) -> None:
    results = python("import math\ndef area(r): return math.pi * r ** 2", "round(area(2), 3)")
    assert results[1].value == "12.566"


def test_output_of_every_origin_comes_in_the_order_written(python: Python) -> None:
    code = """
import os, subprocess, sys
print('one')
print('two', file=sys.stderr)
subprocess.run(['echo', 'three'])
os.write(1, b'four\\n')
print('five', end='')
os.write(2, b' six')
"""
    assert python(code)[0].output == "one\ntwo\nthree\nfour\nfive six"


def test_what_c_code_prints_is_captured(python: Python) -> None:
    assert python("import ctypes; ctypes.CDLL(None).puts(b'from C')")[0].output == "from C\n"


def test_a_traceback_shows_the_cell_and_nothing_of_ours(python: Python) -> None:
    result = python("def f():\n    return 1 / 0\nf()")[0]
    assert result.exit_code == 1
    assert result.ending is Ending.EXITED
    assert result.error is not None
    lines = result.error.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "<cell 1>", line 3, in <module>'
    assert "    return 1 / 0" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "wardian" not in result.error


@pytest.mark.parametrize("code", ["1 +", "return 3", "x = \x00", "if True:\nprint(1)"])
def test_code_that_does_not_parse_is_an_error_of_one_cell(python: Python, code: str) -> None:
    broken, after = python(code, "1")
    assert broken.exit_code == 1
    assert broken.error is not None
    assert "wardian" not in broken.error
    assert "ast.py" not in broken.error
    assert after.value == "1"


@pytest.mark.parametrize(
    "code",
    [
        "def r(): r()\nr()",
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "class R:\n    def __repr__(self): raise SystemExit(9)\nR()",
        "raise KeyboardInterrupt",
        "'\\ud800'.encode()",
        "eval('(' * 100000)",
        "print(chr(0xd800)); chr(0xd800)",
    ],
)
def test_state_survives_whatever_a_cell_raises(python: Python, code: str) -> None:
    _, after = python("kept = 7\n" + code, "kept")
    assert (after.value, after.state_lost) == ("7", False)


@pytest.mark.parametrize(
    ("argument", "code", "output"), [("", 0, ""), ("3", 3, ""), ("'bye'", 1, "bye\n")]
)
def test_leaving_the_interpreter_ends_only_the_cell(
    python: Python, argument: str, code: int, output: str
) -> None:
    left, after = python(f"x = 1; import sys; sys.exit({argument})", "x")
    assert (left.ending, left.exit_code, left.output) == (Ending.EXITED, code, output)
    assert after.value == "1"


def test_a_dead_interpreter_is_said_once_and_replaced(python: Python) -> None:
    first, died, after, later = python("x = 1", "import os; os._exit(3)", "x", "2")
    assert not first.state_lost
    assert (died.ending, died.exit_code, died.state_lost) == (Ending.EXITED, 3, True)
    assert "NameError" in str(after.error)
    assert (after.state_lost, later.value) == (False, "2")


def test_a_crash_tells_its_signal(python: Python) -> None:
    died = python("import ctypes; ctypes.string_at(0)")[0]
    assert (died.ending, died.exit_code, died.state_lost) == (Ending.SIGNALLED, 139, True)


@pytest.mark.parametrize(
    "code", ["10 ** 10 ** 8", "while True: pass", "import time; time.sleep(60)"]
)
def test_code_that_takes_too_long_is_killed_whatever_it_does(python: Python, code: str) -> None:
    late, after = python(code, "1", within=SHORT)
    assert (late.ending, late.state_lost, after.value) == (Ending.TIMED_OUT, True, "1")


def test_much_output_keeps_its_ends_and_counts_the_rest(python: Python) -> None:
    result = python("print('start'); print('x' * 100_000); print('end')", within=SMALL)[0]
    assert len(result.output.encode()) <= 1000
    assert result.output.startswith("start\nxxx")
    assert result.output.endswith("xxx\nend\n")
    assert result.dropped_bytes > 99_000
    assert f"[... {result.dropped_bytes} bytes dropped ...]" in result.output


def test_endless_output_ends_with_the_time_limit(python: Python) -> None:
    result = python("while True: print('x' * 1000)", within=SHORT)[0]
    assert result.ending is Ending.TIMED_OUT
    assert result.dropped_bytes > 0
    assert len(result.output.encode()) <= SHORT.limits.output_bytes


def test_output_that_is_not_utf8_is_replaced_and_stays_within_the_limit(python: Python) -> None:
    few, many = python(
        "import os; n = os.write(1, b'a\\xffb')", "n = os.write(1, b'\\xff' * 900)", within=SMALL
    )
    assert few.output == "a\ufffdb"
    assert len(many.output.encode()) <= 1000


def test_a_huge_value_is_clipped(python: Python) -> None:
    value = python("'v' * 1_000_000", within=SMALL)[0].value
    assert value is not None
    assert len(value) < 1200
    assert "characters dropped" in value


def test_a_cell_may_be_larger_than_a_pipe(python: Python) -> None:
    assert python(f"len({'y' * 500_000!r})")[0].value == "500000"


def test_input_is_at_its_end(python: Python) -> None:
    assert "EOFError" in str(python("input()")[0].error)


def test_modules_of_the_workspace_can_be_imported(python: Python) -> None:
    assert python("import src.main")[0].output == "hello\n"


def test_a_cell_that_forks_answers_once(python: Python) -> None:
    forked, after = python("import os\npid = os.fork()\n'answer'", "os.waitpid(pid, 0)[1]")
    assert forked.value == "'answer'"
    assert after.value in ("0", "9")  # it left by itself, or was ended with its cell


def test_a_process_that_keeps_the_output_open_does_not_hold_the_call(python: Python) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '60']); 'done'"
    first, second = python(code, "child.poll()")
    assert (first.value, first.ending) == ("'done'", Ending.EXITED)
    assert (first.left_running, second.value, second.error) == (1, "-9", None)


def test_python_calls_queue(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> list[ExecResult]:
        import asyncio

        calls = [
            box.python(f"seen = globals().get('seen', []) + [{n}]; seen", PLENTY) for n in range(5)
        ]
        return list(await asyncio.gather(*calls))

    assert work(do)[-1].value == "[0, 1, 2, 3, 4]"


def test_packages_of_the_system_can_be_imported(python: Python) -> None:
    code = "import sys\nany(p.endswith(('dist-packages', 'site-packages')) for p in sys.path)"
    assert python(code)[0].value == "True"
