"""JSON schemas that others bring: found out to be usable before anything depends on them.

Covers: a schema that is none; a reference to what is not in it (nothing is ever fetched to follow
one); references that go round without end.
Does not cover: patterns that take long. They are Python's.
"""

from collections.abc import Mapping
from typing import Any

FLAT: tuple[object, ...] = (None, "", 0, [], {})
"""Whatever schema these are checked by, that ends at once, unless it refers to itself only"""


class UnusableSchema(ValueError):
    """What is the matter with a schema, in a few words."""


def validator_of(schema: Mapping[str, Any]) -> Any:
    """What checks values by a schema of draft 2020-12. Raises: UnusableSchema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012, SchemaRegistry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise UnusableSchema(error.message) from error
    whole = DRAFT202012.create_resource(schema)
    nothing: SchemaRegistry = Registry()
    known = nothing.with_resource("", whole)
    _follow(whole, known.resolver_with_root(whole))
    validator: Any = Draft202012Validator(schema, registry=known)
    try:
        for value in FLAT:
            validator.is_valid(value)
    except RecursionError:
        raise UnusableSchema("what it refers to refers back to it without end") from None
    return validator


def _follow(part: Any, resolver: Any) -> None:
    """Look up each reference of a schema and of those within it. Raises: UnusableSchema."""
    from referencing.exceptions import CannotDetermineSpecification, Unresolvable

    given: Any = part.contents
    if isinstance(given, Mapping):
        for key in ("$ref", "$dynamicRef"):
            if key in given:
                try:
                    resolver.lookup(given[key])
                except Unresolvable as problem:
                    said = f"it refers to {given[key]!r:.200}, which is not in it"
                    raise UnusableSchema(said) from problem
    try:
        within = list(part.subresources())
    except CannotDetermineSpecification as problem:
        raise UnusableSchema("its $schema is not known") from problem
    for one in within:
        _follow(one, resolver.in_subresource(one))
