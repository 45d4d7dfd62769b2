"""GGUF files from the Hugging Face hub, into the cache that its own tools use.

A name is resolved to a commit first and everything is fetched at that commit, so that what was
looked at is what comes. The hub's client resumes a download that broke off. Afterwards the file's
SHA-256 is compared with the one the hub keeps for it. huggingface_hub is imported where used.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wardian.errors import ModelError, ModelRefused, ModelUnavailable
from wardian.models.gguf_files import GgufFile, check_gguf, hugging_face_cache

QUANT_ORDER = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "MXFP4", "Q6_K", "Q8_0", "Q4_0", "IQ4_XS", "Q3_K_M")
"""Taken where none is named: the usual compromise first."""
SPARE_BYTES = 512 * 1024 * 1024
"""Left free on the disk."""
MAX_FOUND = 20
SEARCH = "the search"
_CHUNK_BYTES = 4 * 1024 * 1024
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_TELL = "HF_HUB_DISABLE_TELEMETRY"

Seen = Callable[[str], None]
"""Takes a sentence on what is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """One repository with GGUF files."""

    repo: str
    downloads: int
    is_gated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file at one commit."""

    repo: str
    commit: str
    name: str
    size_bytes: int
    sha256: str | None
    """None where the hub does not say"""


class Hub:
    """The hub at `HF_ENDPOINT`, with `HF_TOKEN` where one is set."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Raises: ModelUnavailable, where huggingface_hub is not installed."""
        self._environ = os.environ if environ is None else environ
        if find_spec("huggingface_hub") is None:
            raise ModelUnavailable(
                "huggingface_hub, which downloads models, is not installed.",
                "Install it with: pip install 'wardian[local]'.",
            )
        os.environ.setdefault(_TELL, "1")
        import huggingface_hub

        self._hub: Any = huggingface_hub  # its own types are partly unknown
        self._endpoint = self._environ.get("HF_ENDPOINT") or None
        self._token = self._environ.get("HF_TOKEN") or None
        self._api = huggingface_hub.HfApi(endpoint=self._endpoint, token=self._token)
        self.cache = hugging_face_cache(self._environ)

    def search(self, words: str) -> list[HubModel]:
        """Repositories that hold GGUF files, the most downloaded first. Raises: ModelError."""
        try:
            listed = list(
                self._api.list_models(
                    search=words, filter="gguf", sort="downloads", limit=MAX_FOUND
                )
            )
        except Exception as e:  # the client raises its own, its transport's, and ValueError
            raise self._failure(e, SEARCH) from e
        return [
            HubModel(
                repo=m.id, downloads=m.downloads or 0, is_gated=bool(getattr(m, "gated", False))
            )
            for m in listed
        ]

    def files(self, repo: str, quant: str = "", revision: str = "") -> list[HubFile]:
        """The file in that quantisation, in order of its parts. Raises: ModelError."""
        try:
            info = self._api.model_info(repo, revision=revision or None, files_metadata=True)
        except Exception as e:
            raise self._failure(e, repo) from e
        held = [self._file(repo, str(info.sha), sibling) for sibling in info.siblings or []]
        return _chosen([f for f in held if f is not None], repo, quant)

    def _file(self, repo: str, commit: str, sibling: Any) -> HubFile | None:
        name = str(sibling.rfilename)
        if not name.lower().endswith(".gguf") or Path(name).name.lower().startswith("mmproj"):
            return None
        lfs: Any = sibling.lfs  # an object of the client's, in some versions a mapping too
        sha256 = getattr(lfs, "sha256", None)
        return HubFile(
            repo=repo, commit=commit, name=name, size_bytes=int(sibling.size or 0), sha256=sha256
        )

    def pull(self, files: Sequence[HubFile], seen: Seen) -> Path:
        """Download what is missing and check it; the path of the first part. Raises: ModelError.

        The hub's client shows a bar on stderr where that is a terminal.
        """
        self._check_disk(files)
        paths: list[Path] = []
        for file in files:
            try:
                got = self._hub.hf_hub_download(
                    file.repo,
                    file.name,
                    revision=file.commit,
                    cache_dir=self.cache,
                    token=self._token,
                    endpoint=self._endpoint,
                )
            except Exception as e:
                raise self._failure(e, f"{file.repo}/{file.name}") from e
            seen(f"checking {Path(file.name).name}")
            self._check_content(Path(got), file)
            paths.append(Path(got))
        check_gguf(paths[0])
        return paths[0]

    def _check_disk(self, files: Sequence[HubFile]) -> None:
        missing = sum(f.size_bytes for f in files if not self._is_here(f))
        folder = next(p for p in (self.cache, *self.cache.parents) if p.exists())
        free = shutil.disk_usage(folder).free
        if missing and missing + SPARE_BYTES > free:
            raise ModelUnavailable(
                f"The model needs {missing / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB.",
                "Free some space, choose a smaller quantisation, or set HF_HUB_CACHE elsewhere.",
            )

    def _is_here(self, file: HubFile) -> bool:
        found = self._hub.try_to_load_from_cache(
            file.repo, file.name, cache_dir=self.cache, revision=file.commit
        )
        return isinstance(found, str)

    def _check_content(self, path: Path, file: HubFile) -> None:
        if file.sha256 is None or sha256_of(path) == file.sha256:
            return
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        raise ModelUnavailable(
            f"{file.name} came damaged: its SHA-256 is not the one the hub has for it.",
            "It was removed again. Pull it once more.",
        )

    def _failure(self, error: Exception, what: str) -> ModelError:
        if isinstance(error, ModelError):
            return error
        kind = type(error).__name__
        if kind == "GatedRepoError":
            return ModelRefused(
                f"{what} asks for an agreement to its licence.",
                "Accept it on the model's page, and set HF_TOKEN to a token of that account.",
            )
        if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError"):
            return ModelUnavailable(
                f"The hub has no {what}, or does not show it without a token.",
                "Look for it with: agent models search WORDS.",
            )
        said = " ".join(str(error).split())[:300]
        remedy = "Check the connection and HF_ENDPOINT."
        more = (
            "`agent models search` without words names some models without asking the hub."
            if what == SEARCH
            else "A pull goes on where it broke off."
        )
        return ModelUnavailable(
            f"The hub could not give {what}: {said or kind}.", f"{remedy} {more}"
        )


def _chosen(files: Sequence[HubFile], repo: str, quant: str) -> list[HubFile]:
    """All parts of the file in the quantisation, or of the usual one. Raises: ModelUnavailable."""
    by_quant: dict[str, list[HubFile]] = {}
    for file in files:
        found = GgufFile(path=Path(_PART.sub(".gguf", file.name)), size_bytes=0).quant
        by_quant.setdefault(found, []).append(file)
    order = [quant.upper()] if quant else [*QUANT_ORDER, *sorted(by_quant)]
    wanted = next((by_quant[q] for q in order if q in by_quant), None)
    if wanted is None:
        has = ", ".join(sorted(q for q in by_quant if q)) or "no GGUF files"
        raise ModelUnavailable(
            f"{repo} has no GGUF file{f' in {quant}' if quant else ''}; it has {has}.",
            "Name one of those: agent models pull hf:OWNER/NAME:QUANT.",
        )
    parts = sorted((f for f in wanted if _PART.search(f.name)), key=lambda f: f.name)
    return parts or sorted(wanted, key=lambda f: (len(f.name), f.name))[:1]


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def remove_cached(file: GgufFile, environ: Mapping[str, str]) -> int:
    """Delete one file of the hub's cache, and the blob behind it where nothing else points there.

    How many bytes that freed.
    """
    folder = hugging_face_cache(environ) / f"models--{file.repo.replace('/', '--')}"
    blob = file.path.resolve()
    file.path.unlink()
    snapshots = (p for p in (folder / "snapshots").rglob("*") if p.is_symlink())
    if any(p.resolve() == blob for p in snapshots):
        return 0
    size = blob.stat().st_size if blob.exists() else file.size_bytes
    blob.unlink(missing_ok=True)
    return size
