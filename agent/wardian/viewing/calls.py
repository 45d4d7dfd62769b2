"""Calls in a page: arguments, what was decided and by which rule, what came of them."""

import json
from collections.abc import Iterator
from typing import Any, cast

from wardian.events import CallDecided
from wardian.viewing.markup import Clipper, Markup, element, joined
from wardian.viewing.pictures import png_address
from wardian.viewing.steps import Step
from wardian_policies.types import Allow, Ask, Deny
from wardian_tools.types import ToolCall, ToolResult

MAX_FIGURES = 40
"""Of one result"""


def calls_of(step: Step, clipper: Clipper) -> Iterator[Markup]:
    """A card for each call of a step, in the order of the reply."""
    decided: dict[str, list[CallDecided]] = {}
    for event in step.events:
        if isinstance(event, CallDecided):
            decided.setdefault(event.call.id, []).append(event)
    results = {event.result.call_id: event.result for event in step.results}
    calls = {call.id: call for event in step.replies for call in event.reply.message.calls}
    for one in decided.values():
        calls.setdefault(one[0].call.id, one[0].call)
    for call_id, call in calls.items():
        pieces = [head(call, results.get(call_id)), arguments(call, clipper)]
        pieces += [decision(event, clipper) for event in decided.get(call_id, ())]
        pieces.append(shown_result(results.pop(call_id, None), clipper))
        yield element("div", *pieces, class_="call")
    for result in results.values():
        yield element("div", shown_result(result, clipper), class_="call")


def head(call: ToolCall, result: ToolResult | None) -> Markup:
    status, seconds = (result.status, f"{result.seconds:.2f} s") if result else ("no result", "")
    return element(
        "div",
        element("span", call.name[:200], class_="name"),
        element("span", element("span", status, class_=status), f" {seconds}", class_="soft"),
        class_="head",
    )


def arguments(call: ToolCall, clipper: Clipper) -> Markup:
    if call.arguments is None:
        pieces = [block(call.arguments_text, clipper)] if call.arguments_text else []
        pieces += [element("p", call.problem[:2_000], class_="note")] if call.problem else []
        return joined(*pieces)
    written = names_in(call.arguments_text)
    given = {k: v for k, v in call.arguments.items() if v is not None or k in written}
    return pairs(given, clipper)


def names_in(arguments_text: str) -> set[str]:
    """What the model wrote itself: other arguments are defaults."""
    try:
        return set(json.loads(arguments_text))
    except (ValueError, TypeError, RecursionError):
        return set()


def pairs(values: dict[str, Any], clipper: Clipper) -> Markup:
    rows = [
        joined(element("dt", str(name)[:200]), element("dd", block(as_text(value), clipper)))
        for name, value in values.items()
    ]
    return element("dl", *rows, class_="arguments") if rows else Markup("")


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=2)
    except RecursionError:
        return "(nested too deeply)"


def decision(event: CallDecided, clipper: Clipper) -> Markup:
    match event.decision:
        case Allow():
            kind, said = "allow", "allowed"
        case Deny(reason=reason):
            kind, said = "deny", f"denied: {reason}"
        case Ask(question=question):
            kind, said = "ask", f"asked: {question} — {event.answer or 'nobody answered'}"
    rule = event.decision.rule
    pieces = [
        element("span", said[:2_000], class_=kind),
        " by the rule ",
        element("code", rule.text[:500]),
        f" ({rule.source[:300]})",
    ]
    if event.saved:
        pieces.append(f"; saved: {event.saved[:500]}")
    line = element("p", *pieces, class_="soft")
    if event.edit is None:
        return line
    return joined(line, element("p", "edited to", class_="soft"), pairs(event.edit, clipper))


def shown_result(result: ToolResult | None, clipper: Clipper) -> Markup:
    if result is None:
        return Markup("")
    diff = result.data.get("diff")
    is_diff = isinstance(diff, str) and bool(diff)
    pieces: list[Markup] = []
    if not is_diff or result.content.strip() != str(diff).strip():
        pieces.append(block(result.content, clipper))
    if is_diff:
        pieces.append(coloured(str(diff), clipper))
    listed = result.data.get("figures")
    # pyright cannot know what is in a list of JSON
    found: list[Any] = listed[:MAX_FIGURES] if isinstance(listed, list) else []  # pyright: ignore[reportUnknownVariableType]
    pieces += [figure(cast("dict[str, Any]", one)) for one in found if isinstance(one, dict)]
    return joined(*pieces)


def figure(facts: dict[str, Any]) -> Markup:
    """A picture; what is no PNG is named."""
    return picture(str(facts.get("path", "figure")), facts.get("base64"))


def picture(name: str, encoded: object) -> Markup:
    caption = element("figcaption", name[:200])
    if address := png_address(encoded):
        image = element("img", src=address, alt=name[:200], loading="lazy")
        return element("figure", image, caption)
    return element("figure", caption, element("p", "Not shown: no sound PNG.", class_="note"))


def block(text: str, clipper: Clipper) -> Markup:
    """Text as it was written."""
    shown, note = clipper.cut(text)
    return joined(element("pre", shown), noted(note))


def prose(text: str, clipper: Clipper) -> Markup:
    shown, note = clipper.cut(text)
    return joined(element("div", shown, class_="prose"), noted(note)) if text else Markup("")


def noted(note: str) -> Markup:
    return element("p", f"[{note}]", class_="note") if note else Markup("")


def coloured(diff: str, clipper: Clipper) -> Markup:
    """A unified diff, its lines by what they do."""
    shown, note = clipper.cut(diff.rstrip("\n"))
    lines: list[Markup] = []
    for line in shown.split("\n"):
        kind = kind_of(line)
        lines.append(element("span", line, class_=kind) if kind else joined(f"{line}\n"))
    return joined(element("pre", *lines), noted(note))


def kind_of(line: str) -> str:
    if line.startswith(("+++ ", "--- ", "@@")):
        return "hunk"
    return {"+": "add", "-": "cut"}.get(line[:1], "")
