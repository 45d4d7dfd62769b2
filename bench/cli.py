"""What the command line costs to start.

    python bench/cli.py

Prints processor seconds (user + system, the median of several runs) of `agent --help` against
`python -c pass`, of `import wardian` against `import openai` where that is installed, and of a
one-step task against an OpenAI-compatible server on loopback; and the memory of `import wardian`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text

PYTHON = [sys.executable, "-P"]
AGENT = [*PYTHON, "-m", "wardian"]


def cpu_seconds(command: list[str], rounds: int, env: dict[str, str] | None = None) -> float:
    """Median processor seconds of the command and its children."""
    measured: list[float] = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        measured.append(
            after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        )
    return statistics.median(measured)


def peak_megabytes(code: str) -> float:
    script = f"{code}\nimport resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([*PYTHON, "-c", script], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def task(answers: list[Answer], rounds: int) -> float:
    """Median processor seconds of `agent run` on a task that these answers of a server solve."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as home,
        ScriptedServer(answers * rounds) as server,
    ):
        env = os.environ | {"WARDIAN_HOME": home}
        options = ["-w", folder, "--base-url", server.base_url, "-m", "m", "-q"]
        return cpu_seconds([*AGENT, "run", "What is 6 * 7?", *options], rounds, env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds: int = parser.parse_args().rounds
    bare = cpu_seconds([*PYTHON, "-c", "pass"], rounds)
    print(f"python -c pass    {bare:.3f} CPU s")
    for name, command in (
        ("agent --help", [*AGENT, "--help"]),
        ("agent --version", [*AGENT, "--version"]),
        ("agent run --help", [*AGENT, "run", "--help"]),
        ("import wardian", [*PYTHON, "-c", "import wardian"]),
        ("Agent imported", [*PYTHON, "-c", "from wardian import Agent"]),
    ):
        seconds = cpu_seconds(command, rounds)
        print(f"{name:<18}{seconds:.3f} CPU s  {seconds / bare:.1f}x python -c pass")
    call = stream_calls([("python", {"code": "6 * 7"})])
    for name, answers in (
        ("one-step task", [stream_text("42")]),
        ("task with a call", [call, stream_text("42")]),
    ):
        seconds = task(answers, rounds)
        print(f"{name:<18}{seconds:.3f} CPU s  {seconds / bare:.1f}x python -c pass")
    print(f"{'import wardian':<18}{peak_megabytes('import wardian'):.1f} MB")
    print(f"{'Agent imported':<18}{peak_megabytes('from wardian import Agent'):.1f} MB")
    try:
        openai = cpu_seconds([*PYTHON, "-c", "import openai"], rounds)
    except subprocess.CalledProcessError:
        print("import openai     not installed")
    else:
        ours = cpu_seconds([*PYTHON, "-c", "from wardian import Agent"], rounds)
        print(f"{'import openai':<18}{openai:.3f} CPU s  ours is {ours / openai:.2f}x")


if __name__ == "__main__":
    main()
