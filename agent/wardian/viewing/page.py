"""One run as one HTML page that loads nothing and works without its script."""

import base64
import hashlib
from collections.abc import Iterator

from wardian.events import (
    CallSettled,
    ChangesUndone,
    ChildFinished,
    ChildStarted,
    Compacted,
    EgressDecided,
    Forked,
    Labelled,
    ModelReplied,
    Noted,
    Rated,
    Recorded,
    Rewarded,
    RunFinished,
    RunResumed,
    SandboxOpened,
    Tagged,
)
from wardian.runs import Trajectory
from wardian.viewing.calls import block, calls_of, noted, picture, prose
from wardian.viewing.markup import Clipper, Markup, document, element, joined
from wardian.viewing.steps import Step, origin, steps_of
from wardian.viewing.style import SCRIPT, STYLE
from wardian.viewing.waterfall import waterfall

SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src 'sha256-{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'"
)
"""No script but ours, by its hash: were a text ever taken for markup, it would still not run"""
SEARCH = Markup(
    '<div class="bar" hidden><input type="search" placeholder="Show the steps that contain …" '
    'aria-label="Show the steps that contain">'
    '<output class="soft" aria-live="polite"></output></div>'
)


HEADLINE_CHARS = 150
"""Of the task, in the window's title"""
LONG_CHARS = 300
"""A task longer than that is no headline"""


def page(run: Trajectory) -> str:
    """The page of a run that is fit to be read (`cli/reading.py`)."""
    clipper = Clipper()
    steps = steps_of(run.events)
    title = run.started.task.prompt if run.started else run.run_id
    first = " ".join(title[:HEADLINE_CHARS].split())
    body = element(
        "main",
        *beginning(run, clipper),
        waterfall(steps),
        element("h3", "Steps"),
        SEARCH,
        *(shown_step(step, clipper) for step in steps),
        *ending(run, clipper),
    )
    body = joined(body, element("script", Markup(SCRIPT)))
    return document(f"{first} · {run.run_id}", body, style=STYLE, policy=CONTENT_POLICY)


def beginning(run: Trajectory, clipper: Clipper) -> Iterator[Markup]:
    """What was asked, of whom, and what came of it in figures."""
    started = run.started
    begun = run.records[0].wall[:19].replace("T", " ") if run.records else ""
    yield element("p", f"run {run.run_id} · {begun} UTC", class_="over")
    if started is None:
        yield element("p", "The beginning of this run cannot be read.", class_="note")
    else:
        shown, rest = clipper.cut(started.task.prompt)
        kind = "long" if len(shown) > LONG_CHARS else "short"
        yield joined(element("h1", shown, class_=kind), noted(rest))
        if words := origin(started):
            yield element("p", f"{words[0].upper()}{words[1:]}", class_="note")
    yield element("dl", *facts(run), class_="facts")
    if run.damage:
        lines = "1 line" if len(run.damage) == 1 else f"{len(run.damage)} lines"
        yield element("p", f"{lines} cannot be read.", class_="note")
    if started:
        for number, image in enumerate(started.task.images, start=1):
            yield picture(f"image {number} of the task ({image.mime})", str(image.data))
        yield folded("piped in", started.task.context, clipper)
        yield folded("system prompt", started.system_prompt, clipper)
        for message in (*started.earlier, *started.prefix):
            calls = (f"{call.name} {call.arguments_text}" for call in message.calls)
            said = "\n".join(text for text in (message.content, *calls) if text)
            yield folded(f"before: {message.role}", said, clipper)


def facts(run: Trajectory) -> Iterator[Markup]:
    started, finished, usage = run.started, run.finished, run.usage
    stop = str(finished.stop) if finished else "unfinished"
    yield fact("end", element("span", stop, class_=stop))
    if started:
        is_imported = "imported" in started.settings
        here = "local" if started.model.get("is_local") else "remote"
        where = "imported" if is_imported else here
        yield fact("model", f"{started.model.get('name') or 'not named'} ({where})"[:300])
        place = started.settings.get("place")
        others = {
            "policy": started.policy.get("name", ""),
            "sandbox": started.sandbox.get("backend", ""),
            "workspace": place if isinstance(place, str) else started.workspace,
        }
        yield from (fact(name, str(value)[:500]) for name, value in others.items() if value)
    cached = f", {usage.cached_tokens:,} cached" if usage.cached_tokens else ""
    yield fact("tokens", f"{usage.prompt_tokens:,} + {usage.completion_tokens:,}{cached}")
    yield fact("cost", "not known" if usage.cost_usd is None else f"${usage.cost_usd:.4f}")
    if finished:
        yield fact("time", f"{finished.seconds:.1f} s")


def fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def folded(name: str, text: str, clipper: Clipper) -> Markup:
    """Text that few want to see at once."""
    if not text:
        return Markup("")
    return element("details", element("summary", name), block(text, clipper))


def shown_step(step: Step, clipper: Clipper) -> Markup:
    usage = step.usage
    took = f"{step.model_seconds + step.calls_seconds:.2f} s · {usage.total_tokens:,} tokens"
    name = f"Step {step.number}" if step.number else "Before the first step"
    head = element("div", element("h2", name), element("span", took, class_="soft"), class_="head")
    return element(
        "section",
        head,
        *(piece for event in step.replies for piece in reply(event, clipper)),
        *calls_of(step, clipper),
        *(note(event) for event in step.events),
        id=f"step-{step.number}",
        class_="step",
    )


def reply(event: ModelReplied, clipper: Clipper) -> Iterator[Markup]:
    message = event.reply.message
    if event.reply.route:
        asked = "; ".join(event.reply.route)
        yield element("p", f"Models asked before this one: {asked}"[:2_000], class_="note")
    yield folded("reasoning", message.reasoning, clipper)
    yield prose(message.content, clipper)
    if event.reply.finish not in ("stop", "calls"):
        yield element("p", f"The reply ended early: {event.reply.finish}.", class_="note")


def note(event: Recorded) -> Markup:
    quiet = isinstance(event, SandboxOpened | ChildStarted | ChildFinished)
    text = note_of(event)
    return element("p", text, class_="soft" if quiet else "note") if text else Markup("")


def note_of(event: Recorded) -> str:
    """What else happened in a step, in a sentence; empty for what is shown in another place."""
    match event:
        case Noted(text=text):
            said = f"The model was told: {text}"
        case Compacted():
            said = f"Shortened from {event.tokens_before:,} to {event.tokens_after:,} tokens."
        case EgressDecided(egress=egress):
            said = f"Network: {egress.outcome} {egress.host}:{egress.port} {egress.reason}"
        case SandboxOpened(sandbox=sandbox):
            said = f"Sandbox opened: {sandbox.get('backend', '')}"
        case ChildStarted():
            said = f"Sub-agent {event.name} began: run {event.run_id}"
        case ChildFinished():
            said = f"Sub-agent's run {event.run_id} ended: {event.stop}"
        case RunResumed():
            said = " ".join(("Resumed after this step.", *event.changed, event.told))
        case CallSettled():
            said = f"Call {event.call_id} was cut off; settled: {event.settlement}"
        case _:
            said = ""
    return said[:2_000]


def ending(run: Trajectory, clipper: Clipper) -> Iterator[Markup]:
    """The answer, the files it left, and what its user did with the run since."""
    if finished := run.finished:
        yield from outcome(finished, clipper)
    for event in run.events:
        if text := afterwards(event):
            yield element("p", text[:2_000], class_="note")


def outcome(finished: RunFinished, clipper: Clipper) -> Iterator[Markup]:
    yield element("h3", "Answer")
    if finished.error:
        yield element("p", finished.error[:2_000], class_="note")
    yield prose(finished.answer, clipper)
    if finished.changes:
        lines = (f"{one.get('kind', '')} {one.get('path', '')}" for one in finished.changes)
        yield folded(f"changed files ({len(finished.changes)})", "\n".join(lines), clipper)


def afterwards(event: Recorded) -> str:
    match event:
        case Rated(step=step, good=good, note=note):
            what = f"step {step}" if step else "the run"
            return f"Rated {what} {'good' if good else 'bad'}. {note}"
        case Rewarded(step=step, value=value, source=source):
            what = f"step {step}" if step else "the run"
            return " ".join((f"Rewarded {what} with {value:g} ({source}).", *event.suspicions))
        case ChangesUndone(paths=paths):
            return f"Undone: {', '.join(paths[:50])}"
        case Forked(run_ids=run_ids):
            return f"Forked: {', '.join(run_ids[:50])}"
        case Tagged(added=added, removed=removed):
            changes = [*(f"+{tag}" for tag in added), *(f"-{tag}" for tag in removed)]
            return f"Tags: {' '.join(changes)}"
        case Labelled(name=name, value=value):
            return f"Label {name}: {'(none)' if value is None else value}"
        case _:
            return ""
