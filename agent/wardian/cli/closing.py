"""The last lines of a run: what it took, and what to do where it did not end well."""

from collections.abc import Mapping
from pathlib import Path

from wardian.cli.outcome import Outcome
from wardian.cli.sanitise import one_line, visible
from wardian.cli.terminal import Terminal
from wardian.events import CallDecided, RunFinished
from wardian.types import Stop, Usage

FLOW = "flow."
REMEDIES = {
    Stop.STEPS: "Raise it with --max-steps, or give a smaller task.",
    Stop.TOOL_CALLS: "Raise it with --max-tool-calls, or give a smaller task.",
    Stop.TOKENS: "Raise it with --max-tokens, or give a smaller task.",
    Stop.COST: "Raise it with --max-cost, or choose a cheaper model.",
    Stop.TIME: "Raise it with --timeout, or give a smaller task.",
    Stop.MALFORMED: "Try another model with -m; where replies break off, look at its server's log.",
}


def failure(outcome: Outcome) -> tuple[str, str]:
    """Cause and remedy of a run that did not reach an answer; empty where there is none."""
    finished = outcome.finished
    if finished is None or finished.stop in (Stop.DONE, Stop.CANCELLED):
        return "", ""
    cause = finished.error or f"The run ended: {finished.stop}."
    if finished.stop is Stop.APPROVAL:
        return cause, how_to_allow(outcome.unanswered)
    return cause, REMEDIES.get(finished.stop, "")


def how_to_allow(asked: CallDecided | None) -> str:
    """What the person can write so that the call needs no yes."""
    terminal = "Run it on a terminal to be asked"
    if asked is None:
        return f"{terminal}, or allow the call in a policy file."
    rule = asked.decision.rule
    source = rule.source
    if rule.text.startswith(FLOW):
        name = rule.text.removeprefix(FLOW).partition(" ")[0]
        return f'{terminal}, or lift the rule for every call: {name} = "allow" under [flow].'
    if source == "built in":
        return f"{terminal}, or allow the call in a policy file."
    kind, _, preset = source.partition(" ")
    if kind != "preset":
        return f"{terminal}, or change the rule at {source}."
    return (
        f"{terminal}, or allow it: --policy FILE, and in the file\n"
        f'extends = "{preset}"\n[tools]\nallow = ["{asked.call.name}"]'
    )


def closing_lines(outcome: Outcome, screen: Terminal) -> list[str]:
    """Steps, tool calls, tokens, cost, time, model, sandbox, and where the trajectory is."""
    dot = screen.text(" · ", " | ")
    started, finished = outcome.started, outcome.finished
    facts = figures(finished) if finished else []
    if started:
        model, backend = started.model.get("name", ""), started.sandbox.get("backend", "")
        facts += [text for text in (one_line(str(model), 60), one_line(str(backend), 20)) if text]
    head = finished.stop if finished else "unfinished"
    lines = [dot.join([head, *facts])]
    if note := unpriced(outcome):
        lines.append(note)
    if outcome.path:
        lines.append(visible(shortened(outcome.path)))
        if started and not outcome.is_done and "imported" not in started.settings:
            lines.append(f"go on with: agent resume {started.run_id}")
    return lines


def figures(finished: RunFinished) -> list[str]:
    facts = [
        counted(finished.steps, "step"),
        counted(finished.tool_calls, "tool call"),
        tokens(finished.usage),
        f"{finished.seconds:.1f} s",
    ]
    if (spent := finished.spent) and spent.get("steps", 0) > finished.steps:
        facts.append(f"in all {counted(int(spent['steps']), 'step')}, {spent_tokens(spent)}")
    if finished.usage.cost_usd:
        facts.insert(3, f"${finished.usage.cost_usd:.4f}")
    return facts


def spent_tokens(spent: Mapping[str, float]) -> str:
    """What a run took with its sub-agents and what it went on from."""
    money = f", ${spent['cost_usd']:.4f}" if spent.get("cost_usd") else ""
    return counted(int(spent.get("tokens", 0)), "token") + money


def unpriced(outcome: Outcome) -> str:
    """That a budget of money could not be kept; empty where it could, or none was set."""
    started, finished = outcome.started, outcome.finished
    if not (started and finished and finished.usage.total_tokens):
        return ""
    limit = started.policy.get("budgets", {}).get("cost_usd")
    if limit is None or started.model.get("is_local") or finished.usage.cost_usd is not None:
        return ""
    name = one_line(str(started.model.get("name", "")), 60)
    return f"The price of {name} is not known, so its cost did not count against the limit."


def shortened(path: Path) -> str:
    """The path with `~` for the home folder, as a shell takes it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def tokens(usage: Usage) -> str:
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    return counted(usage.total_tokens, "token") + cached


def change_lines(finished: RunFinished | None, limit: int = 20) -> list[str]:
    """The files the run changed, one a line."""
    changes = finished.changes if finished else ()
    lines = [f"  {c.get('kind', '')} {visible(str(c.get('path', '')))}" for c in changes[:limit]]
    if len(changes) > limit:
        lines.append(f"  and {len(changes) - limit} more")
    return lines
