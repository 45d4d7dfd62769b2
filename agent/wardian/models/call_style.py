"""How a model is told to call tools."""

from enum import StrEnum


class CallStyle(StrEnum):
    """See `styled`, which speaks in all but the model's own."""

    AUTO = "auto"
    """Its own way, until it says that it takes no tools; then in text"""
    NATIVE = "native"
    TEXT = "text"
    """Tools described in the system message, calls as JSON in the reply's text"""
    CODE = "code"
    """A fence of Python in the reply is run"""
