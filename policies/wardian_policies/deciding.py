"""What layers of a policy say of a call: the strictest of them decides."""

from wardian_policies.file import Layer
from wardian_policies.hosts import ARGUMENTS, host_denial
from wardian_policies.types import Allow, Ask, Decision, Deny, Verdict
from wardian_sandbox.types import Confinement
from wardian_tools.types import Tool, ToolCall

STRICTNESS = {Allow: 0, Ask: 1, Deny: 2}


def verdict(decision: Decision) -> Verdict:
    """A decision in one word."""
    return list(Verdict)[STRICTNESS[type(decision)]]


def decide(layers: tuple[Layer, ...], call: ToolCall, tool: Tool, within: Confinement) -> Decision:
    """The strictest of what the layers say; the first of them at a tie."""
    if call.arguments is None:
        return Deny(reason=f"The arguments of {call.name} were not understood.", rule=ARGUMENTS)
    if denied := host_denial(layers, call, tool, within):
        return denied
    decision = decide_in(layers[0], call, tool, within)
    for layer in layers[1:]:
        other = decide_in(layer, call, tool, within)
        if STRICTNESS[type(other)] > STRICTNESS[type(decision)]:
            decision = other
    return decision


def decide_in(layer: Layer, call: ToolCall, tool: Tool, within: Confinement) -> Decision:
    """What one layer says; a yes carries the whole policy's confinement."""
    if denied := layer.paths.denial(call, tool):
        return denied
    ruling = layer.rules.ruling(call, tool)
    rule = ruling.rule
    match ruling.verdict:
        case Verdict.ALLOW:
            return Allow(within=within, rule=rule)
        case Verdict.ASK:
            question = f'Should {tool.name} run, as rule "{rule.text}" ({rule.source}) asks?'
            return Ask(question=question, rule=rule, granted=Allow(within=within, rule=rule))
        case Verdict.DENY:
            mistake = f", but {ruling.mistake}" if ruling.mistake else ""
            reason = f'The policy does not let {tool.name} run: rule "{rule.text}"{mistake}.'
            return Deny(reason=reason, rule=rule)
