"""Does a text look like a secret somebody's program made, or like words and code?"""

import math
import re
from collections import Counter

MIN_CHARS = 8
"""Shorter values cannot be told from ordinary text."""
CODE = re.compile(
    r"(?:\$|%[A-Za-z(]|\{|<|os\.|self\.|this\.|process\.|env\.|[A-Za-z_]+\.[A-Za-z_.]+$|None$|null$"
    r"|true$|false$|\[|\*{3}|\.\.\.|x{4,}$|your[_-]|my[_-]|example|changeme|placeholder|REDACTED)",
    re.IGNORECASE,
)
MIN_BITS = 2.7
"""Per character; what separates `hunter2hunter2` and random text from words of the same length."""


def looks_random(value: str) -> bool:
    """Letters and digits both, or signs between them, and no reference in code."""
    value = value.strip("=:.")
    if len(value) < 8 or CODE.match(value):
        return False
    kinds = (
        any(map(str.isdigit, value)),
        any(c.isalpha() for c in value),
        any(c.isupper() for c in value) and any(c.islower() for c in value),
    )
    return kinds[0] and (kinds[1] or len(value) >= 16) and bits_per_character(value) >= MIN_BITS


def bits_per_character(value: str) -> float:
    """Shannon's entropy of the characters."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())
