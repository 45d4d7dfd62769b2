"""Wardian: an agent that runs on your own machine and gets better from its own work.

The names below are the library's whole public face; they are loaded when first used, so that
`import wardian` costs next to nothing.
"""

from importlib import import_module

from wardian._version import __version__

_HOMES = {
    "Agent": "wardian.agent",
    "Answer": "wardian.approval",
    "Budgets": "wardian_policies.types",
    "ChatModel": "wardian.models.chat",
    "FunctionModel": "wardian.models.function",
    "LitellmModel": "wardian.models.litellm_model",
    "LlamaModel": "wardian.models.llama",
    "Message": "wardian.types",
    "Model": "wardian.types",
    "Policy": "wardian_policies",
    "Reply": "wardian.types",
    "RunResult": "wardian.results",
    "RunStore": "wardian.runs",
    "Sampling": "wardian.types",
    "ScriptedModel": "wardian.models.scripted",
    "Stop": "wardian.types",
    "SubAgent": "wardian.subagents",
    "Task": "wardian.types",
    "Tool": "wardian_tools",
    "ToolContext": "wardian_tools",
    "Trajectory": "wardian.runs",
    "WardianError": "wardian.errors",
    "block_real_models": "wardian.models.block",
    "tool": "wardian_tools",
}

# All of them are strings, which the checkers cannot see here; the stub beside this file lists them.
__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'wardian' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
