"""A recipe with every key and what it means: `agent train init`."""

from typing import cast

from wardian.train.recipe import RATES, Key, Method, keys

GIVEN = {
    Method.SFT: {"base": "tiny", "data": "sft.jsonl", "out": "trained/sft"},
    Method.DPO: {"base": "tiny", "data": "dpo.jsonl", "out": "trained/dpo"},
    Method.KTO: {"base": "tiny", "data": "kto.jsonl", "out": "trained/kto"},
    Method.GRPO: {"base": "tiny", "out": "trained/grpo", "grpo.suite": "tasks"},
}
"""What a recipe cannot do without; the rest is commented out."""
WIDTH = 40


def commented(method: Method) -> str:
    """TOML that says what every key is; only what has to be chosen is set."""
    rates = ", ".join(f"{RATES[method, tuning]:g} with {tuning}" for tuning in ("full", "lora"))
    lines = [
        f"# A recipe for: agent train {method} THIS-FILE",
        "# A key that is commented out has the value shown. Paths are seen from this file.",
        f"# The learning rate that 0 stands for: {rates} tuning; small models take more.",
    ]
    table = ""
    for one in keys(method):
        above, _, name = one.name.rpartition(".")
        if above != table:
            table = above
            lines += ["", f"[{table}]"]
        lines.append(line(method, one, name))
    return "\n".join(lines) + "\n"


def line(method: Method, one: Key, name: str) -> str:
    given = GIVEN[method].get(one.name)
    value = toml(given if given is not None else one.default)
    text = f"{name} = {value}" if given is not None else f"# {name} = {value}"
    return f"{text:<{WIDTH}}  # {one.about}"


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, cast("tuple[object, ...]", value))) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if value else "0"
