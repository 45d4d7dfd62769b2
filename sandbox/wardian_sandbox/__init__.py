"""Where calls run: boxes that confine model-written code."""

from wardian_sandbox.doctor import Finding, probe
from wardian_sandbox.egress import EgressProxy, HostRule, parse_host_rule
from wardian_sandbox.errors import SandboxError, SandboxLost, SandboxUnavailable
from wardian_sandbox.opening import BACKENDS, open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import (
    Confinement,
    Egress,
    EgressEvent,
    EgressLimits,
    EgressOutcome,
    Ending,
    ExecResult,
    FileChange,
    FileFailure,
    Limit,
    ResourceLimits,
    Sandbox,
    SandboxIdentity,
)

__all__ = [
    "BACKENDS",
    "Confinement",
    "Egress",
    "EgressEvent",
    "EgressLimits",
    "EgressOutcome",
    "EgressProxy",
    "Ending",
    "ExecResult",
    "FileChange",
    "FileFailure",
    "Finding",
    "HostRule",
    "Limit",
    "ResourceLimits",
    "Sandbox",
    "SandboxError",
    "SandboxIdentity",
    "SandboxLost",
    "SandboxUnavailable",
    "SupervisedSandbox",
    "open_sandbox",
    "parse_host_rule",
    "probe",
]
