"""What a model can call: typed tools, their schemas, a registry, and the built-in tools."""

from wardian_tools.builtin import BUILTIN_NAMES, builtin_tools
from wardian_tools.calls import (
    MAX_ARGUMENT_CHARS,
    MAX_CALLS_PER_REPLY,
    MAX_DEPTH,
    MAX_RESULT_CHARS,
    canonical_json,
    run_call,
)
from wardian_tools.define import tool
from wardian_tools.discover import (
    Discovered,
    PluginFailure,
    load_entry_points,
    own_tools,
    select,
    usual_tools,
)
from wardian_tools.errors import ToolDefinitionError, ToolError, UnknownTool
from wardian_tools.registry import Registry
from wardian_tools.types import (
    AskUser,
    Confidentiality,
    Effect,
    Integrity,
    Output,
    Question,
    ResultStatus,
    Tool,
    ToolCall,
    ToolContext,
    ToolResult,
)
from wardian_tools.web import web_tools, why_no_search
from wardian_tools.web.engines import SearchEngine, search_engine

__all__ = [
    "BUILTIN_NAMES",
    "MAX_ARGUMENT_CHARS",
    "MAX_CALLS_PER_REPLY",
    "MAX_DEPTH",
    "MAX_RESULT_CHARS",
    "AskUser",
    "Confidentiality",
    "Discovered",
    "Effect",
    "Integrity",
    "Output",
    "PluginFailure",
    "Question",
    "Registry",
    "ResultStatus",
    "SearchEngine",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolDefinitionError",
    "ToolError",
    "ToolResult",
    "UnknownTool",
    "builtin_tools",
    "canonical_json",
    "load_entry_points",
    "own_tools",
    "run_call",
    "search_engine",
    "select",
    "tool",
    "usual_tools",
    "web_tools",
    "why_no_search",
]
