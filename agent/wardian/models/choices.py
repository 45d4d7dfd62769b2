"""Which model is in service: the user's choice, the choices before it, and the way back.

The choice is three settings of the user's file, replaced together in one step: whatever happens,
the file names the old model or the new one. Before it changes, the change and the reason for it
are kept in a log; one that was never carried out is recognised by the settings not being so.
"""

import fcntl
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.models.gguf_files import FILE_KINDS
from wardian.settings.edit import config_change, config_values
from wardian.settings.places import make_folder

LOG_FILE = "choices.jsonl"
"""In the folder of models"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the user's settings say of the model; None where they say nothing."""

    model: str | None = None
    base_url: str | None = None
    adapter: str | None = None

    def __str__(self) -> str:
        if self.model is None:
            return "no model of choice"
        return self.model + (f" with {self.adapter}" if self.adapter else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the log."""

    how: str
    """`use`, `promote` or `rollback`"""
    at: str
    """UTC, ISO 8601"""
    before: Choice
    after: Choice
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Why: of a promotion, the evaluations and what they showed"""


class Choices:
    """The model in service, in one settings file, with the log beside the models."""

    def __init__(self, config_file: Path, models: Path) -> None:
        self._config = config_file
        self._log = models / LOG_FILE

    def now(self) -> Choice:
        """Raises: ConfigurationError for a settings file that is damaged."""
        values = config_values(self._config)
        return Choice(**{key: values.get(key) for key in Choice.__slots__})

    def history(self) -> list[Change]:
        """Changes that were carried out, the oldest first."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as e:
            raise StorageError(
                f"The log of chosen models cannot be read ({e.strerror}).",
                f"Check the permissions of {self._log}.",
            ) from e
        read = [change for line in lines if (change := _change(line)) is not None]
        following = [change.before for change in read[1:]] + [self.now()]
        return [
            change
            for change, then in zip(read, following, strict=True)
            # What a kill kept from being done left the choice as it was; one that was done and
            # then changed by hand leaves a third.
            if change.after == then or change.before != then
        ]

    def former(self) -> Choice | None:
        """What a rollback would restore; None where no choice came before."""
        done = self.history()
        if done and done[-1].after != self.now():
            return done[-1].after  # changed by hand since
        way: list[Choice] = []
        for change in done:
            if change.how != "rollback":
                way.append(change.before)
            elif way and way[-1] == change.after:
                way.pop()
        return way[-1] if way else None

    def use(
        self, model: str, how: str = "use", evidence: Mapping[str, Any] | None = None
    ) -> Change:
        """Put a model in service; the adapter of the one before, and for a file a server's address,
        go out of force with it.

        Raises: ConfigurationError, StorageError; the old choice stands then.
        """
        with self._alone():
            now = self.now()
            is_file = model == "tiny" or model.startswith(FILE_KINDS)
            after = Choice(model=model, base_url=None if is_file else now.base_url)
            return self._to(now if model == now.model else after, how, evidence or {})

    def roll_back(self) -> Change:
        """Restore the choice before. Raises: ConfigurationError, StorageError."""
        with self._alone():
            former = self.former()
            if former is None:
                raise ConfigurationError(
                    "There is no former choice to go back to.",
                    "Choose a model with: agent models use MODEL",
                )
            return self._to(former, "rollback", {})

    def _to(self, after: Choice, how: str, evidence: Mapping[str, Any]) -> Change:
        change = Change(
            how=how,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            before=self.now(),
            after=after,
            evidence=evidence,
        )
        if change.before != after:
            self._append(change)
            config_change(self._config, asdict(after))
        return change

    def _append(self, change: Change) -> None:
        """Raises: StorageError."""
        line = json.dumps(asdict(change), ensure_ascii=False) + "\n"
        try:
            with self._log.open("a+b") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                torn = file.read(1) not in (b"", b"\n")
                file.write(b"\n" * torn + line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as e:
            raise StorageError(
                f"The choice cannot be kept ({e.strerror}), so nothing was changed.",
                f"Check the space and the permissions of {self._log}.",
            ) from e

    @contextmanager
    def _alone(self) -> Generator[None]:
        """While no other process changes the choice."""
        make_folder(self._log.parent)
        with self._log.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _change(line: str) -> Change | None:
    """None for a line that a kill or a full disk cut short."""
    try:
        value = cast("dict[str, Any]", json.loads(line))
        before, after = Choice(**value.pop("before")), Choice(**value.pop("after"))
        return Change(before=before, after=after, **value)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
