"""What makes text safe to show, by the name that the commands use."""

from wardian.sanitise import VisibleStream, is_hidden, one_line, visible

__all__ = ["VisibleStream", "is_hidden", "one_line", "visible"]
