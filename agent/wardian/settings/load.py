"""Settings from flags, environment, the user's file and defaults, each with its origin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian.settings.keys import FLAG_SCHEMA, OTHER_VARIABLES, SCHEMA, VARIABLE_PREFIX, variable
from wardian.settings.places import paths
from wardian.settings.trust import OWN_FOLDER, Workspace, workspace_of
from wardian_policies import PolicyFileError
from wardian_policies.narrowing import least_budgets
from wardian_policies.schema import UNLIMITED, Kind, nearest, parse, read, shown
from wardian_policies.types import Budgets
from wardian_tools.web.engines import SearchEngine, search_engine

PROJECT_FILE = f"{OWN_FOLDER}/config.toml"
BUDGET_KEYS = {
    "max_steps": "steps",
    "max_tool_calls": "tool_calls",
    "max_tokens": "tokens",
    "max_cost_usd": "cost_usd",
    "max_seconds": "wall_seconds",
}
NARROWING = (("workspace_mode", "copy"), ("consent", "no"))
"""What a folder may ask for beside lower budgets."""
NO_BUDGETS: dict[str, Any] = dict.fromkeys(BUDGET_KEYS.values())
UNLIMITED_BUDGETS = Budgets(**NO_BUDGETS)
DEFAULT, FLAG, ENVIRONMENT, PROJECT = "default", "flag", "environment", "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose. None leaves it to the model, the policy, or the built-in choice."""

    model: str | None = None
    """None looks for what this machine has."""
    base_url: str | None = None
    private_model: str | None = None
    """On this machine, for what the policy keeps there"""
    local: bool = False
    """No socket may leave this machine."""
    fallback_models: str = ""
    """Asked in this order when the model cannot answer, or its replies are of no use."""
    policy: str = "default"
    sandbox: str = "auto"
    sandbox_image: str = ""
    """For docker and gvisor; empty is the one that was built last under the usual name."""
    workspace_mode: str = "mount"
    consent: str = "yes"
    """May runs be exported as data? `yes` or `no`"""
    search_engine: str = "duckduckgo"
    search_url: str = ""
    """Of the engine; empty is its own."""
    search_key_file: str = ""
    """Where its key is; else it is in the engine's environment variable."""
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
    file_budgets: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By the budget's name: what the user's file sets."""
    project_budgets: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By the budget's name: what the folder worked on lowers, where it is trusted."""
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

    def search(self, environ: Mapping[str, str]) -> SearchEngine:
        """Where `web_search` searches. Raises: ConfigurationError."""
        engine = search_engine(self.search_engine, self.search_url, environ)
        if not self.search_key_file:
            return engine
        try:
            key = Path(self.search_key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The file of search_key_file, {self.search_key_file}, cannot be read ({error}).",
                "Check its path and permissions.",
            ) from error
        return replace(engine, key=key)

    def budgets(self, policy: Budgets, folder: Budgets = UNLIMITED_BUDGETS) -> Budgets:
        """The policy's budgets with what the user set in their place; `unlimited` lifts one.

        `folder` is what the policy of a trusted folder says. That and the folder's settings lower
        them, but for what a flag or a variable says.
        """
        budgets = replace(policy, **self.file_budgets)
        for lower in (Budgets(**{**NO_BUDGETS, **self.project_budgets}), folder):
            budgets = least_budgets(budgets, lower)
        said = {
            BUDGET_KEYS[key]: getattr(self, key)
            for key, origin in self.origins.items()
            if key in BUDGET_KEYS and is_said(origin)
        }
        return replace(budgets, **said)


def is_said(origin: str) -> bool:
    """Was it said for this run?"""
    return origin == FLAG or origin.startswith(ENVIRONMENT)


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], project: Path | None = None
) -> Settings:
    """Flags over `WARDIAN_*` variables over the user's file over defaults.

    A flag that is None was not given. What the `project` folder says is read only where the user
    trusts it, and then only narrows; a notice says what is not read. Raises: ConfigurationError
    naming the origin, and the nearest key.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value, origin in (
        *from_file(paths(environ).config_file),
        *from_environment(environ),
        *from_flags(flags),
    ):
        values[key], origins[key] = value, origin
    own = {
        BUDGET_KEYS[key]: value
        for key, value in values.items()
        if key in BUDGET_KEYS and not is_said(origins[key])
    }
    if project is None:
        return Settings(**values, file_budgets=own, origins=origins)
    workspace = workspace_of(project, environ)
    notices = [workspace.notice()]
    lower: dict[str, Any] = {}
    for key, value, origin in from_project(workspace, notices):
        if key in BUDGET_KEYS:
            lower[BUDGET_KEYS[key]] = value
        mine = values.get(key)
        is_lower = key not in BUDGET_KEYS or mine is None or value < mine
        if is_lower and not is_said(origins.get(key, "")):
            values[key], origins[key] = value, origin
    return Settings(
        **values,
        file_budgets=own,
        project_budgets=lower,
        origins=origins,
        notices=tuple(filter(None, notices)),
    )


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
        is_policy = key == "policy" and ("/" in value or value.endswith(".toml"))
        is_path = is_policy or key == "search_key_file"
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
        yield key, value_of(SCHEMA[key], text, f"The variable {name}"), f"{ENVIRONMENT} {name}"


def from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    for key, given in flags.items():
        if given is None:
            continue
        if key not in FLAG_SCHEMA:
            raise ConfigurationError(f"{key!r} is not a setting.", nearest(key, FLAG_SCHEMA))
        yield key, value_of(FLAG_SCHEMA[key], given, f"The flag for {key}"), FLAG


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


def from_project(workspace: Workspace, notices: list[str]) -> Iterator[Setting]:
    """What a trusted folder may narrow; a notice on each setting that it may not make."""
    text = workspace.read(PROJECT_FILE)
    if text is None:
        return
    try:
        document = parse(workspace.root / PROJECT_FILE, text, SCHEMA)
    except PolicyFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error
    for key, value in document.values.items():
        where = f"{document.path}:{document.line(key)}"
        if (key in BUDGET_KEYS and value is not None) or (key, value) in NARROWING:
            yield key, value, f"{PROJECT} {where}"
        else:
            notices.append(f"{where}: {key} is yours to set, so the folder's own is passed over.")
