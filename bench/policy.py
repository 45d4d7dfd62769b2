"""Time of one policy decision under 200 rules: python bench/policy.py."""

import statistics
import tempfile
import time
from pathlib import Path

from wardian_policies import Policy
from wardian_tools import builtin_tools
from wardian_tools.types import Tool, ToolCall

CALLS = {
    "shell, last rule": ("shell", {"command": "command-66 --flag value"}),
    "shell, no rule": ("shell", {"command": "make " + "x" * 200}),
    "write_file, last rule": ("write_file", {"path": "src/folder-65/./a.py", "content": "x"}),
    "read_file, no rule": ("read_file", {"path": "README.md"}),
}
LIMIT_MICROSECONDS = 50


def policy_of_200_rules(folder: Path) -> Policy:
    allow = [f"shell(command-{n} *)" for n in range(67)]
    ask = [f"write_file(path=src/folder-{n}/**)" for n in range(66)]
    deny = [f"shell(rm -rf /{n}*)" for n in range(67)]
    lists = {"allow": allow, "ask": ask, "deny": deny}
    text = "[tools]\n" + "\n".join(f"{name} = {rules!r}" for name, rules in lists.items())
    file = folder / "policy.toml"
    file.write_text(text)
    return Policy.load(file)


def microseconds(policy: Policy, tool: Tool, call: ToolCall, rounds: int = 2000) -> float:
    """Median over rounds."""
    policy.decide(call, tool)  # compiles the tool's rules
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        policy.decide(call, tool)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def main() -> int:
    tools = {tool.name: tool for tool in builtin_tools()}
    with tempfile.TemporaryDirectory() as folder:
        policy = policy_of_200_rules(Path(folder))
    worst = 0.0
    for label, (name, arguments) in CALLS.items():
        call = ToolCall(id="1", name=name, arguments_text="", arguments=arguments)
        took = microseconds(policy, tools[name], call)
        worst = max(worst, took)
        print(f"{label:24} {took:6.1f} µs")
    print(f"{'worst':24} {worst:6.1f} µs   (limit {LIMIT_MICROSECONDS})")
    return int(worst > LIMIT_MICROSECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
