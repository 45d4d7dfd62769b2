"""`agent sandbox`: a box by hand, what can be enforced, clearing up. Images: tests/sandbox."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian.cli.application import application
from wardian_sandbox import InvalidRequest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_piped_lines_run_one_after_another_in_one_interpreter(agent: Command) -> None:
    lines = "x = 6\nfor i in range(2):\n    print(i)\n\nx * 7\n"
    done = agent("sandbox", "shell", "--sandbox", "bubblewrap", input=lines)
    assert (done.stdout, done.stderr, done.returncode) == ("0\n1\n42\n", "", 0)


def test_a_marked_line_is_a_shell_command_in_the_workspace(agent: Command, workspace: Path) -> None:
    done = agent("sandbox", "shell", input="!wc -l < a.txt; id -un; echo hi > new\n")
    assert done.stdout == "3\nagent\n"
    assert (workspace / "new").read_text() == "hi\n"


def test_with_bash_each_line_is_a_shell_command(agent: Command) -> None:
    done = agent("sandbox", "shell", "--bash", input="echo one\necho two\n")
    assert done.stdout == "one\ntwo\n"


def test_a_copy_leaves_the_workspace_as_it_is(agent: Command, workspace: Path) -> None:
    agent("sandbox", "shell", "--copy", input="!echo changed > a.txt\n")
    assert (workspace / "a.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [("1/0\n", "ZeroDivisionError"), ("!false\n", "exit code 1"), ("def\n", "SyntaxError")],
)
def test_the_exit_code_is_that_of_the_last_line(agent: Command, lines: str, said: str) -> None:
    done = agent("sandbox", "shell", input="1\n" + lines)
    assert said in done.stderr
    assert done.returncode == 1
    assert agent("sandbox", "shell", input=lines + "1\n").returncode == 0


def test_what_a_box_prints_cannot_act_on_the_terminal(agent: Command) -> None:
    done = agent("sandbox", "shell", input="print('\\x1b[2J')\n'\\x1b[2J'\n")
    assert "\x1b" not in done.stdout


def test_without_a_sandbox_that_is_said_to_programs_too(agent: Command) -> None:
    done = agent("sandbox", "shell", "--sandbox", "none", input="1 + 1\n")
    said = "agent: NO SANDBOX: lines run with your rights\n"
    assert (done.stdout, done.stderr, done.returncode) == ("2\n", said, 0)


def test_an_image_that_cannot_be_is_refused_with_its_name(agent: Command) -> None:
    done = agent("sandbox", "shell", "--sandbox", "docker", "--image", "BAD NAME", input="1\n")
    assert done.returncode == 3
    assert "'BAD NAME'" in done.stderr


def test_without_lines_nothing_happens(agent: Command) -> None:
    done = agent("sandbox", "shell", input="")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_doctor_says_what_auto_is_and_why(agent: Command) -> None:
    done = agent("sandbox", "doctor", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert found["sandbox"]["state"] == "ok"
    assert found["auto"]["detail"].startswith("bubblewrap is the strongest")
    assert "not gvisor: The sandbox's image" in found["auto"]["detail"]
    assert "model" not in found


def test_gc_works_without_docker(agent: Command) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    done = agent("sandbox", "gc", "--json", env=nowhere)
    cleared = json.loads(done.stdout)
    assert (done.returncode, cleared["containers"]) == (0, [])
    assert "not running" in cleared["problem"]
    assert "0 containers" in agent("sandbox", "gc", env=nowhere).stderr


def test_a_container_without_an_image_names_the_command_that_makes_it(agent: Command) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    done = agent("sandbox", "shell", "--sandbox", "docker", input="1\n", env=nowhere)
    assert done.returncode == 7
    assert "systemctl start docker" in done.stderr


def test_building_without_docker_is_a_sandbox_error(agent: Command) -> None:
    done = agent("sandbox", "build", env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert done.returncode == 7
    assert "not running" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--package", "--help", "--minimal"),
        ("--package", "; rm -rf /"),
        ("--package", "--customize-hook=touch /pwned"),
        ("--package", "python3-"),
        ("--image", "BAD NAME"),
        ("--file", "missing"),
        ("--file", "/dev/null", "--minimal"),
        ("--file", "/dev/null", "-p", "git"),
    ],
    ids=["option", "shell", "hook", "removal", "image", "file", "minimal", "packages"],
)
def test_what_cannot_be_is_refused_before_anything_is_asked_or_started(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "own"
    monkeypatch.setenv("WARDIAN_HOME", str(home))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(InvalidRequest) as raised:
        application(["sandbox"])(["sandbox", "build", *arguments], standalone_mode=False)
    assert raised.value.remedy
    assert not home.exists()


def test_a_name_that_cannot_be_is_wrong_usage(agent: Command) -> None:
    done = agent("sandbox", "build", "--package=--help", "--minimal")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--help' is no name of a Debian package" in done.stderr
