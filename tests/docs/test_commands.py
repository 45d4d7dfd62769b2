"""Every `console` and `python` block of the documentation runs and gives what it shows.

A block follows the one before it in the same document, in the same folder. `…` in shown output
stands for anything. A block that cannot be run says why: `<!-- not run: reason -->` before it.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<kind>console|python)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Command:
    """One `$ …` line with what the document shows below it."""

    line: int
    text: str
    shown: str


@dataclass(frozen=True, kw_only=True)
class Block:
    line: int
    kind: str
    body: str
    reason: str | None
    """Why it is not run."""


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            line=text.count("\n", 0, found.start("body")) + 1,
            kind=found["kind"],
            body=found["body"],
            reason=found["reason"],
        )
        for found in BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """The block's commands; a here-document and lines ending in a backslash belong to theirs."""
    found: list[Command] = []
    for offset, line in enumerate(block.body.splitlines()):
        if line.startswith("$ "):
            found.append(Command(line=block.line + offset, text=line[2:], shown=""))
            continue
        assert found, f"line {block.line + offset}: output before any command"
        last = found[-1]
        if line == ">" or line.startswith("> "):
            text = f"{last.text}\n{line[2:]}"
            found[-1] = Command(line=last.line, text=text, shown=last.shown)
        else:
            found[-1] = Command(line=last.line, text=last.text, shown=f"{last.shown}{line}\n")
    return found


def matches(shown: str, printed: str) -> bool:
    pieces = (re.escape(piece) for piece in shown.strip().split("…"))
    return re.fullmatch(".*?".join(pieces), printed.strip(), re.DOTALL) is not None


def run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and stdout with stderr, as on a reader's screen."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout


RUNNABLE = [d for d in DOCUMENTS if any(b.reason is None for b in blocks(d))]


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda d: str(d.relative_to(ROOT)))
def test_each_block_runs_and_gives_what_the_document_shows(
    document: Path, reader: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for block in (b for b in blocks(document) if b.reason is None):
        if block.kind == "python":
            code, printed = run([sys.executable, "-P", "-c", block.body], folder, reader)
            assert code == 0, f"{document.name}:{block.line}\n{printed}"
            continue
        for command in commands(block):
            code, printed = run(["bash", "-c", command.text], folder, reader)
            place = f"{document.name}:{command.line}: {command.text}\n{printed}"
            expected = re.search(r"# exit (\d+)$", command.text)
            assert code == int(expected[1] if expected else 0), place
            assert not command.shown or matches(command.shown, printed), place


def test_the_readme_has_commands_that_run() -> None:
    found = blocks(ROOT / "README.md")
    assert any(b.kind == "console" and b.reason is None for b in found)
    assert any(b.kind == "python" and b.reason is None for b in found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_each_link_to_a_file_of_the_repository_leads_to_one(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text("utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing
