"""Names of runs: ULIDs, which sort by the time they were made.

Source: github.com/ulid/spec. A dozen lines here instead of a package, whose import costs more
processor time than the rest of a run's start.
"""

import secrets
import time

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_run_id() -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 random bits."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))
