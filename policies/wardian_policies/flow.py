"""Where information may go: rules on the labels of what a run has read, checked before each call.

Rule of Two. Once a run holds untrusted content and private data, a call that sends or changes
something outside is asked about, or refused where nobody can be asked. Whatever the untrusted text
said, it cannot make the run send the private data.

Configuration. Text from the web or from a tool server never changes policy, model, tools or memory:
a tool with the effect `configures` is denied from then on. (Settings, policies and tool lists are
files that no tool may write in the first place.)

Local data. What the policy marks private is not read for a model that is not on this machine.

Covers every call of a tool by its declared effects, and code whenever the sandbox may reach hosts.
Does not cover: what a person is talked into allowing; the truth of an answer; a tool whose author
declared fewer effects than it has.
Source: https://ai.meta.com/blog/practical-ai-agent-security/
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from wardian_policies.globs import normalise, path_regex
from wardian_policies.labels import Situation
from wardian_policies.matching import as_text, path_arguments
from wardian_policies.tables import FlowRules, names_any
from wardian_policies.types import Allow, Ask, Decision, Deny, Rule, Verdict
from wardian_sandbox.egress.rules import parse_host_rule
from wardian_sandbox.types import Confinement
from wardian_tools.types import Confidentiality, Effect, Integrity, Tool, ToolCall, ToolResult

SEARCH = "search_files"
BUILT_IN = Rule(text="text from outside configures nothing", source="built in")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRuling:
    """What a flow rule says of a call."""

    verdict: Verdict
    reason: str
    key: str
    """The rule in the policy file; empty for one that is built in."""


def flow_ruling(
    call: ToolCall, tool: Tool, situation: Situation, rules: FlowRules, within: Confinement
) -> FlowRuling | None:
    """The strictest flow rule that names the call; None where all let it pass."""
    found = [
        ruling
        for ruling in (
            on_configuration(tool, situation),
            on_two(tool, situation, rules, within),
            on_personal(tool, situation, rules, within),
            on_local_data(call, tool, situation, rules),
        )
        if ruling and ruling.verdict is not Verdict.ALLOW
    ]
    return min(found, key=lambda ruling: ruling.verdict is not Verdict.DENY, default=None)


def with_flow(decision: Allow | Ask, ruling: FlowRuling, rule: Rule) -> Decision:
    """The decision under a flow rule that does not let the call pass unasked."""
    if ruling.verdict is Verdict.DENY:
        return Deny(reason=ruling.reason, rule=rule)
    if isinstance(decision, Ask):
        return replace(decision, question=f"{ruling.reason} {decision.question}")
    return Ask(
        question=f"{ruling.reason} Should it run?",
        rule=rule,
        granted=replace(decision, rule=rule),
        unattended=ruling.reason,
    )


def on_configuration(tool: Tool, situation: Situation) -> FlowRuling | None:
    source = situation.flow.outside
    if Effect.CONFIGURES not in tool.effects or source is None:
        return None
    reason = (
        f"{tool.name} changes what later calls may do,"
        f" and this run has read text from outside: {source}."
    )
    return FlowRuling(verdict=Verdict.DENY, reason=reason, key="")


def on_two(
    tool: Tool, situation: Situation, rules: FlowRules, within: Confinement
) -> FlowRuling | None:
    flow = situation.flow
    if not (flow.untrusted and flow.private and sends(tool, within)):
        return None
    reason = (
        f"{tool.name} may send data out, and this run holds untrusted content from"
        f" {flow.untrusted} and private data from {flow.private}."
    )
    return FlowRuling(verdict=rules.rule_of_two, reason=reason, key="flow.rule_of_two")


def on_personal(
    tool: Tool, situation: Situation, rules: FlowRules, within: Confinement
) -> FlowRuling | None:
    if not (situation.restores and sends(tool, within)):
        return None
    reason = f"{tool.name} may send data out, and this call holds personal data."
    return FlowRuling(verdict=rules.rule_of_two, reason=reason, key="flow.rule_of_two")


def on_local_data(
    call: ToolCall, tool: Tool, situation: Situation, rules: FlowRules
) -> FlowRuling | None:
    if situation.is_local or not is_kept_local(call, tool, rules):
        return None
    reason = f"{tool.name} would read what the policy keeps on this machine, for a model elsewhere."
    return FlowRuling(verdict=rules.private_to_api, reason=reason, key="flow.private_to_api")


def sends(tool: Tool, within: Confinement) -> bool:
    """May a call of the tool send something out, or change something outside?"""
    reaches = bool(within.egress.hosts) and tool.uses_sandbox
    return Effect.EGRESS in tool.effects or (Effect.EXECUTES in tool.effects and reaches)


def labelled(
    result: ToolResult, call: ToolCall, tool: Tool, rules: FlowRules, within: Confinement
) -> ToolResult:
    """The result with the labels that the policy's rules give it, on top of the tool's own."""
    confidentiality, integrity = result.confidentiality, result.integrity
    if is_kept_local(call, tool, rules) or lists_local(result, tool, rules):
        confidentiality = Confidentiality.LOCAL
    if integrity is Integrity.UNTRUSTED and is_trusted(call, tool, rules, within):
        integrity = Integrity.TRUSTED
    if (confidentiality, integrity) == (result.confidentiality, result.integrity):
        return result
    return replace(result, confidentiality=confidentiality, integrity=integrity)


def is_kept_local(call: ToolCall, tool: Tool, rules: FlowRules) -> bool:
    """Do the policy's keys for private content name what this call reads?"""
    if rules.private_tools and names_any(rules.private_tools, tool.name):
        return True
    if rules.private_hosts and any_host(rules.private_hosts, call):
        return True
    if Effect.READS not in tool.effects:
        return False
    return any(is_among(rules.private_paths, path) for path in paths_of(call, tool))


def lists_local(result: ToolResult, tool: Tool, rules: FlowRules) -> bool:
    """Does a search in many files quote one that is private? Its lines begin with their path."""
    if tool.name != SEARCH or not rules.private_paths:
        return False
    heads = {line.partition(":")[0] for line in result.content.splitlines() if ":" in line}
    return any(is_among(rules.private_paths, head) for head in heads)


def is_trusted(call: ToolCall, tool: Tool, rules: FlowRules, within: Confinement) -> bool:
    """Can what this call reads hold nobody else's instructions, by the policy?"""
    if rules.trusted_tools and names_any(rules.trusted_tools, tool.name):
        return True
    if rules.trusted_hosts and any_host(rules.trusted_hosts, call):
        return True
    if Effect.EGRESS in tool.effects or not tool.uses_sandbox or within.egress.hosts:
        return False
    if "**" in rules.trusted_paths:
        return True  # of everything the tool could have read
    paths = paths_of(call, tool)
    return bool(paths) and all(is_among(rules.trusted_paths, path, 0) for path in paths)


def paths_of(call: ToolCall, tool: Tool) -> list[str]:
    arguments = call.arguments or {}
    named = (arguments[name] for name in path_arguments(tool) if arguments.get(name) is not None)
    return [path for value in named if (path := normalise(as_text(value))) is not None]


def is_among(globs: tuple[str, ...], path: str, flags: int = re.IGNORECASE) -> bool:
    """Private names are matched in any case, for workspaces on file systems without one."""
    return any(re.fullmatch(path_regex(glob), path, flags) for glob in globs)


def any_host(hosts: tuple[str, ...], call: ToolCall) -> bool:
    """Does an argument hold a URL of one of these hosts?"""
    rules = [parse_host_rule(host) for host in hosts]
    for value in (call.arguments or {}).values():
        if isinstance(value, str) and "://" in value:
            try:
                host = parse_host_rule((urlsplit(value).hostname or "").lower())
            except ValueError:
                continue
            if any(rule.covers(host) for rule in rules):
                return True
    return False
