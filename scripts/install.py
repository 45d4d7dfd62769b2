"""Installs Wardian into .venv: system packages, environment, local engine, libraries.

Every step looks first and does only what is missing; when nothing changed since the last time,
the whole takes a fraction of a second. Needs Python's standard library only.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import llama_wheel
import system_packages
from progress import InstallFailed, duration, run_logged

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / ".installed"
LOG = ROOT / "build" / "install.log"
SOURCES = ("agent", "policies", "tools", "sandbox")
INSTALL_BYTES = 2_000_000_000
"""Free space wanted where .venv is."""
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> int:
    arguments = parse_arguments()
    extras = sorted(set(arguments.extras.split(",")))
    if is_current(extras, editable=arguments.editable):
        return 0
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    started = time.monotonic()
    try:
        install(extras, editable=arguments.editable)
    except InstallFailed as e:
        print(f"error: {e.cause} {e.remedy}", file=sys.stderr)
        if e.log:
            print(f"The whole log: {e.log}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nStopped. Run it again to go on where it left off.", file=sys.stderr)
        return 130
    except OSError as e:
        print(f"error: {e}. Free or permit that, then run it again.", file=sys.stderr)
        return 3
    write_stamp(extras, editable=arguments.editable)
    print(f"Installed in {duration(time.monotonic() - started)}.", file=sys.stderr)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Install Wardian into .venv.")
    parser.add_argument("--extras", default="local", help="comma-separated, as in pyproject.toml")
    parser.add_argument(
        "--editable", action="store_true", help="import from the source tree, not from a wheel"
    )
    return parser.parse_args()


def install(extras: list[str], *, editable: bool) -> None:
    """All steps in order. Raises: InstallFailed."""
    steps: list[tuple[str, Callable[[], None]]] = [
        ("System packages", lambda: system_packages.install(LOG)),
        (f"Python {sys.version_info[0]}.{sys.version_info[1]} environment in .venv", create_venv),
    ]
    if "local" in extras:
        steps.append(("Local engine: llama.cpp", install_engine))
    if "train" in extras:
        steps.append(("PyTorch for training on the processor", install_torch))
    steps.append((f"Wardian with {', '.join(extras)}", lambda: install_project(extras, editable)))
    free = shutil.disk_usage(ROOT).free
    if free < INSTALL_BYTES:
        raise InstallFailed(
            f"Only {free / 1e9:.1f} GB are free where {ROOT} lies.",
            f"Free {INSTALL_BYTES / 1e9:.0f} GB, then run it again.",
        )
    for number, (title, step) in enumerate(steps, start=1):
        with timed(f"[{number}/{len(steps)}] {title}"):
            step()


@contextmanager
def timed(title: str) -> Generator[None]:
    print(title, file=sys.stderr, flush=True)
    started = time.monotonic()
    yield
    print(f"      done in {duration(time.monotonic() - started)}", file=sys.stderr, flush=True)


def is_current(extras: list[str], *, editable: bool) -> bool:
    """True when these extras, or more, were installed from the same files as there are now."""
    accepted = {fingerprint(editable=True)}
    if not editable:
        accepted.add(fingerprint(editable=False))
    return (
        any(
            set(extras) <= set(stamp.name.split(","))
            and stamp.read_text(encoding="utf-8") in accepted
            for stamp in STAMPS.glob("*")
        )
        and (VENV / "bin" / "agent").exists()
        and not system_packages.missing()
    )


def write_stamp(extras: list[str], *, editable: bool) -> None:
    """Note what is installed; notes about files that have changed since are dropped."""
    now = fingerprint(editable=editable)
    STAMPS.mkdir(exist_ok=True)
    for stamp in STAMPS.iterdir():
        if stamp.read_text(encoding="utf-8") != now:
            stamp.unlink()
    (STAMPS / ",".join(extras)).write_text(now, encoding="utf-8")


def fingerprint(*, editable: bool) -> str:
    """Hash of what was asked for and, unless imported in place, of the sources."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {editable}".encode())
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    if not editable:
        files += [f for folder in SOURCES for f in sorted((ROOT / folder).rglob("*"))]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(ROOT)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def create_venv() -> None:
    if PYTHON.exists() and venv_version() == sys.version_info[:2]:
        print("      already there", file=sys.stderr)
        return
    run_logged([sys.executable, "-m", "venv", "--clear", str(VENV)], LOG)


def venv_version() -> tuple[int, ...]:
    """Major and minor version of .venv's Python; empty when it does not run any more."""
    command = [str(PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(map(int, answer.stdout.split()))


def pip_install(*arguments: str) -> None:
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    run_logged([str(PYTHON), "-m", "pip", "install", *constraints, *arguments], LOG)


def pinned(name: str) -> str:
    """The version of a distribution in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(rf"(?mi)^{re.escape(name)}==(\S+)$", text)
    assert found is not None, f"constraints.txt pins {name}"
    return found[1]


def is_installed(name: str, version: str) -> bool:
    """True for the same version, whatever local label (`+cpu`) it carries."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    answer = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip().split("+")[0] == version


def install_engine() -> None:
    version = pinned(llama_wheel.DISTRIBUTION)
    if is_installed(llama_wheel.DISTRIBUTION, version) and not os.environ.get("CMAKE_ARGS"):
        print("      already there", file=sys.stderr)
        return
    wheel = llama_wheel.obtain(PYTHON, version, LOG)
    pip_install("--force-reinstall", "--no-deps", str(wheel))


def install_torch() -> None:
    """A processor-only build where one can be had: the usual one brings gigabytes of CUDA."""
    version = pinned("torch")
    if is_installed("torch", version):
        print("      already there", file=sys.stderr)
        return
    attempts = (
        [f"torch=={version}+cpu"],
        [f"torch=={version}+cpu", "--extra-index-url", TORCH_CPU_INDEX, "--retries", "1"],
        [f"torch=={version}"],
    )
    for attempt in attempts[:-1]:
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", *attempt]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
    pip_install(*attempts[-1])


def install_project(extras: list[str], editable: bool) -> None:
    """The dependencies as pinned, then the project itself, replaced whatever its version."""
    chosen = ",".join(extras)
    if editable:
        pip_install("--editable", f"{ROOT}[{chosen}]")
        return
    wheels = ROOT / "build" / "install"
    shutil.rmtree(wheels, ignore_errors=True)
    build = [str(PYTHON), "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    run_logged(build, LOG)
    wheel = next(wheels.glob("wardian-*.whl"))
    pip_install(f"wardian[{chosen}] @ {wheel.as_uri()}")
    pip_install("--force-reinstall", "--no-deps", str(wheel))


if __name__ == "__main__":
    sys.exit(main())
