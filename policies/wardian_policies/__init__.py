"""May this call run, and under what confinement?"""

from wardian_policies.errors import PolicyError, PolicyFileError
from wardian_policies.policy import Policy, preset_names
from wardian_policies.types import Allow, Ask, Budgets, Decision, Deny, Rule, Verdict

__all__ = [
    "Allow",
    "Ask",
    "Budgets",
    "Decision",
    "Deny",
    "Policy",
    "PolicyError",
    "PolicyFileError",
    "Rule",
    "Verdict",
    "preset_names",
]
