"""Settings from flags, environment, the user's file and defaults, each with its origin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian.settings.keys import FLAG_SCHEMA, OTHER_VARIABLES, SCHEMA, VARIABLE_PREFIX, variable
from wardian.settings.places import paths
from wardian_policies import PolicyFileError
from wardian_policies.schema import UNLIMITED, Kind, nearest, read, shown
from wardian_policies.types import Budgets

PROJECT_FILE = Path(".wardian") / "config.toml"
BUDGET_KEYS = {
    "max_steps": "steps",
    "max_tool_calls": "tool_calls",
    "max_tokens": "tokens",
    "max_cost_usd": "cost_usd",
    "max_seconds": "wall_seconds",
}
DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose. None leaves it to the model, the policy, or the built-in choice."""

    model: str | None = None
    """None looks for what this machine has."""
    base_url: str | None = None
    fallback_models: str = ""
    """Asked in this order when the model cannot answer, or its replies are of no use."""
    policy: str = "default"
    sandbox: str = "auto"
    sandbox_image: str = ""
    """For docker and gvisor; empty is the one that was built last under the usual name."""
    workspace_mode: str = "mount"
    temperature: float | None = None
    seed: int | None = None
    max_reply_tokens: int | None = None
    context_tokens: int | None = None
    call_style: str = "auto"
    """How the model is told to call tools."""
    adapter: str = ""
    """LoRA files for a model loaded here, with commas between them: PATH, or PATH@SCALE."""
    max_steps: int | None = None
    """This and the following: see `budgets`."""
    max_tool_calls: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    """By key, for what was set: `flag`, `environment WARDIAN_MODEL`, `/path/config.toml:3`."""
    notices: tuple[str, ...] = ()
    """What the user should be told: sentences."""

    def origin(self, key: str) -> str:
        return self.origins.get(key, DEFAULT)

    def rows(self) -> Iterator[tuple[str, object, str]]:
        """Every key with its value and origin, in the order of the documentation."""
        for key in SCHEMA:
            value = getattr(self, key)
            lifted = value is None and key in self.origins
            yield key, UNLIMITED if lifted else value, self.origin(key)

    def budgets(self, policy: Budgets) -> Budgets:
        """The policy's budgets with what the user set in their place; `unlimited` lifts one."""
        chosen = {
            BUDGET_KEYS[key]: getattr(self, key) for key in self.origins if key in BUDGET_KEYS
        }
        return replace(policy, **chosen)


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], project: Path | None = None
) -> Settings:
    """Flags over `WARDIAN_*` variables over the user's file over defaults.

    A flag that is None was not given. A settings file in the `project` folder is not read, and a
    notice says so. Raises: ConfigurationError naming the origin, and the nearest key.
    """
    user_file = paths(environ).config_file
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value, origin in (
        *from_file(user_file),
        *from_environment(environ),
        *from_flags(flags),
    ):
        values[key], origins[key] = value, origin
    notices = notices_on(project, user_file)
    return Settings(**values, origins=origins, notices=notices)


Setting = tuple[str, Any, str]
"""Key, value, origin."""


def from_file(path: Path) -> Iterator[Setting]:
    try:
        if not path.exists():
            return
        document = read(path, SCHEMA)
    except PolicyFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error
    except OSError as error:
        cause = f"{path}: it cannot be read ({error.strerror})."
        raise ConfigurationError(cause, "Check its permissions.") from error
    for key, value in document.values.items():
        is_path = key == "policy" and ("/" in value or value.endswith(".toml"))
        seen_from_file = str(path.parent / Path(value).expanduser()) if is_path else value
        yield key, seen_from_file, f"{path}:{document.line(key)}"


def from_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    known = {variable(key): key for key in SCHEMA}
    for name, text in environ.items():
        if not name.startswith(VARIABLE_PREFIX) or name in OTHER_VARIABLES or not text:
            continue
        if name not in known:
            remedy = nearest(name, [*known, *OTHER_VARIABLES])
            raise ConfigurationError(f"The variable {name} is not known.", remedy)
        key = known[name]
        yield key, value_of(SCHEMA[key], text, f"The variable {name}"), f"environment {name}"


def from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    for key, given in flags.items():
        if given is None:
            continue
        if key not in FLAG_SCHEMA:
            raise ConfigurationError(f"{key!r} is not a setting.", nearest(key, FLAG_SCHEMA))
        yield key, value_of(FLAG_SCHEMA[key], given, f"The flag for {key}"), "flag"


def value_of(kind: Kind, given: object, what: str) -> Any:
    """The value, read from text where it is text. Raises: ConfigurationError."""
    try:
        value = kind.from_text(given) if isinstance(given, str) else given
        fits = kind.accepts(value)
    except ValueError:
        value, fits = None, False
    if not fits:
        cause = f"{what} must be {kind.description}, not {shown(given)}."
        raise ConfigurationError(cause, "Change or remove it.")
    return kind.kept(value)


def notices_on(project: Path | None, user_file: Path) -> tuple[str, ...]:
    if project is None:
        return ()
    file = project / PROJECT_FILE
    if not file.is_file() or file.absolute() == user_file:
        return ()
    return (f"{file} is not read: settings come from you, not from the folder being worked on.",)
