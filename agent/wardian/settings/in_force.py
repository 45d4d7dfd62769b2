"""The budgets that hold once settings and policy are put together, and where each is said."""

from collections.abc import Mapping

from wardian.settings.load import BUDGET_KEYS, Settings, is_said
from wardian_policies import Policy

Held = tuple[float | None, str]
"""A limit, or None for none, and its origin."""


def budgets_in_force(settings: Settings, policy: Policy) -> Mapping[str, Held]:
    """By the setting's name: what bounds a run, which a project's higher one does not."""
    held = settings.budgets(policy.layers[0].budgets, policy.added_budgets)
    found: dict[str, Held] = {}
    for key, name in BUDGET_KEYS.items():
        value: float | None = getattr(held, name)
        origins = (where for said, where in _said(settings, policy, key, name) if said == value)
        found[key] = value, next(origins)
    return found


def _said(settings: Settings, policy: Policy, key: str, name: str) -> list[Held]:
    """Everything that is said of one budget, the first to hold before those that lower it."""
    own, *folders = policy.layers
    origin = settings.origin(key)
    if is_said(origin):
        return [(getattr(settings, key), origin)]
    in_policy = [
        (getattr(layer.budgets, name), layer.sources.get(f"budgets.{name}", "built in"))
        for layer in (own, *folders)
    ]
    if name in settings.file_budgets:
        in_policy[0] = settings.file_budgets[name], origin
    if name in settings.project_budgets:
        in_policy.insert(1, (settings.project_budgets[name], origin))
    return in_policy
