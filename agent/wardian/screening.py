"""The screen of a run that has something to hide."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from wardian.privacy import Restored, Screen, Session, UnfitArguments
from wardian.types import CallDelta, Delta, ReasoningDelta, Reply, TextDelta
from wardian_policies.redaction.pseudonyms import ForgedPseudonym, Pseudonyms, PseudonymStream
from wardian_policies.redaction.redactor import MARK, NUMBERS, Detectors, Redactor
from wardian_policies.redaction.stream import StreamFilter
from wardian_policies.tables import RedactionRules
from wardian_tools.types import Tool, ToolCall

T = TypeVar("T")


def redacting(
    known: Mapping[str, str],
    rules: RedactionRules,
    session: Session,
    *,
    is_local: bool,
    folder: Path | None,
) -> Screen:
    """Hides these values, and what else the rules say."""
    if session.pseudonyms is None:
        session.pseudonyms = Pseudonyms()
    detectors = Detectors.of(rules, is_local=is_local)
    redactor = Redactor(known, detectors, session.pseudonyms, rules.ignore)
    return RedactingScreen(redactor, folder)


class RedactingScreen(Screen):
    """Hides on the way out, restores on the way to the user."""

    def __init__(self, redactor: Redactor, folder: Path | None = None) -> None:
        """`folder` keeps the pseudonyms of a stored run."""
        self._redactor = redactor
        self._pseudonyms = redactor.pseudonyms
        self._folder = folder
        self._kept = 0
        self._streams: dict[str, tuple[StreamFilter, PseudonymStream]] = {}

    def hidden(self, value: T) -> T:
        """The value with every text in it safe to be sent and stored. Raises: OSError."""
        if not self._redactor:
            return value
        safe = self._redactor.value(value)
        if self._folder and len(self._pseudonyms) > self._kept:
            # Before what refers to them: a log without its pseudonyms could not be resumed.
            self._pseudonyms.save(self._folder)
            self._kept = len(self._pseudonyms)
        return safe

    def shown(self, value: T) -> T:
        """The value as the user sees it."""
        return cast("T", mapped(value, self._pseudonyms.shown)) if len(self._pseudonyms) else value

    def reply(self, reply: Reply) -> Reply:
        """The reply, safe to act on. Tokens that say something else than its text are dropped."""
        safe = self.hidden(reply)
        return safe if safe is reply else replace(safe, tokens=None)

    def for_tool(self, call: ToolCall, tool: Tool) -> Restored:
        """The call with its pseudonyms undone, in values only. Raises: UnfitArguments."""
        if not self._redactor or call.arguments is None:
            return Restored(call, is_personal=False)
        if not tool.read_only and (found := next(marks(call.arguments), None)):
            raise UnfitArguments(
                f"The arguments hold {found}, which stands for a secret that cannot be copied."
                " Leave that part of the file as it is, or work around it."
            )
        try:
            arguments = mapped(call.arguments, self._pseudonyms.restored)
        except ForgedPseudonym as error:
            raise UnfitArguments(str(error)) from error
        if arguments is call.arguments:
            return Restored(call, is_personal=False)
        return Restored(replace(call, arguments=arguments), is_personal=True)

    def delta(self, delta: Delta) -> Iterator[Delta]:
        """The piece of a reply, or what of it can be shown already."""
        if not self._redactor:
            yield delta
            return
        key = channel(delta)
        if key not in self._streams:
            self._streams[key] = (self._redactor.stream(), PseudonymStream(self._pseudonyms))
        secrets, pseudonyms = self._streams[key]
        text = delta.arguments_text if isinstance(delta, CallDelta) else delta.text
        ready = pseudonyms.feed(secrets.feed(text))
        if ready or (isinstance(delta, CallDelta) and (delta.name or delta.id)):
            yield with_text(delta, ready)

    def flush(self) -> Iterator[Delta]:
        """What was held back, when the reply has ended."""
        for key, (secrets, pseudonyms) in self._streams.items():
            rest = pseudonyms.feed(secrets.finish()) + pseudonyms.finish()
            if rest:
                yield with_text(of_channel(key), rest)
        self._streams.clear()

    def cleaned(self, error: BaseException) -> None:
        """Take secrets out of an exception, and of those it came from."""
        seen: set[int] = set()
        while self._redactor and id(error) not in seen:
            seen.add(id(error))
            error.args = self._redactor.value(error.args)
            for name in ("cause", "remedy"):
                if isinstance(text := getattr(error, name, None), str):
                    setattr(error, name, self._redactor.text(text))
            following = error.__cause__ or error.__context__
            if following is None:
                return
            error = following


def mapped(value: Any, change: Any) -> Any:
    """The value with each text changed; the value itself where none was."""
    if isinstance(value, str):
        return changed if type(value) is str and (changed := change(value)) != value else value
    if isinstance(value, Mapping):
        items: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType] — JSON
        found = {key: mapped(item, change) for key, item in items.items()}
        return found if any(found[key] is not items[key] for key in items) else items
    if isinstance(value, list | tuple):
        pieces: Any = value  # pyright: ignore[reportUnknownVariableType] — JSON
        if NUMBERS.issuperset(map(type, pieces)):
            return pieces
        changed_pieces = [mapped(piece, change) for piece in pieces]
        is_same = all(one is other for one, other in zip(changed_pieces, pieces, strict=True))
        return pieces if is_same else type(pieces)(changed_pieces)
    if hasattr(value, "__dataclass_fields__"):
        names = [name for name, item in value.__dataclass_fields__.items() if item.init]
        found = {name: mapped(getattr(value, name), change) for name in names}
        different = {name: new for name, new in found.items() if new is not getattr(value, name)}
        return replace(value, **different) if different else value
    return value


def marks(value: object) -> Iterator[str]:
    """The marks of hidden secrets in a JSON value."""
    found: list[str] = []

    def note(text: str) -> str:
        found.extend(MARK.findall(text))
        return text

    mapped(value, note)
    return iter(found)


def channel(delta: Delta) -> str:
    match delta:
        case TextDelta():
            return "text"
        case ReasoningDelta():
            return "reasoning"
        case CallDelta(index=index):
            return f"call {index}"


def of_channel(key: str) -> Delta:
    if key == "text":
        return TextDelta(text="")
    if key == "reasoning":
        return ReasoningDelta(text="")
    return CallDelta(index=int(key.partition(" ")[2]))


def with_text(delta: Delta, text: str) -> Delta:
    if isinstance(delta, CallDelta):
        return replace(delta, arguments_text=text)
    return replace(delta, text=text)
