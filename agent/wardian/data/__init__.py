"""Training data made of recorded runs: `build` writes it, `Dataset` reads it."""

from wardian.data.build import NothingToLearn, build
from wardian.data.choice import Choice, Form, Scope
from wardian.data.choosing import Caps
from wardian.data.rows import Dataset, Goal

__all__ = [
    "Caps",
    "Choice",
    "Dataset",
    "Form",
    "Goal",
    "NothingToLearn",
    "Scope",
    "build",
]
