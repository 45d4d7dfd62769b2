"""Rows that say the same, exactly or nearly: of those only the first is kept.

What is compared is what was asked and what the model itself wrote; a long page that two runs read
does not make them alike.
Source: Lee et al., "Deduplicating Training Data Makes Language Models Better", arXiv:2107.06499.
"""

from wardian.export.overlap import NearDuplicates

SAID_CHARS = 8_000
"""Of each run, what is compared: two that begin alike for so long are alike"""
EXACT_ONLY = 1.0


class Seen:
    """What was kept so far."""

    def __init__(self, near: float) -> None:
        """`near`: the share that two have in common to count as one; 1 finds exact ones only.

        Raises: ConfigurationError where datasketch is not installed.
        """
        self._digests: set[bytes] = set()
        self._near = NearDuplicates(near) if near < EXACT_ONLY else None

    def fault_of(self, digest: bytes, said: str) -> str:
        """What is wrong with keeping it; empty if nothing, and then it is kept."""
        if digest in self._digests:
            return "it says the same as another"
        if self._near and not self._near.is_new(said[:SAID_CHARS]):
            return "it says nearly the same as another"
        self._digests.add(digest)
        return ""
