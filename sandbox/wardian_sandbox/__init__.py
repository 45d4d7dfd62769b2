"""Where calls run: boxes that confine model-written code."""

from wardian_sandbox.checkpoints import Checkpoint, Checkpoints
from wardian_sandbox.doctor import Finding, probe
from wardian_sandbox.egress import EgressProxy, HostRule, parse_host_rule
from wardian_sandbox.errors import ProtocolBroken, SandboxError, SandboxLost, SandboxUnavailable
from wardian_sandbox.library import Box, Bubblewrap, Docker, GVisor, Unconfined
from wardian_sandbox.opening import BACKENDS, open_sandbox
from wardian_sandbox.pool import SandboxPool
from wardian_sandbox.safe_git import GitResult, git
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import (
    Artefact,
    Confinement,
    Egress,
    EgressEvent,
    EgressLimits,
    EgressOutcome,
    Ending,
    ExecResult,
    FileChange,
    FileFailure,
    FileReference,
    Limit,
    ResourceLimits,
    Sandbox,
    SandboxIdentity,
)

__all__ = [
    "BACKENDS",
    "Artefact",
    "Box",
    "Bubblewrap",
    "Checkpoint",
    "Checkpoints",
    "Confinement",
    "Docker",
    "Egress",
    "EgressEvent",
    "EgressLimits",
    "EgressOutcome",
    "EgressProxy",
    "Ending",
    "ExecResult",
    "FileChange",
    "FileFailure",
    "FileReference",
    "Finding",
    "GVisor",
    "GitResult",
    "HostRule",
    "Limit",
    "ProtocolBroken",
    "ResourceLimits",
    "Sandbox",
    "SandboxError",
    "SandboxIdentity",
    "SandboxLost",
    "SandboxPool",
    "SandboxUnavailable",
    "SupervisedSandbox",
    "Unconfined",
    "git",
    "open_sandbox",
    "parse_host_rule",
    "probe",
]
