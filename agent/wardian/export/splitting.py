"""Parts of a dataset, by run: the same run is in the same part whenever it is exported."""

import hashlib
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from wardian.errors import ConfigurationError

PART = re.compile(r"[A-Za-z0-9_-]+")
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Split:
    """Named shares, which make one whole; empty for a single file."""

    shares: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, text: str) -> "Split":
        """`train:0.9,dev:0.1`. Raises: ConfigurationError."""
        try:
            pairs = [part.split(":") for part in text.split(",")]
            shares = tuple((name.strip(), float(share)) for name, share in pairs)
        except ValueError:
            shares = ()
        names = [name for name, _ in shares]
        is_whole = abs(sum(share for _, share in shares) - 1) < TOLERANCE
        is_named = len(set(names)) == len(names) and all(PART.fullmatch(name) for name in names)
        if not is_whole or not is_named or any(share < 0 for _, share in shares):
            raise ConfigurationError(
                f"{text!r} is no split.", "Name shares that add up to 1: `train:0.9,dev:0.1`."
            )
        return cls(shares)

    def part(self, family: str) -> str:
        """Which part a run belongs to, the same in every export."""
        digest = hashlib.sha256(family.encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        ends = accumulate(share for _, share in self.shares)
        parts = (name for (name, _), end in zip(self.shares, ends, strict=True) if place < end)
        return next(parts, self.shares[-1][0] if self.shares else "")

    def paths(self, output: Path) -> dict[str, Path]:
        """By part; `FILE.jsonl` becomes `FILE.train.jsonl`."""
        if not self.shares:
            return {"": output}
        return {n: output.with_name(f"{output.stem}.{n}{output.suffix}") for n, _ in self.shares}
