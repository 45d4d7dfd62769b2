"""Saves the rule of an "always" in the user's own policy, comments and order kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.settings.edit import config_set
from wardian.settings.load import DEFAULT, Settings
from wardian.settings.places import make_folder, paths
from wardian.settings.replacing import replace_file
from wardian_policies import PolicyFileError, preset_names
from wardian_policies.file import NOTHING, find, parse_layer
from wardian_policies.schema import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlace:
    """The file that rules are saved in."""

    path: Path
    extends: str = ""
    """The preset that a file made for it begins with."""
    config_file: Path | None = None
    """Where the new file is put in force."""

    @property
    def described(self) -> str:
        """The file, and what becomes of it, in a few words."""
        if not self.extends:
            return str(self.path)
        use = f"for runs with --policy {self.path.stem}"
        becomes = "and becomes your policy" if self.config_file else use
        return f"{self.path}, which extends {self.extends}, {becomes}"


def rule_place(settings: Settings, environ: Mapping[str, str]) -> RulePlace:
    """Where a rule for the policy in force is saved.

    A preset is never changed: a policy of the user's that extends it takes its place, unless a flag
    or a variable chose the preset. Raises: ConfigurationError.
    """
    places = paths(environ)
    name = settings.policy
    if name in preset_names():
        origin = settings.origin("policy")
        may_replace = origin == DEFAULT or origin.startswith(str(places.config_file))
        return RulePlace(
            path=places.policies / f"my-{name}.toml",
            extends=name,
            config_file=places.config_file if may_replace else None,
        )
    try:
        return RulePlace(path=find(name, Path.cwd(), places.policies).resolve())
    except LookupError as error:
        raise ConfigurationError(f"There is no policy {name!r}.", str(error.args[0])) from error


def save_rule(place: RulePlace, pattern: str, environ: Mapping[str, str]) -> None:
    """Add the pattern to `[tools] allow`. The file is checked before it takes the old one's place.

    Raises: ConfigurationError; nothing is changed then.
    """
    try:
        old = read_text(place.path) if place.path.exists() else ""
        text = with_rule(
            old or (f'extends = "{place.extends}"\n' if place.extends else ""), pattern
        )
        parse_layer(place.path, text, NOTHING, paths(environ).policies)
    except PolicyFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error
    make_folder(place.path.parent)
    replace_file(place.path, text)
    if place.config_file:
        config_set(place.config_file, "policy", place.path.stem)


def with_rule(text: str, pattern: str) -> str:
    """The TOML text with the pattern at the end of `[tools] allow`."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
        tools = document.setdefault("tools", tomlkit.table())
        allow = cast("list[str]", tools.setdefault("allow", tomlkit.array()))
        if pattern not in allow:
            allow.append(pattern)
        return tomlkit.dumps(document)
    except (TOMLKitError, AttributeError) as error:
        cause = f"The policy cannot be added to: {error}."
        raise ConfigurationError(cause, "Mend it with `agent policy edit`.") from error
