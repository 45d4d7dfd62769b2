"""The wheel of llama-cpp-python: found on the user's index, in the cache, or compiled here.

The project publishes source only, so the first installation compiles llama.cpp for this very
processor. The wheel is kept under the user's cache, keyed by everything that shaped it.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from progress import InstallFailed, run_logged

DISTRIBUTION = "llama-cpp-python"
SCRIPTS = Path(__file__).resolve().parent
INCLUDES = {
    "CMAKE_PROJECT_llama.cpp_INCLUDE": "llama_core.cmake",
    "CMAKE_PROJECT_ggml_INCLUDE": "ggml_kernels.cmake",
}
CMAKE_OPTIONS = ("-DLLAVA_BUILD=OFF", "-DGGML_OPENMP=OFF", "-DGGML_CCACHE=OFF")
"""Text models on the processor; threads of ggml's own, so that no libgomp is needed."""
BUILD_BYTES = 1_500_000_000
"""Free space a build needs in the temporary folder."""
JOB_BYTES = 700_000_000
"""Memory one compiler process may take; 460 MB were measured."""


def cache_folder() -> Path:
    """Where built wheels are kept, below the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "wardian" / "wheels"


def processor_flags() -> str:
    """The instruction sets the compiler may use here: ggml is built with -march=native."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return " ".join(sorted(value.split()))
    return platform.processor()


def cache_key(version: str) -> str:
    """Same key, same wheel: version, options, processor, C library and distribution."""
    parts = [
        version,
        *CMAKE_OPTIONS,
        *((SCRIPTS / name).read_text(encoding="utf-8") for name in INCLUDES.values()),
        os.environ.get("CMAKE_ARGS", ""),
        platform.machine(),
        processor_flags(),
        *platform.libc_ver(),
        *distribution(),
    ]
    return f"{version}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def distribution() -> tuple[str, str]:
    """The system's name and release: its compiler and C++ library shape the wheel."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "", ""
    return release["ID"], release.get("VERSION_ID", "")


def build_environment() -> dict[str, str]:
    """The environment of the build: our options, then the user's own CMAKE_ARGS."""
    options = [*CMAKE_OPTIONS, *(f"-D{name}={SCRIPTS / file}" for name, file in INCLUDES.items())]
    own = os.environ.get("CMAKE_ARGS", "")
    jobs = max(1, min(os.cpu_count() or 1, total_memory() // JOB_BYTES))
    return {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
        **os.environ,
        "CMAKE_ARGS": f"{shlex.join(options)} {own}".strip(),
    }


def total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def find(folder: Path) -> Path | None:
    """The wheel in `folder`, if there is one."""
    return next(iter(sorted(folder.glob("llama_cpp_python-*.whl"))), None)


def prebuilt(python: Path, version: str, folder: Path) -> Path | None:
    """A ready wheel from the indexes the user has configured, unless own options are asked for."""
    if os.environ.get("CMAKE_ARGS"):
        return None
    pip = [str(python), "-m", "pip", "download", "--quiet", "--no-deps"]
    chosen = ["--only-binary", ":all:", "--dest", str(folder), f"{DISTRIBUTION}=={version}"]
    subprocess.run([*pip, *chosen], capture_output=True, check=False)
    return find(folder)


def build(python: Path, version: str, folder: Path, log: Path) -> Path:
    """Compile the wheel into `folder`. Raises: InstallFailed."""
    temporary = Path(tempfile.gettempdir())
    if shutil.disk_usage(temporary).free < BUILD_BYTES:
        raise InstallFailed(
            f"{temporary} has less than {BUILD_BYTES / 1e9:.1f} GB free.",
            "Free some space, or set TMPDIR to a folder with more.",
        )
    # pip's own cache of built wheels does not know of CMAKE_ARGS, so it is not used here.
    pip = [str(python), "-m", "pip", "wheel", "-v", "--no-deps", "--no-cache-dir"]
    chosen = ["--no-binary", DISTRIBUTION, "--wheel-dir", str(folder), f"{DISTRIBUTION}=={version}"]
    run_logged([*pip, *chosen], log, environment=build_environment())
    wheel = find(folder)
    if wheel is None:
        raise InstallFailed("The build ended without a wheel.", f"Read {log}.")
    return wheel


def obtain(python: Path, version: str, log: Path) -> Path:
    """Path of a wheel that works here: cached, ready-made, or compiled now and then cached."""
    folder = cache_folder() / cache_key(version)
    if cached := find(folder):
        print(f"      compiled before: {folder}", file=sys.stderr)
        return cached
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as scratch:
        wheel = prebuilt(python, version, Path(scratch))
        if wheel is None:
            print(
                f"      no ready-made wheel for this machine: compiling llama.cpp once (about 4\n"
                f"      minutes on two cores); the result is kept in {folder}",
                file=sys.stderr,
            )
            wheel = build(python, version, Path(scratch), log)
        # Renamed into place whole, so that an interrupted build leaves no half a wheel.
        return wheel.rename(folder / wheel.name)
