"""`agent sandbox`: what this machine can enforce, images for containers, a box by hand."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli import checks
from wardian.cli.doctor import report
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json
from wardian.cli.run_options import Copy, PolicyName, SandboxName, Workspace
from wardian.cli.sandbox_shell import converse, open_box
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian_sandbox.leftovers import clear
from wardian_sandbox.making import Built, make_image

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ImageName = Annotated[str, typer.Option("--image", metavar="NAME", help="Under which name.")]


def register(app: typer.Typer) -> None:
    group = group_of("Look after where calls run.")
    group.command("doctor", epilog="Example: agent sandbox doctor")(doctor)
    group.command("build", epilog="Example: agent sandbox build --package python3-scipy")(build)
    group.command("shell", epilog="Example: agent sandbox shell --sandbox docker")(shell)
    group.command("gc", epilog="Example: agent sandbox gc")(gc)
    app.add_typer(group, name="sandbox")


def doctor(*, as_json: AsJson = False) -> int:
    """Check which sandboxes this machine can enforce; each is really started."""
    return report(asyncio.run(checks.sandbox_checks()), as_json=as_json)


def build(
    *,
    dockerfile: Annotated[
        Path | None,
        typer.Option("-f", "--file", metavar="DOCKERFILE", help="Build from this one."),
    ] = None,
    minimal: Annotated[
        bool, typer.Option("--minimal", help="Python and ripgrep only, without numpy and the like.")
    ] = False,
    package: Annotated[
        list[str] | None,
        typer.Option("-p", "--package", metavar="NAME", help="A Debian package more. Repeatable."),
    ] = None,
    image: ImageName = "",
    as_json: AsJson = False,
) -> int:
    """Make the image that --sandbox docker and gvisor run, and see whether they hold with it.

    Without --file it has Python with numpy, pandas and matplotlib, ripgrep and git: from a
    registry if one can be reached, else of Debian packages.
    """
    built = asyncio.run(
        make_image(image, dockerfile, minimal=minimal, more=tuple(package or ()), say=say)
    )
    show(built, as_json=as_json)
    return ExitCode.DONE


def say(line: str) -> None:
    write(sys.stderr, visible(line).rstrip("\n") + "\n")
    sys.stderr.flush()


def show(built: Built, *, as_json: bool) -> None:
    image = built.image
    problems = {name: problem.cause for name, problem in built.problems.items()}
    if as_json:
        print_json(
            {
                "v": 1,
                "image": image.name,
                "digest": image.digest,
                "source": image.source,
                "packages": list(image.packages),
                "backends": list(image.backends),
                "problems": problems,
                "recorded": str(built.record),
            }
        )
        return
    for name, cause in problems.items():
        say(f"{name} cannot be used with it: {cause}")
    usable = ", ".join(f"--sandbox {name}" for name in image.backends)
    write(sys.stdout, visible(f"{image.name} {image.digest}\n"))
    say(f"Recorded in {built.record}; usable with {usable}.")


def shell(
    *,
    sandbox: SandboxName = None,
    image: Annotated[
        str, typer.Option("--image", metavar="NAME", help="The image of a container.")
    ] = "",
    policy: PolicyName = None,
    workspace: Workspace = Path(),
    copy: Copy = False,
    bash: Annotated[bool, typer.Option("--bash", help="Lines are shell commands.")] = False,
) -> int:
    """Open a box and run what is typed, or piped in, line by line.

    Lines are Python, those that begin with `!` shell commands. Ctrl-C ends a call, Ctrl-D the box.
    """
    with asyncio.Runner() as runner:
        box = open_box(runner, sandbox, image, policy, workspace, copy=copy)
        return converse(runner, *box, bash=bash)


def gc(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what belongs to runs that go on.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Remove what runs that died left behind: containers, replaced images, copies of workspaces."""
    cleared = asyncio.run(clear(everything=everything))
    if as_json:
        print_json(
            {
                "v": 1,
                "containers": list(cleared.containers),
                "image_bytes": cleared.image_bytes,
                "folders": [str(folder) for folder in cleared.folders],
                "problem": cleared.problem,
            }
        )
        return ExitCode.DONE
    if cleared.problem:
        say(f"Docker was not looked at: {cleared.problem}")
    for name in cleared.containers:
        write(sys.stdout, visible(f"container {name}\n"))
    for folder in cleared.folders:
        write(sys.stdout, visible(f"folder {folder}\n"))
    say(
        f"{len(cleared.containers)} containers, {len(cleared.folders)} folders, "
        f"{cleared.image_bytes / 1e6:.0f} MB of images removed."
    )
    return ExitCode.DONE
