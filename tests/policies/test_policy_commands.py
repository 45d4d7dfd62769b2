"""`[commands]`: which programs may be started."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_policies import Allow, Ask, Decision, Deny, Policy, PolicyFileError
from wardian_tools import Effect, Tool, builtin_tools, tool
from wardian_tools.types import ToolCall

Write = Callable[[str], Policy]
SHELL = next(one for one in builtin_tools() if one.name == "shell")


@tool(effects={Effect.EXECUTES})
def start(command: list[str]) -> str:
    """Starts a program without a shell."""
    return command[0]


def decide(policy: Policy, command: str | list[str], by: Tool = SHELL) -> Decision:
    call = ToolCall(id="1", name=by.name, arguments_text="", arguments={"command": command})
    return policy.decide(call, by)


@pytest.fixture
def policy(write: Write) -> Policy:
    return write(
        "[tools]\ndefault = 'deny'\n[commands]\n"
        'allow = ["git status", "git diff **", "ls -?", "pytest **", "cp * backup/*",\n'
        '  "timeout 60 pytest **", "sh build.sh", "env **", "find **", "git log **", "sed **",\n'
        '  "python **", "grep -e \'a b\' *"]\n'
        'ask = ["git diff --no-index"]\ndeny = ["rm -rf", "sudo"]'
    )


@pytest.mark.parametrize(
    "command",
    [
        "git status",
        "git diff",
        "git diff --stat HEAD~1",
        "ls -l",
        "cp a.txt backup/a.txt",
        "timeout 60 pytest -q tests",
        "sh build.sh",
        "find . -name x",
        "python x.py",
        "grep -e 'a b' x",
    ],
)
def test_a_plain_command_that_fits_is_allowed(policy: Policy, command: str) -> None:
    assert isinstance(decide(policy, command), Allow)


@pytest.mark.parametrize(
    "command",
    [
        "git status --short",
        "git status; ls -l",
        "git diff $(touch x)",
        "git diff > x",
        "git diff `x`",
        "git diff *",
        "git diff ~/x",
        "GIT_PAGER=x git diff",
        "export A=b",
        "./git status",
        "ls -la",
        "cp a b backup/a",
        "cp a backup/../a b",
        "timeout 60 rm x",
        "timeout -s KILL 60 rm x",
        "sh -c 'touch x'",
        "sh build.sh x",
        "env touch x",
        "env -S 'touch x'",
        "find . -exec touch x ';'",
        "find . -delete",
        "git -c core.pager=x diff",
        "git log --ext-diff",
        "sed -n 1e x",
        "python -c 'x'",
        "python3 -c 'x'",
        "python -Bc 'x'",
        "git diff <<END\nx\nEND",
    ],
)
def test_no_shell_and_no_second_program_is_ever_allowed_by_a_pattern(
    policy: Policy, command: str
) -> None:
    assert isinstance(decide(policy, command), Deny)


@pytest.mark.parametrize("command", ["rm -rf x", "true && rm -rf x", "env rm -rf x", "/bin/rm -rf"])
def test_a_denied_program_is_denied_with_more_words_and_behind_others(
    write: Write, command: str
) -> None:
    policy = write('[tools]\ndefault = "allow"\n[commands]\ndeny = ["rm -rf"]')
    decision = decide(policy, command)
    assert isinstance(decision, Deny)
    assert decision.rule.text == "deny command rm -rf"
    assert isinstance(decide(policy, "rm x"), Allow)


def test_ask_wins_over_a_wider_allow(policy: Policy) -> None:
    assert isinstance(decide(policy, "git diff --no-index a b"), Ask)


@pytest.mark.parametrize(
    ("verdict", "kind"), [("allow", Allow), ("ask", Ask), ("deny", Deny)], ids=str
)
def test_the_shell_is_a_capability_of_its_own(write: Write, verdict: str, kind: type) -> None:
    policy = write(
        f'[tools]\nask = ["shell"]\n[commands]\nshell = "{verdict}"\nallow = ["ls **"]\n'
        'deny = ["sudo"]'
    )
    assert isinstance(decide(policy, "ls -l"), Allow)
    decision = decide(policy, "ls | wc -l")
    assert isinstance(decision, kind)
    assert isinstance(decide(policy, "ls | sudo tee x"), Deny)
    assert isinstance(decide(policy, "wc -l"), Ask)


def test_a_line_written_out_in_full_is_allowed_as_it_is(write: Write) -> None:
    policy = write(
        '[tools]\ndefault = "deny"\nallow = ["shell(ls | wc -l)", "shell(env X=1 make *)"]'
    )
    assert isinstance(decide(policy, "ls | wc -l"), Allow)
    assert isinstance(decide(policy, "ls | wc -l; x"), Deny)
    assert isinstance(decide(policy, "env X=1 make all"), Allow)
    assert isinstance(decide(policy, "env X=1 makefile all"), Deny)


def test_a_wildcard_on_the_tool_is_as_careful_as_one_on_the_command(write: Write) -> None:
    policy = write('[tools]\ndefault = "deny"\nallow = ["shell(env *)", "shell(git *)"]')
    for command in ("env touch x", "git -c a=b log", "git log *", "git log \\x", "git log {a,b}"):
        assert isinstance(decide(policy, command), Deny), command
    assert isinstance(decide(policy, "git log -n 3"), Allow)


def test_a_command_given_as_words_never_meets_a_shell(policy: Policy) -> None:
    assert isinstance(decide(policy, ["git", "diff", "$(x)", "; y"], start), Allow)
    assert isinstance(decide(policy, ["sh", "-c", "git diff"], start), Deny)
    assert isinstance(decide(policy, ["git status"], start), Deny)


def test_a_rule_on_another_argument_is_about_that_argument(write: Write) -> None:
    @tool(effects={Effect.EXECUTES})
    def feed(command: str, stdin: str) -> str:
        """Starts a program and feeds it."""
        return command + stdin

    policy = write('[tools]\ndefault = "allow"\ndeny = ["feed(stdin=rm *)"]')
    for command, stdin, kind in (("ls", "rm x", Deny), ("rm x", "ls", Allow)):
        arguments = {"command": command, "stdin": stdin}
        call = ToolCall(id="1", name="feed", arguments_text="", arguments=arguments)
        assert isinstance(policy.decide(call, feed), kind)


def test_the_rule_and_its_line_are_named(policy: Policy) -> None:
    decision = decide(policy, "sudo ls")
    assert isinstance(decision, Deny)
    assert decision.rule.source.endswith("policy.toml:8")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "names no command"),
        ("** push", "names no program"),
        ("git 'x", "an open quote"),
        ("a ** b ** c ** d", "over two '**'"),
    ],
)
def test_a_pattern_that_names_no_program_is_refused(write: Write, pattern: str, said: str) -> None:
    with pytest.raises(PolicyFileError, match=r"policy\.toml:3: ") as caught:
        write(f'[commands]\n\nallow = ["{pattern}"]')
    assert said in str(caught.value)


def test_a_shell_starts_nothing_but_the_program_that_was_allowed(
    write: Write, tmp_path: Path
) -> None:
    policy = write(
        '[tools]\ndefault = "deny"\nallow = ["shell(safe *)"]\n[commands]\nallow = ["safe **"]'
    )
    special = [*" \t'\"\\$`;&|<>(){}[]*?~#!^=%@+:,./-\n"]
    pieces = [*special, "a", "canary", "x=", "&&", "$(", ">f", "${IFS}"]
    source = random.Random(7)
    lines = {
        "safe " + "".join(source.choices(pieces, k=source.randint(1, 8))) for _ in range(20_000)
    }
    allowed = [line for line in sorted(lines) if isinstance(decide(policy, line), Allow)]
    assert len(allowed) > 200
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "safe").symlink_to("/bin/true")
    folder = tmp_path / "folder"
    folder.mkdir()
    done = subprocess.run(
        ["/bin/sh"],
        input="\n".join(allowed).encode(),
        cwd=folder,
        env={"PATH": str(programs)},
        capture_output=True,
        check=True,
    )
    # Anything else would be "not found" here, or a syntax error, or have made a file.
    assert (done.stdout, done.stderr) == (b"", b"")
    assert not list(folder.iterdir())
