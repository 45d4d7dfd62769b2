"""The settings there are, and what each must be."""

from dataclasses import replace

from wardian_policies.schema import (
    Kind,
    boolean,
    choice,
    number,
    or_unlimited,
    positive,
    text,
    whole,
)
from wardian_sandbox.docker.naming import is_reference
from wardian_tools.web.engines import ENGINES

VARIABLE_PREFIX = "WARDIAN_"
OTHER_VARIABLES = ("WARDIAN_HOME", "WARDIAN_DEBUG", "WARDIAN_TESTED_WHEEL")
"""Variables of ours that are not settings."""

URL = Kind(
    description="a URL that begins with http:// or https://",
    accepts=lambda value: isinstance(value, str) and value.startswith(("http://", "https://")),
)


def truth(text: str) -> bool | None:
    """What a variable's text says; None, which no key accepts, for anything but true and false."""
    return {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower())


NAMES = Kind(
    description="models' names with commas between them, or nothing",
    accepts=lambda value: isinstance(value, str),
)

CONFINING = ("auto", "bubblewrap", "docker", "gvisor")
"""Every choice of sandbox but none at all."""

SCHEMA: dict[str, Kind] = {
    "model": text("a model's name, such as tiny or gguf:PATH"),
    "base_url": URL,
    "private_model": text("a local model's name, such as tiny or gguf:PATH"),
    "local": replace(boolean(), from_text=truth),
    "fallback_models": NAMES,
    "policy": text("the name of a policy or the path of a policy file"),
    "sandbox": replace(
        choice(*CONFINING),
        description='"auto", "bubblewrap", "docker" or "gvisor" ("none" only as the flag '
        "--sandbox none)",
    ),
    "sandbox_image": Kind(
        description="the name of an image as Docker takes it, such as wardian-sandbox:latest",
        accepts=lambda value: isinstance(value, str) and is_reference(value),
    ),
    "workspace_mode": choice("mount", "copy"),
    "consent": choice("yes", "no"),
    "temperature": number(),
    "seed": whole(0),
    "max_reply_tokens": whole(),
    "context_tokens": whole(),
    "call_style": choice("auto", "native", "text", "code"),
    "adapter": replace(NAMES, description="LoRA files, PATH or PATH@SCALE, with commas between"),
    "max_steps": or_unlimited(whole()),
    "max_tool_calls": or_unlimited(whole()),
    "max_tokens": or_unlimited(whole()),
    "max_cost_usd": or_unlimited(number()),
    "max_seconds": or_unlimited(positive()),
    "search_engine": choice(*ENGINES),
    "search_url": URL,
    "search_key_file": text("the path of a file that holds the engine's key"),
}

FLAG_SCHEMA = SCHEMA | {"sandbox": choice(*CONFINING, "none")}
"""Running without protection is said for each run: no file and no variable can say it."""


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return VARIABLE_PREFIX + key.upper()
