"""What a built tool is, read off its source text. The code is parsed here and never run.

    from wardian import tool

    @tool(effects={"reads"})
    def count_lines(path: str, skip_empty: bool = False) -> int:
        \"\"\"Count the lines of a file.

        Args:
            path: File path, relative to the workspace.
        \"\"\"

Covers: one function with that decorator in a module; plain types; default values that are
literals; the effects `reads` and `writes`, or none. A tool that runs programs or uses the network
cannot be built: what it gives would depend on more than its arguments and the workspace.
"""

import ast
import inspect
import types
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Union

from wardian_tools import Effect, Output, Tool, ToolContext, ToolDefinitionError, tool

MAX_SOURCE_CHARS = 64 << 10
ALLOWED = frozenset({Effect.READS, Effect.WRITES})
PLAIN: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}
Run = Callable[[ToolContext, dict[str, Any]], Awaitable[Output]]


class NotATool(Exception):
    """Why the source describes no tool, in a sentence for who wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A tool as its source describes it."""

    name: str
    docstring: str
    signature: inspect.Signature
    effects: frozenset[Effect]
    idempotent: bool

    def as_tool(self, run: Run) -> Tool:
        """The tool, whose calls `run` does. Raises: NotATool."""

        async def call(context: ToolContext, **arguments: object) -> Output:
            return await run(context, dict(arguments))

        context = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=ToolContext
        )
        shown = list(self.signature.parameters.values())
        call.__signature__ = inspect.Signature([context, *shown])  # type: ignore[attr-defined] # read by inspect.signature
        call.__annotations__ = {one.name: one.annotation for one in (context, *shown)}
        call.__doc__ = self.docstring
        try:
            made = tool(name=self.name, effects=self.effects, idempotent=self.idempotent)(call)
            made.validate  # noqa: B018 - made here, so that a bad default is found here
        except ToolDefinitionError as error:
            raise NotATool(str(error)) from error
        return replace(made, uses_sandbox=True)


def describe(source: str) -> Description:
    """Raises: NotATool."""
    if len(source) > MAX_SOURCE_CHARS:
        raise NotATool(f"tool.py is longer than {MAX_SOURCE_CHARS} characters.")
    try:
        module = ast.parse(source, "tool.py")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotATool(f"tool.py is not Python: {error}.") from error
    functions = [one for one in module.body if isinstance(one, ast.FunctionDef)]
    found = [(one, mark) for one in functions if (mark := decorator(one)) is not None]
    if len(found) != 1:
        raise NotATool("tool.py must have exactly one function (not async) with @tool, at its top.")
    function, mark = found[0]
    docstring = ast.get_docstring(function)
    if not docstring:
        raise NotATool(f"{function.name} needs a docstring: it is what a model is told of it.")
    options = keywords(mark)
    return Description(
        name=function.name,
        docstring=docstring,
        signature=signature(function),
        effects=effects(options.pop("effects", None)),
        idempotent=is_true(options.pop("idempotent", None)),
    )


def decorator(function: ast.FunctionDef) -> ast.expr | None:
    """The `@tool` of a function; None without one."""
    for mark in function.decorator_list:
        named = mark.func if isinstance(mark, ast.Call) else mark
        if isinstance(named, ast.Name) and named.id == "tool":
            return mark
    return None


def keywords(mark: ast.expr) -> dict[str, ast.expr]:
    if not isinstance(mark, ast.Call):
        return {}
    known = {one.arg: one.value for one in mark.keywords if one.arg in ("effects", "idempotent")}
    if mark.args or len(known) != len(mark.keywords):
        raise NotATool("@tool takes effects={…} and idempotent=True, and nothing else here.")
    return {str(name): value for name, value in known.items()}


def effects(node: ast.expr | None) -> frozenset[Effect]:
    """Raises: NotATool for what is no set of known effects, written out."""
    if node is None:
        return frozenset()
    problem = 'effects must be written out: (), {"reads"}, {"writes"} or {"reads", "writes"}.'
    if not isinstance(node, ast.Set | ast.List | ast.Tuple):
        raise NotATool(f"{problem} A tool that runs programs or uses the network cannot be built.")
    found: set[Effect] = set()
    for item in node.elts:
        text = item.attr.lower() if isinstance(item, ast.Attribute) else literal(item)
        if text not in ALLOWED:
            raise NotATool(f"A built tool cannot have the effect {text!r}; {problem}")
        found.add(Effect(text))
    return frozenset(found | ({Effect.READS} if Effect.WRITES in found else set()))


def is_true(node: ast.expr | None) -> bool:
    return node is not None and literal(node) is True


def literal(node: ast.expr) -> Any:
    """Raises: NotATool."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotATool(f"Line {node.lineno}: a literal value is needed here.") from error


def signature(function: ast.FunctionDef) -> inspect.Signature:
    """Raises: NotATool."""
    written = function.args
    if written.vararg or written.kwarg or written.posonlyargs:
        raise NotATool(f"{function.name} must name every parameter: no *args, **kwargs or /.")
    missing = len(written.args) - len(written.defaults)
    given = [*([None] * missing), *written.defaults, *written.kw_defaults]
    parameters: list[inspect.Parameter] = []
    for one, default in zip((*written.args, *written.kwonlyargs), given, strict=True):
        if one.annotation is None:
            raise NotATool(f"Parameter {one.arg!r} has no type.")
        parameters.append(
            inspect.Parameter(
                one.arg,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation(one.annotation),
                default=inspect.Parameter.empty if default is None else literal(default),
            )
        )
    if function.returns is None:
        raise NotATool(f"{function.name} has no return type.")
    return inspect.Signature(parameters, return_annotation=annotation(function.returns))


def annotation(node: ast.expr) -> Any:
    """The type a plain annotation stands for. Raises: NotATool."""
    match node:
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.Constant(value=None):
            return type(None)
        case ast.Constant(value=str(text)):
            return annotation(quoted(text, node))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[annotation(left), annotation(right)]  # noqa: UP007 - made, not written
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return types.GenericAlias(list, (annotation(item),))
        case ast.Subscript(
            value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])
        ):
            return types.GenericAlias(dict, (str, annotation(item)))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=items)):
            return Literal[tuple(literal(item) for item in items)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=item):
            return Literal[literal(item)]
        case _:
            raise NotATool(
                f"Line {node.lineno}: the type {ast.unparse(node)[:80]} is not known here. Use str,"
                " int, float, bool, list[…], dict[str, …], Literal[…], or one of them | None."
            )


def quoted(text: str, node: ast.expr) -> ast.expr:
    try:
        return ast.copy_location(ast.parse(text, mode="eval").body, node)
    except (SyntaxError, ValueError) as error:
        raise NotATool(f"Line {node.lineno}: {text[:80]!r} is no type.") from error
