"""Recorded requests to servers, made of the events anew."""

import hashlib
from collections.abc import Callable
from contextlib import suppress

from wardian.errors import ConfigurationError
from wardian.models.retold import in_code, in_text
from wardian.models.wire import Dialect, RequestEncoder
from wardian.types import Exchange, Request


def is_as_sent(request: Request, exchange: Exchange) -> bool:
    """Do these messages and tools make the body that was sent, byte for byte?

    A model that takes no tools was told of them in words: those are tried as well.
    """
    encoder = RequestEncoder("", Dialect(send_reasoning=exchange.sends_reasoning))
    tellings: tuple[Callable[[Request], Request], ...] = (lambda asked: asked, in_text, in_code)
    for telling in tellings:
        with suppress(ConfigurationError):
            body = encoder.body(exchange.options, telling(request))
            if hashlib.sha256(body).hexdigest() == exchange.request_sha256:
                return True
    return False
