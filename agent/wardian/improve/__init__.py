"""The circle: collect → score → build → train → convert → gate → promote, round after round.

    from wardian.improve import Plan, improve

    done = improve(Plan(suite="mine/", start="tiny", methods=("sft", "grpo")), Path("circle"))

Every stage is kept in a diary on the disk when it is done, and begins anew or goes on where it was
cut off: the same call after a kill ends as it would have without.
"""

from wardian.improve.circle import Improved, improve
from wardian.improve.plan import Plan
from wardian.improve.purse import BudgetUsedUp, Limits

__all__ = ["BudgetUsedUp", "Improved", "Limits", "Plan", "improve"]
