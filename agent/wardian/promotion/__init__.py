"""May a candidate take the place of the model in service? Held-out tasks decide, paired.

    from wardian.promotion import Trial, promote

    decision = await promote("local:better", Trial(suite="mine/", guard="core"))

A candidate is put in service only where it does significantly better on the suite and has not
become worse on the guard: tasks of old abilities, which training on new ones makes a model forget.
"""

from wardian.promotion.gate import Decision, Showing, Verdict
from wardian.promotion.promote import Trial, promote

__all__ = ["Decision", "Showing", "Trial", "Verdict", "promote"]
