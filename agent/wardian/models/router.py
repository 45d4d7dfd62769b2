"""`RoutedModel`: several models in order, each asked when the one before it will not do.

Two reasons to go on to the next: a model cannot answer at all (it is away, refuses, or the
conversation is too long for it), found before its first token; or its replies were of no use twice
in a conversation (cut, empty, a call that is no JSON or names no tool). The next one then stays for
the rest of the conversation. Why stands in `Reply.route`, and so in the trajectory.
"""

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from wardian.errors import ModelError
from wardian.types import Delta, Finish, Model, Reply, Request, Startable

MAX_CONVERSATIONS = 1024


@dataclass(slots=True)
class _Route:
    """Where one conversation stands."""

    at: int = 0
    strikes: int = 0
    reasons: list[str] = field(default_factory=list[str])


class RoutedModel:
    """Cheap and specialised first, stronger after it."""

    def __init__(self, models: Sequence[Model], *, strikes: int = 2) -> None:
        """`strikes`: useless replies of one model before the next is asked."""
        if not models:
            raise ValueError("A route needs at least one model.")
        self._models = tuple(models)
        self._strikes = strikes
        self._routes: OrderedDict[str, _Route] = OrderedDict()

    @property
    def name(self) -> str:
        return ", else ".join(model.name for model in self._models)

    @property
    def is_local(self) -> bool:
        """Of all: a conversation may come to any of them."""
        return all(model.is_local for model in self._models)

    @property
    def identity(self) -> dict[str, Any]:
        route = [{"name": model.name} | model.identity for model in self._models]
        return {"kind": "routed", "route": route}

    async def start(self) -> None:
        """Start the first. One that cannot be is passed over when asked."""
        first = self._models[0]
        if isinstance(first, Startable) and len(self._models) == 1:
            await first.start()

    async def close(self) -> None:
        for model in self._models:
            await model.close()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Raises: ModelError, that of the last model."""
        route = self._route(request.conversation)
        while True:
            model, begun = self._models[route.at], False
            try:
                async with aclosing(model.stream(request)) as parts:
                    async for part in parts:
                        begun = True
                        yield self._noted(route, part, request) if isinstance(part, Reply) else part
                return
            except ModelError as e:
                if begun or route.at + 1 == len(self._models):
                    raise
                self._go_on(route, e.cause.rstrip("."))

    def _route(self, conversation: str) -> _Route:
        if not conversation:
            return _Route()
        route = self._routes.setdefault(conversation, _Route())
        self._routes.move_to_end(conversation)
        if len(self._routes) > MAX_CONVERSATIONS:
            self._routes.popitem(last=False)
        return route

    def _go_on(self, route: _Route, reason: str) -> None:
        route.reasons.append(f"{self._models[route.at].name}: {reason}")
        route.at, route.strikes = route.at + 1, 0

    def _noted(self, route: _Route, reply: Reply, request: Request) -> Reply:
        """The reply with the way it came; the next is asked if this one is one too many."""
        noted = replace(reply, route=tuple(route.reasons)) if route.reasons else reply
        if problem := what_is_useless(reply, request):
            route.strikes += 1
            if route.strikes >= self._strikes and route.at + 1 < len(self._models):
                self._go_on(route, f"{route.strikes} replies of no use, the last {problem}")
        return noted


def what_is_useless(reply: Reply, request: Request) -> str:
    """Why nothing can be done with a reply; empty where something can."""
    if reply.finish is Finish.LENGTH:
        return "cut by its length"
    if reply.finish is Finish.CUT:
        return "broken off"
    if not reply.message.calls:
        return "" if reply.message.content.strip() else "empty"
    names = {tool.name for tool in request.tools}
    for call in reply.message.calls:
        if call.name not in names:
            return "a call of no tool"
        try:
            is_object = isinstance(json.loads(call.arguments_text), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            return "a call that is no JSON"
    return ""
