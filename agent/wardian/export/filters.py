"""Which runs are exported: the filters of `wardian.runs.filters`."""

from wardian.runs.facts import UNFINISHED
from wardian.runs.filters import Filters, Rating

__all__ = ["UNFINISHED", "Filters", "Rating"]
