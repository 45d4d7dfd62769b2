"""`agent policy`: what calls are allowed, asked and denied."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.grouping import group_of
from wardian.cli.known_tools import known_tools
from wardian.cli.listing import print_json, print_table
from wardian.cli.policy_compare import failures, read_expectations
from wardian.cli.policy_edit import edit
from wardian.cli.preview import titles_of_calls
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.events import Recorded
from wardian.flow import path_of_taint, situation_after
from wardian.runs import RunStore
from wardian.settings import load_settings, paths, policy_in_force, workspace_of
from wardian_policies import Policy
from wardian_policies.explain import Explanation, parse_call
from wardian_tools import Tool
from wardian_tools.types import Confidentiality

Name = Annotated[
    str | None, typer.Argument(help="A preset, or a policy file; default: the one in force here.")
]
Chosen = Annotated[
    str | None, typer.Option("--policy", metavar="NAME|FILE", help="Another than the one in force.")
]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="RUN", help="As after what this run has read; `last` works."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("Show what a policy allows, asks and denies.")
    group.command("show", epilog="Example: agent policy show strict")(show)
    group.command("explain", epilog="Example: agent policy explain 'shell(git push)'")(explain)
    group.command("test", epilog="Example: agent policy test expected.toml")(compare)
    group.command("edit", epilog="Example: agent policy edit mine")(edit)
    app.add_typer(group, name="policy")


def chosen(name: str | None) -> Policy:
    """The policy of that name, or the one a run in this folder has, as its folder narrows it."""
    return policy_in_force(name, os.environ) if name is not None else in_this_folder(None)


def in_this_folder(name: str | None) -> Policy:
    """What a run in this folder has, under the policy of that name or the user's usual one."""
    here = workspace_of(Path(), os.environ)
    if notice := here.notice():
        write(sys.stderr, visible(f"agent: {notice}") + "\n")
    wanted = name if name is not None else load_settings({}, os.environ).policy
    return policy_in_force(wanted, os.environ, here)


def show(name: Name = None, *, as_json: AsJson = False) -> int:
    """Show a policy's rules with where each stands, its paths and its budgets."""
    policy = chosen(name)
    facts = policy.as_json()
    if as_json:
        print_json(facts)
        return ExitCode.DONE
    rows = [(rule["text"], rule["source"]) for layer in facts["layers"] for rule in layer["rules"]]
    print_table(("RULE", "FROM"), rows, "The policy has no rules.")
    write(sys.stdout, "\n")
    print_table(("WORKSPACE", "WHAT"), workspace_rows(policy), "")
    write(sys.stdout, "\n")
    budgets = [
        (key, "no limit" if value is None else f"{value:g}")
        for key, value in asdict(policy.budgets).items()
    ]
    print_table(("BUDGET", "LIMIT"), budgets, "")
    write(sys.stdout, "\n")
    print_table(("SETTING", "FROM", "VALUE"), setting_rows(policy), "")
    remark(policy, known_tools())
    return ExitCode.DONE


def workspace_rows(policy: Policy) -> list[tuple[str, str]]:
    within = policy.confinement
    return [
        ("readable", " ".join(within.readable) or "nothing"),
        ("writable", " ".join(within.writable) or "nothing"),
        ("protected", " ".join(within.protected) or "nothing"),
        ("hosts", " ".join(within.egress.hosts) or "no network"),
        ("private networks", "by name" if within.egress.private else "refused"),
    ]


def setting_rows(policy: Policy) -> list[tuple[str, str, str]]:
    """The tables that other parts read, each key with its value and where that stands."""
    keys = (
        *(f"flow.{name}" for name in asdict(policy.flow)),
        *(f"secrets.{name}" for name in asdict(policy.secrets)),
        *(f"redaction.{name}" for name in asdict(policy.redaction)),
        *("network.any_web", "mcp.servers", "mcp.unsandboxed", "agents.depth", "agents.parallel"),
    )
    rules = {key: policy.rule(key) for key in keys}
    return [(key, rule.source, rule.text.removeprefix(f"{key} = ")) for key, rule in rules.items()]


def explain(
    call: Annotated[str, typer.Argument(help="A call, as shell(git push) or write_file(path=a).")],
    *,
    policy: Chosen = None,
    after: After = None,
    as_json: AsJson = False,
) -> int:
    """Say what would be decided of a call, by which rule, and what would change the answer."""
    tools = known_tools()
    tool = tool_named(call.partition("(")[0].strip(), tools)
    try:
        parsed = parse_call(call.strip(), tool)
    except ValueError as error:
        remedy = f"`agent tools show {tool.name}` shows its arguments."
        raise ConfigurationError(f"{call!r} is not a call: {error}", remedy) from error
    rules = in_this_folder(policy)
    read = RunStore(paths(os.environ).runs).load(after).events if after else ()
    explanation = rules.explain(parsed, tool, situation_after(read))
    if as_json:
        print_json(explanation.as_json())
    else:
        print_explanation(explanation)
        if after:
            print_path(read)
        remark(rules, tools)
    return ExitCode.DONE


def print_path(read: Sequence[Recorded]) -> None:
    """Which results brought the labels that the run holds, and of which calls."""
    titles = titles_of_calls(read)
    brought = [source for source, is_first in path_of_taint(read) if is_first]
    lines = [
        f"  {source}: {source.integrity}{', from outside' if source.outside else ''},"
        f" {source.confidentiality}: {titles.get(source.call_id, '')}".removesuffix(": ")
        for source in brought
    ]
    if any(source.confidentiality is Confidentiality.LOCAL for source in brought):
        lines.append("  (local is private, and shown to no model but one on this machine)")
    heading = "What the run had read:" if lines else "The run had read nothing."
    write(sys.stdout, "".join(f"{visible(line)}\n" for line in (heading, *lines)))


def print_explanation(explanation: Explanation) -> None:
    rule = explanation.rule
    lines = [
        f"{explanation.verdict}: {rule.text}",
        f"  in {rule.source}",
        *(f"  {fact}" for fact in explanation.facts),
        *(["What would change the answer:"] if explanation.would_change else []),
        *(f"  {change}" for change in explanation.would_change),
    ]
    write(sys.stdout, "".join(f"{visible(line)}\n" for line in lines))


def compare(
    file: Annotated[Path, typer.Argument(help="A TOML file of expected decisions.")],
    *,
    policy: Chosen = None,
    as_json: AsJson = False,
) -> int:
    """Compare a policy's decisions with those a file expects; exit code 1 where one differs.

    The file has lists of calls, `allow`, `ask` and `deny`, and may name its `policy`.
    """
    expected = read_expectations(file)
    rules = chosen(policy or expected.policy)
    tools = known_tools()
    found = failures(expected, rules, lambda name: tool_named(name, tools))
    if as_json:
        print_json({"calls": expected.count, "differences": [asdict(one) for one in found]})
    else:
        for one in found:
            write(
                sys.stdout,
                visible(
                    f"{one.where}: {one.call}: expected {one.expected}, got {one.got}: {one.rule}"
                )
                + "\n",
            )
        write(sys.stderr, f"{expected.count - len(found)} of {expected.count} as expected\n")
    return ExitCode.NOT_ACHIEVED if found else ExitCode.DONE


def tool_named(name: str, tools: dict[str, Tool]) -> Tool:
    """Raises: ConfigurationError with the nearest name."""
    if name in tools:
        return tools[name]
    near = get_close_matches(name, tools, 1)
    remedy = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(tools)}."
    raise ConfigurationError(f"There is no tool {name!r}.", remedy)


def remark(policy: Policy, tools: dict[str, Tool]) -> None:
    for sentence in policy.remarks(list(tools)):
        write(sys.stderr, f"agent: {visible(sentence)}\n")
