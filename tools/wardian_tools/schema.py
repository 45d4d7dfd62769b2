"""From a function's parameters to a pydantic model, and from that to the JSON schema shown.

pydantic is imported where it is used: it costs 70 to 160 ms, which neither `agent --help` nor a
run that calls no tool must pay. So the model of plain parameters is made when it is first needed.

Numbers are coerced as pydantic's lax mode does it: `"3"` is accepted for an integer, `3.5` is not;
a number is not accepted for a string. Unknown arguments are refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from inspect import Parameter
from typing import Annotated, Any, cast

from wardian_tools.errors import ToolDefinitionError
from wardian_tools.plain import plain_schema

_MAPS = ("properties", "$defs", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "propertyNames", "not")
_ORDER = ("type", "$ref", *_LISTS, "properties", "required", "items", "enum", "const")
_LAST = ("additionalProperties", "description", "default", "$defs")
_RANK = {key: n for n, key in enumerate(_ORDER)} | {key: 100 + n for n, key in enumerate(_LAST)}
_NULL = {"type": "null"}
_Validate = Callable[[Any], dict[str, Any]]
_Convert = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentSchema:
    """What is known of a function's arguments."""

    parameters: dict[str, Any]
    """JSON schema of the arguments object."""
    validate: Callable[[Any], dict[str, Any]]
    """Parsed JSON → JSON values, normalised, defaults filled in. Raises ValidationError."""
    convert: Callable[[dict[str, Any]], dict[str, Any]]
    """What `validate` gave → the Python values the function's annotations ask for."""


def argument_schema(
    parameters: list[Parameter], annotations: dict[str, Any], descriptions: dict[str, str]
) -> ArgumentSchema:
    """The schema of a function's arguments, and what applies it.

    Raises: ToolDefinitionError when an annotation has no JSON schema or a default does not fit it.
    """
    made = cache(partial(_modelled, parameters, annotations, descriptions))
    plain = plain_schema(parameters, annotations, descriptions)
    if plain is None:
        return made()
    return ArgumentSchema(
        parameters=plain,
        validate=lambda value: made().validate(value),
        convert=lambda arguments: made().convert(arguments),
    )


def import_validation() -> None:
    """What the first check of arguments imports, for whoever has nothing else to do now."""
    import pydantic

    _ = pydantic.ConfigDict, pydantic.create_model, pydantic.Field, pydantic.ValidationError


def _modelled(
    parameters: list[Parameter], annotations: dict[str, Any], descriptions: dict[str, str]
) -> ArgumentSchema:
    """The schema by way of a pydantic model."""
    from pydantic import ConfigDict, create_model
    from pydantic.errors import PydanticUserError

    # Fields are named f0, f1, … and known by alias, so that an argument may be called `schema`,
    # `json`, `_x` or anything else that means something to a pydantic model.
    fields: dict[str, Any] = {
        f"f{n}": _field(p, annotations[p.name], descriptions.get(p.name))
        for n, p in enumerate(parameters)
    }
    config = ConfigDict(extra="forbid", validate_default=True, title="Arguments")
    try:
        model = create_model("Arguments", __config__=config, **fields)
        schema = model.model_json_schema(by_alias=True)
    except (PydanticUserError, TypeError, NameError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise ToolDefinitionError(
            f"An annotation cannot be turned into a JSON schema: {reason}"
        ) from error
    names = {field: p.name for field, p in zip(fields, parameters, strict=True)}
    read, write = model.__pydantic_validator__, model.__pydantic_serializer__
    validate, convert = _validation(read.validate_python, write.to_python, names)
    _check_defaults(validate, names)
    return ArgumentSchema(parameters=shown_schema(schema), validate=validate, convert=convert)


def _validation(
    read: Callable[[Any], Any], write: Callable[..., dict[str, Any]], names: dict[str, str]
) -> tuple[_Validate, _Convert]:
    """`validate` and `convert` of a model that `read` makes and `write` takes apart."""

    def validate(value: object) -> dict[str, Any]:
        return write(read(value), mode="json", by_alias=True, round_trip=True, warnings=False)

    def convert(arguments: dict[str, Any]) -> dict[str, Any]:
        instance = read(arguments)
        return {name: getattr(instance, field) for field, name in names.items()}

    return validate, convert


def _check_defaults(validate: _Validate, names: dict[str, str]) -> None:
    from pydantic import ValidationError

    try:
        validate({})
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_context=False):
            if wrong["type"] != "missing":
                field = str(wrong["loc"][0])
                raise ToolDefinitionError(
                    f"The default of parameter '{names.get(field, field)}' does not fit its "
                    f"annotation: {wrong['msg']}. Change the default or the annotation."
                ) from error


def _field(parameter: Parameter, annotation: Any, description: str | None) -> tuple[Any, Any]:
    """The (annotation, default) pair `create_model` takes for one parameter."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    default: Any = ... if parameter.default is Parameter.empty else parameter.default
    if isinstance(default, FieldInfo):  # `limit: int = Field(10, ge=1)`
        annotation = Annotated[annotation, default]
        default = ...
    described = FieldInfo.from_annotation(annotation).description or description
    return annotation, Field(default, alias=parameter.name, description=described)


def shown_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema a model is shown: pydantic's, without noise, with tags that are required.

    Titles go. An optional value whose default is null is shown as the value alone: it is left
    out, not written as null (null is still accepted). A tag that tells the members of a union
    apart is required although it has a default, or else every member would match.
    """
    cleaned = _clean(schema)
    for reference, tag in _tagged(schema):
        _require(cleaned["$defs"][reference.rsplit("/", 1)[-1]], tag)
    for definition in cleaned.get("$defs", {}).values():
        for name, inner in definition.get("properties", {}).items():
            if "const" in inner:
                _require(definition, name)
    return cleaned


def _clean(schema: dict[str, Any]) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for key in sorted(schema, key=lambda k: (_RANK.get(k, 50), k)):
        value = schema[key]
        if key in ("title", "discriminator"):
            continue
        if key in _MAPS:
            cleaned[key] = {name: _clean(_without_null(inner)) for name, inner in value.items()}
        elif key in _LISTS:
            cleaned[key] = [_clean(inner) for inner in value]
        elif key in _SINGLE and isinstance(value, dict):
            cleaned[key] = _clean(cast("dict[str, Any]", value))
        else:
            cleaned[key] = value
    return cleaned


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("default", ...) is not None or _NULL not in schema.get("anyOf", ()):
        return schema
    members = [member for member in schema["anyOf"] if member != _NULL]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**members[0], **rest} if len(members) == 1 else {"anyOf": members, **rest}


def _tagged(schema: object) -> Iterator[tuple[str, str]]:
    """Every (reference, tag name) that a discriminated union in `schema` mentions."""
    if isinstance(schema, list):
        for member in cast("list[object]", schema):
            yield from _tagged(member)
    elif isinstance(schema, dict):
        known = cast("dict[str, Any]", schema)
        discriminator: dict[str, Any] = known.get("discriminator") or {}
        for reference in discriminator.get("mapping", {}).values():
            yield reference, discriminator["propertyName"]
        for member in known.values():
            yield from _tagged(member)


def _require(definition: dict[str, Any], name: str) -> None:
    inner = definition.get("properties", {}).get(name)
    if inner is None:
        return
    inner.pop("default", None)
    wanted = {*definition.get("required", ()), name}
    definition["required"] = [key for key in definition["properties"] if key in wanted]
