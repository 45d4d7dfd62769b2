"""Calls written as a name, a separator, and the arguments as one JSON object."""

from collections.abc import Callable

from wardian.models.families.family import Heard, Reading, Schemas, Terminals
from wardian.models.families.json_object import arguments_schema
from wardian.models.families.source import Source


def read_arguments(source: Source, heard: Heard, name: str, *closes: str) -> Reading:
    """One JSON object, then everything up to a closing marker, which should be nothing much.

    Without closing markers the object's own end is the call's.
    """
    yield from source.blanks()
    written: list[str] = []

    def pass_on(text: str) -> None:
        if not written:
            heard.begin_call(name)
        written.append(text)
        heard.add_arguments(text)

    is_json = source.pending.startswith("{") and (yield from source.json_value(pass_on))
    if not closes and is_json:
        heard.end_call(name, "".join(written))
        return
    rest, _ = yield from source.text_up_to(*closes) if closes else source.text_up_to("\n")
    arguments = "".join(written)
    if not is_json or rest.strip().strip("`"):
        arguments = (arguments + rest).strip()
    heard.end_call(name, arguments or "{}")


def named_rules(
    schemas: Schemas, terminals: Terminals, *, between: str, spell: Callable[[str], str] = str
) -> str:
    """Lark: `named_call` is a tool's name (as `spell` gives it), `between`, and its arguments."""
    lines = ["named_call: " + " | ".join(f"call_{i}" for i in range(len(schemas)))]
    for i, (name, schema) in enumerate(schemas.items()):
        value = terminals.json(arguments_schema(schema), name)
        lines.append(f"call_{i}: {terminals.literal(spell(name))} {between} arguments_{i}")
        lines.append(f"arguments_{i}: {value}")
    return "\n".join(lines) + "\n"
