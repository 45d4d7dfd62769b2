"""The way out of a box: a filtering proxy on the host, behind a listening socket from inside."""

from wardian_sandbox.egress.dialling import Resolve, look_up
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.egress.rules import HostRule, parse_host_rule

__all__ = ["EgressProxy", "HostRule", "Resolve", "look_up", "parse_host_rule"]
