"""What two bounds both grant."""

from dataclasses import asdict

from wardian_policies.file import Layer
from wardian_policies.globs import intersect
from wardian_policies.tables import shared_hosts
from wardian_policies.types import Budgets
from wardian_sandbox.types import Confinement, Egress, EgressLimits, ResourceLimits


def confinement_of(layer: Layer) -> Confinement:
    paths = layer.paths
    return Confinement(
        readable=tuple(item.glob for item in paths.readable),
        writable=tuple(item.glob for item in paths.writable),
        protected=tuple(dict.fromkeys(item.glob for item in paths.protected)),
        egress=Egress(
            hosts=layer.network.hosts,
            private=layer.network.private,
            any_web=layer.network.any_web,
            ignore_robots=layer.network.ignore_robots,
        ),
        limits=layer.limits,
    )


def narrowest(one: Confinement, other: Confinement) -> Confinement:
    """What both grant."""
    return Confinement(
        readable=intersect(one.readable, other.readable),
        writable=intersect(one.writable, other.writable),
        protected=tuple(dict.fromkeys(one.protected + other.protected)),
        hidden=tuple(dict.fromkeys(one.hidden + other.hidden)),
        egress=narrowest_egress(one.egress, other.egress),
        limits=least_limits(one.limits, other.limits),
    )


def narrowest_egress(one: Egress, other: Egress) -> Egress:
    """What both let out."""
    return Egress(
        hosts=shared_hosts(one.hosts, other.hosts),
        refused=tuple(dict.fromkeys(one.refused + other.refused)),
        private=one.private and other.private,
        any_web=one.any_web and other.any_web,
        ignore_robots=one.ignore_robots and other.ignore_robots,
        limits=EgressLimits(
            **{
                name: min(value, getattr(other.limits, name))
                for name, value in asdict(one.limits).items()
            }
        ),
    )


def least_budgets(one: Budgets, other: Budgets) -> Budgets:
    """The lower of each; None, no limit, is the highest."""
    pairs = {name: (value, getattr(other, name)) for name, value in asdict(one).items()}
    return Budgets(
        **{
            name: min((v for v in pair if v is not None), default=None)
            for name, pair in pairs.items()
        }
    )


def least_limits(one: ResourceLimits, other: ResourceLimits) -> ResourceLimits:
    return ResourceLimits(
        **{name: min(value, getattr(other, name)) for name, value in asdict(one).items()}
    )
