"""Training data made of recorded runs: `build` writes it, `Dataset` reads it."""

from wardian.data.rows import Dataset, Goal

__all__ = ["Dataset", "Goal"]
