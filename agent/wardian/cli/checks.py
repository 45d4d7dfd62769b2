"""What `agent doctor` looks at."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wardian._version import __version__
from wardian.cli.model_choice import BUILT_IN, with_model
from wardian.errors import ConfigurationError, ExitCode, WardianError
from wardian.models.catalogue import TINY_PATH, resolve_model
from wardian.models.gguf_files import FILE_KINDS, check_gguf
from wardian.models.keys import find_key
from wardian.models.providers import LITELLM_PROVIDERS, LOCAL_SERVERS
from wardian.settings import Settings, load_settings, paths
from wardian_policies import Policy
from wardian_policies.errors import PolicyError
from wardian_sandbox import Finding, probe

FREE_BYTES = 1 << 30
LOCAL_NEEDS = ("llama_cpp", "llguidance", "numpy", "jinja2")
DECISIVE = "a box starts"
"""The sandbox's finding without which no call can run"""


class State(StrEnum):
    OK = "ok"
    INFO = "info"
    """no part of the main job"""
    WARN = "warn"
    """the main job works, something less does not"""
    FAIL = "fail"
    """the main job cannot work"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at."""

    name: str
    state: State
    detail: str
    remedy: str = ""
    exit_code: ExitCode = ExitCode.DONE
    """What `agent run` would end with; only where it fails"""

    def facts(self) -> dict[str, object]:
        return {
            "name": self.name,
            "state": self.state,
            "detail": self.detail,
            "remedy": self.remedy,
        }


def failing(name: str, error: WardianError | PolicyError, code: ExitCode) -> Check:
    return Check(
        name=name, state=State.FAIL, detail=error.cause, remedy=error.remedy, exit_code=code
    )


async def all_checks() -> list[Check]:
    """Everything, in the order shown."""
    sandbox = await sandbox_checks()
    return [*versions(), *sandbox, *model_checks(), *storage_checks(), *extras()]


async def sandbox_checks() -> list[Check]:
    """What the sandbox needs, and which one `auto` is."""
    return [sandbox_check(finding) for finding in await probe()]


def versions() -> Iterator[Check]:
    where = sys.executable
    python = f"{platform.python_version()} at {where}"
    yield Check(name="wardian", state=State.OK, detail=__version__)
    yield Check(name="python", state=State.OK, detail=python)


def sandbox_check(finding: Finding) -> Check:
    state = State.OK if finding.ok else State.WARN
    if finding.name == DECISIVE and not finding.ok:
        state = State.FAIL
    name = "sandbox" if finding.name == DECISIVE else finding.name
    code = ExitCode.SANDBOX if state is State.FAIL else ExitCode.DONE
    return Check(
        name=name, state=state, detail=finding.detail, remedy=finding.remedy, exit_code=code
    )


def model_checks() -> Iterator[Check]:
    """Settings, then the model they choose, then what the choice does not need."""
    try:
        settings = load_settings({}, os.environ, Path())
        Policy.load(settings.policy, folder=paths(os.environ).policies)
    except ConfigurationError as error:
        yield failing("settings", error, ExitCode.CONFIGURATION)
        return
    except PolicyError as error:
        yield failing("policy", error, ExitCode.CONFIGURATION)
        return
    yield Check(name="settings", state=State.OK, detail=str(paths(os.environ).config_file))
    yield chosen_model(settings)
    yield local_engine(is_needed=settings.model is None or is_local_file(settings.model))
    yield built_in_model()
    yield from keys()


def is_local_file(model: str) -> bool:
    return model == "tiny" or model.startswith(FILE_KINDS)


def chosen_model(settings: Settings) -> Check:
    name = with_model(settings, lambda _: None).model or BUILT_IN
    origin = settings.origin("model") if settings.model or name == BUILT_IN else "found here"
    try:
        resolve_model(name, base_url=settings.base_url, environ=os.environ)
    except WardianError as error:
        return failing("model", error, ExitCode.MODEL)
    return Check(name="model", state=State.OK, detail=f"{name} ({origin})")


def local_engine(*, is_needed: bool) -> Check:
    missing = [name for name in LOCAL_NEEDS if not importlib.util.find_spec(name)]
    if missing:
        return Check(
            name="local engine",
            state=State.FAIL if is_needed else State.INFO,
            detail=f"{' and '.join(missing)} not installed",
            remedy="pip install 'wardian[local]'" if is_needed else "",
            exit_code=ExitCode.MODEL,
        )
    version = importlib.metadata.version("llama-cpp-python")
    return Check(name="local engine", state=State.OK, detail=f"llama-cpp-python {version}")


def built_in_model() -> Check:
    try:
        check_gguf(TINY_PATH)
    except WardianError as error:
        return Check(
            name="built-in model", state=State.WARN, detail=error.cause, remedy=error.remedy
        )
    size = TINY_PATH.stat().st_size / 1e6
    return Check(name="built-in model", state=State.OK, detail=f"tiny, {size:.1f} MB")


def keys() -> Iterator[Check]:
    """Keys that are there, by name; what they are is not shown."""
    known = ("openai", *LOCAL_SERVERS, *sorted(LITELLM_PROVIDERS))
    sources = sorted({key.source for name in known if (key := find_key(name, os.environ))})
    yield Check(name="keys", state=State.INFO, detail=", ".join(sources) or "none set")


def storage_checks() -> Iterator[Check]:
    places = paths(os.environ)
    for name, folder in (("runs", places.runs), ("settings folder", places.config_file.parent)):
        yield writable(name, folder)
    held = existing(places.runs)
    free = shutil.disk_usage(held).free
    is_enough = free >= FREE_BYTES
    yield Check(
        name="free disk",
        state=State.OK if is_enough else State.WARN,
        detail=f"{free / 1e9:.1f} GB at {held}",
        remedy="" if is_enough else "Free some space: `agent runs rm`, or move WARDIAN_HOME.",
    )


def writable(name: str, folder: Path) -> Check:
    held = existing(folder)
    if held.is_dir() and os.access(held, os.W_OK | os.X_OK):
        return Check(name=name, state=State.OK, detail=str(folder))
    return Check(
        name=name,
        state=State.FAIL if name == "runs" else State.WARN,
        detail=f"{held} cannot be written",
        remedy="Make it writable, or set WARDIAN_HOME to a folder that is.",
        exit_code=ExitCode.STORAGE,
    )


def existing(path: Path) -> Path:
    """The path, or the nearest of its parents that is there."""
    return next((one for one in (path, *path.parents) if one.exists()), Path("/"))


def extras() -> Iterator[Check]:
    litellm = importlib.util.find_spec("litellm") is not None
    detail = "installed" if litellm else "not installed (for providers other than OpenAI's kind)"
    yield Check(name="litellm", state=State.INFO, detail=detail)
    web = importlib.util.find_spec("trafilatura") is not None
    detail = "installed" if web else "not installed (for web_fetch: pip install 'wardian[web]')"
    yield Check(name="trafilatura", state=State.INFO, detail=detail)
