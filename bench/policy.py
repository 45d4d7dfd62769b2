"""Time of one policy decision under 200 rules: python bench/policy.py."""

import statistics
import tempfile
import time
from pathlib import Path

from wardian_policies import Policy
from wardian_tools import builtin_tools
from wardian_tools.types import Tool, ToolCall

CALLS = {
    "shell, last rule": ("shell", {"command": "program-33 sub --flag value"}),
    "shell, last text rule": ("shell", {"command": "command-33 --flag value"}),
    "shell, no rule": ("shell", {"command": "make " + "x" * 200}),
    "shell, for a shell": ("shell", {"command": "cd src && make test 2>&1 | tail -n 20 > out.txt"}),
    "write_file, last rule": ("write_file", {"path": "src/folder-65/./a.py", "content": "x"}),
    "read_file, no rule": ("read_file", {"path": "README.md"}),
}
LIMIT_MICROSECONDS = 50


def policy_of_200_rules(folder: Path) -> Policy:
    tables = {
        "tools": {
            "allow": [f"shell(command-{n} *)" for n in range(34)],
            "ask": [f"write_file(path=src/folder-{n}/**)" for n in range(66)],
            "deny": [f"shell(rm -rf /{n}*)" for n in range(33)],
        },
        "commands": {
            "allow": [f"program-{n} sub **" for n in range(34)],
            "deny": [f"sudo program-{n}" for n in range(33)],
        },
    }
    text = ""
    for table, lists in tables.items():
        text += f"[{table}]\n" + "".join(f"{name} = {rules!r}\n" for name, rules in lists.items())
    file = folder / "policy.toml"
    file.write_text(text)
    return Policy.load(file)


def microseconds(policy: Policy, tool: Tool, call: ToolCall, rounds: int = 2000) -> list[float]:
    """Every round, sorted."""
    policy.decide(call, tool)  # compiles the tool's rules
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        policy.decide(call, tool)
        times.append((time.perf_counter_ns() - began) / 1000)
    return sorted(times)


def main() -> int:
    tools = {tool.name: tool for tool in builtin_tools()}
    with tempfile.TemporaryDirectory() as folder:
        policy = policy_of_200_rules(Path(folder))
    worst = 0.0
    for label, (name, arguments) in CALLS.items():
        call = ToolCall(id="1", name=name, arguments_text="", arguments=arguments)
        times = microseconds(policy, tools[name], call)
        took = statistics.median(times)
        worst = max(worst, took)
        print(f"{label:24} {took:6.1f} µs   (quickest {times[0]:.1f})")
    print(f"{'worst':24} {worst:6.1f} µs   (limit {LIMIT_MICROSECONDS})")
    return int(worst > LIMIT_MICROSECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
