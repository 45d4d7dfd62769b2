"""A model file and its adapters as the parent sees them: looked at, measured, named, not loaded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardian.errors import ModelUnavailable
from wardian.models.llamacpp.header import Header, HeaderDamaged, read_header
from wardian.models.llamacpp.identity import file_hash


@dataclass(slots=True)
class ModelFile:
    path: Path
    adapters: Sequence[tuple[Path, float]] = ()
    """LoRA files, each with its scale."""
    _header: Header | None = field(default=None, init=False)
    _hashes: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = field(
        default_factory=dict[Path, tuple[tuple[int, int], dict[str, Any]]], init=False
    )

    def header(self) -> Header:
        """Read once, after those of the adapters. Raises: ModelUnavailable."""
        if self._header is None:
            adapters = [(path, _checked(path, "adapter")) for path, _ in self.adapters]
            base = _checked(self.path, "model file")
            if base.values.get("general.type") == "adapter":
                raise ModelUnavailable(
                    f"{self.path} is a LoRA adapter, not a model.",
                    f"Name the model it was trained on: -m gguf:MODEL --adapter {self.path}.",
                )
            for path, adapter in adapters:
                _check_goes_with(path, adapter, self.path, base)
            self._header = base
        return self._header

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._files())

    def identity(self) -> dict[str, Any]:
        """Hashes of the file and its adapters."""
        named = dict(self._hash(self.path))
        if self.adapters:
            named["adapters"] = [
                {"path": str(path), "scale": scale, **self._hash(path)}
                for path, scale in self.adapters
            ]
        return named

    def sha256(self) -> str:
        """One hash for all that the replies depend on."""
        parts = [_only_hash(self._hash(self.path))]
        parts += [f"{_only_hash(self._hash(path))}*{scale}" for path, scale in self.adapters]
        return (
            parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()
        )

    def _files(self) -> list[Path]:
        return [self.path, *(path for path, _ in self.adapters)]

    def _hash(self, path: Path) -> dict[str, Any]:
        """Taken anew where the file has changed."""
        stat = path.stat()
        key = (stat.st_size, stat.st_mtime_ns)
        if path not in self._hashes or self._hashes[path][0] != key:
            self._hashes[path] = key, file_hash(path, stat.st_size)
        return self._hashes[path][1]


def _only_hash(named: dict[str, Any]) -> str:
    return str(named.get("sha256") or named["sha256_head_tail"])


def _check_goes_with(path: Path, adapter: Header, base_path: Path, base: Header) -> None:
    """Raises: ModelUnavailable. Of the same architecture but another size: found out at load."""
    if adapter.values.get("general.type") != "adapter":
        raise ModelUnavailable(
            f"{path} is no LoRA adapter but a model.", "Load it with: -m gguf:PATH."
        )
    if adapter.architecture != base.architecture:
        made_for = adapter.values.get("general.base_model.0.name") or adapter.architecture
        raise ModelUnavailable(
            f"The adapter {path} was made for {made_for} ({adapter.architecture})"
            f" and {base_path.name} is {base.architecture}.",
            "Name the model it was trained on.",
        )


def _checked(path: Path, what: str) -> Header:
    """The file's header. Raises: ModelUnavailable."""
    if path.is_dir():
        raise ModelUnavailable(
            f"The {what} {path} is a directory.", "Name the GGUF file inside it."
        )
    try:
        return read_header(path)
    except FileNotFoundError as e:
        raise ModelUnavailable(
            f"The {what} {path} does not exist.",
            "Check the path; `agent models list` shows what is here.",
        ) from e
    except OSError as e:
        raise ModelUnavailable(
            f"The {what} {path} cannot be read: {e.strerror}.", "Check its permissions."
        ) from e
    except HeaderDamaged as e:
        raise ModelUnavailable(f"The {what} {path} {e}.", "Download or build it again.") from e
