"""GGUF files on this machine: where programs keep them, and whether one can be a model.

Reads names and four bytes; what a file holds is looked at by the process that loads it.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardian.errors import ModelUnavailable

MAGIC = b"GGUF"
FILE_KINDS = ("local:", "gguf:", "hf:")
"""Spellings of models that are files here; `tiny` is one too."""
SEARCH_DEPTH = 5
SEARCH_ENTRIES = 20_000
"""A folder of models is not larger; a home folder linked by mistake is not walked to its end."""

_QUANT = re.compile(r"(?i)(?:^|[-._])((?:i?q\d\w*)|mxfp4\w*|bf16|f16|f32)(?:[-.]|$)")
_LATER_SPLIT = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFile:
    path: Path
    size_bytes: int
    repo: str = ""
    """`OWNER/NAME` for a file in the Hugging Face cache"""

    @property
    def quant(self) -> str:
        """`Q4_K_M`, as the file's name says it; "" when it does not."""
        found = _QUANT.search(self.path.name.removesuffix(".gguf") + ".")
        return found[1].upper() if found else ""

    @property
    def spelling(self) -> str:
        return f"hf:{self.repo}:{self.quant}" if self.repo and self.quant else f"gguf:{self.path}"


def hugging_face_cache(environ: Mapping[str, str]) -> Path:
    """Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables"""
    if environ.get("HF_HUB_CACHE"):
        return Path(environ["HF_HUB_CACHE"]).expanduser()
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub"
    return _cache_home(environ) / "huggingface" / "hub"


def model_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where the programs of this field keep GGUF files, and where people do."""
    home = _home(environ)
    llama_cache = environ.get("LLAMA_CACHE")
    return (
        hugging_face_cache(environ),
        Path(llama_cache) if llama_cache else _cache_home(environ) / "llama.cpp",
        home / ".lmstudio" / "models",
        home / ".cache" / "lm-studio" / "models",
        home / "models",
    )


def find_gguf_files(folders: Sequence[Path]) -> list[GgufFile]:
    """Loadable files below the folders, by path; parts after the first and projectors left out."""
    found: dict[Path, GgufFile] = {}
    for folder in folders:
        for path in _walk(folder):
            if _LATER_SPLIT.search(path.name) or path.name.lower().startswith("mmproj"):
                continue
            try:
                size_bytes = path.stat().st_size
            except OSError:
                continue  # a link whose target is gone
            if size_bytes:
                found[path] = GgufFile(path=path, size_bytes=size_bytes, repo=_repo_of(path))
    return [found[path] for path in sorted(found)]


def find_in_hugging_face_cache(
    repo: str, quant: str, environ: Mapping[str, str]
) -> GgufFile | None:
    """The file of `repo` in this quantisation, or any when `quant` is empty; newest first."""
    folder = hugging_face_cache(environ) / f"models--{repo.replace('/', '--')}"
    held = [f for f in find_gguf_files([folder]) if quant.upper() in ("", f.quant)]
    return max(held, key=lambda f: f.path.stat().st_mtime, default=None)


def check_gguf(path: Path) -> None:
    """Raises: ModelUnavailable, when the file cannot be a GGUF model at all."""
    problem, remedy = _problem(path)
    if problem:
        raise ModelUnavailable(f"The model file {path} {problem}.", remedy)


def _problem(path: Path) -> tuple[str, str]:
    again = "Download or copy it again."
    try:
        if not path.exists():
            return "does not exist", "Check the path; `agent models list` shows what is here."
        if path.is_dir():
            return "is a folder", "Name the .gguf file inside it."
        if not path.is_file():
            return "is not a regular file", "Name a .gguf file."
        with path.open("rb") as file:
            head = file.read(4)
    except PermissionError:
        return "may not be read", f"Allow it: chmod u+r {path}"
    except (OSError, ValueError) as e:
        return f"cannot be read ({e})", "Check the path and the disk."
    if not head:
        return "is empty (0 bytes)", again
    if head != MAGIC:
        kind = " (it is a Git LFS pointer)" if head == b"vers" else ""
        return f"is no GGUF file: it does not begin with GGUF{kind}", again
    return "", ""


def _walk(folder: Path) -> Iterator[Path]:
    """Files ending in .gguf, a bounded number of entries deep and wide."""
    seen = 0
    base = len(folder.parts)
    for where, subfolders, names in os.walk(folder):
        subfolders.sort()
        if len(Path(where).parts) - base >= SEARCH_DEPTH:
            subfolders.clear()
        seen += len(names) + 1
        if seen > SEARCH_ENTRIES:
            return
        yield from (Path(where, name) for name in names if name.lower().endswith(".gguf"))


def _repo_of(path: Path) -> str:
    """`OWNER/NAME` where the path runs through `models--OWNER--NAME/snapshots`."""
    named = next((p for p in path.parts if p.startswith("models--")), "")
    return named.removeprefix("models--").replace("--", "/", 1)


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()


def _cache_home(environ: Mapping[str, str]) -> Path:
    xdg = environ.get("XDG_CACHE_HOME")
    return Path(xdg) if xdg else _home(environ) / ".cache"
