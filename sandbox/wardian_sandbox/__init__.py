"""Where calls run: boxes that confine model-written code.

The names below are loaded when first used: a program that opens no box pays for none.
"""

from importlib import import_module

_HOMES = {
    "Artefact": "wardian_sandbox.types",
    "BACKENDS": "wardian_sandbox.choosing",
    "Box": "wardian_sandbox.library",
    "Bubblewrap": "wardian_sandbox.library",
    "Checkpoint": "wardian_sandbox.checkpoints",
    "Checkpoints": "wardian_sandbox.checkpoints",
    "Confinement": "wardian_sandbox.types",
    "Docker": "wardian_sandbox.library",
    "Egress": "wardian_sandbox.types",
    "EgressEvent": "wardian_sandbox.types",
    "EgressLimits": "wardian_sandbox.types",
    "EgressOutcome": "wardian_sandbox.types",
    "EgressProxy": "wardian_sandbox.egress.proxy",
    "Ending": "wardian_sandbox.types",
    "ExecResult": "wardian_sandbox.types",
    "FileChange": "wardian_sandbox.types",
    "FileFailure": "wardian_sandbox.types",
    "FileReference": "wardian_sandbox.types",
    "Finding": "wardian_sandbox.doctor",
    "GVisor": "wardian_sandbox.library",
    "GitResult": "wardian_sandbox.safe_git",
    "HostRule": "wardian_sandbox.egress.rules",
    "InvalidRequest": "wardian_sandbox.errors",
    "Limit": "wardian_sandbox.types",
    "Program": "wardian_sandbox.program",
    "ProtocolBroken": "wardian_sandbox.errors",
    "ResourceLimits": "wardian_sandbox.types",
    "Sandbox": "wardian_sandbox.types",
    "SandboxError": "wardian_sandbox.errors",
    "SandboxIdentity": "wardian_sandbox.types",
    "SandboxLost": "wardian_sandbox.errors",
    "SandboxPool": "wardian_sandbox.pool",
    "SandboxUnavailable": "wardian_sandbox.errors",
    "Service": "wardian_sandbox.service",
    "SupervisedSandbox": "wardian_sandbox.supervised",
    "Unconfined": "wardian_sandbox.library",
    "git": "wardian_sandbox.safe_git",
    "open_sandbox": "wardian_sandbox.opening",
    "open_service": "wardian_sandbox.service",
    "parse_host_rule": "wardian_sandbox.egress.rules",
    "probe": "wardian_sandbox.doctor",
}

# All of them are strings, which the checkers cannot see here; the stub beside this file lists them.
__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'wardian_sandbox' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
