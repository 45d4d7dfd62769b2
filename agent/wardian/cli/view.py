"""What a person or a program gets to see of a run, from its start to its last line."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wardian.answers import unfenced
from wardian.cli.closing import change_lines, closing_lines, failure
from wardian.cli.complaint import complain
from wardian.cli.json_lines import error_fields, result_line
from wardian.cli.outcome import Outcome
from wardian.cli.render import JsonRenderer, PlainRenderer, QuietRenderer, Renderer
from wardian.cli.render_live import LiveRenderer
from wardian.cli.sanitise import visible
from wardian.cli.terminal import stdout_is_stderr, terminal, write
from wardian.errors import StorageError


class View:
    """Chooses how to show a run; prints the answer and the closing line."""

    def __init__(
        self, *, as_json: bool, quiet: bool, plain: bool, answer_file: Path | None
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.answer_file = answer_file
        self.answers_json = False
        """The answer was checked to be JSON of a schema"""
        self.screen = terminal(sys.stderr, plain=plain)
        self.renderer = self._renderer()

    def _renderer(self) -> Renderer:
        if self.as_json:
            return JsonRenderer()
        if self.quiet:
            return QuietRenderer()
        return LiveRenderer(self.screen) if self.screen.is_tty else PlainRenderer(self.screen)

    def notices(self, notices: Sequence[str]) -> None:
        if not self.quiet:
            for notice in notices:
                write(sys.stderr, f"agent: {visible(notice)}\n")

    def conclude(self, outcome: Outcome) -> None:
        """Print what the run came to. Raises: StorageError when the answer cannot be kept."""
        cause, remedy = failure(outcome)
        answer = unfenced(outcome.answer) if self.answers_json else outcome.answer
        if self.as_json:
            error = error_fields(outcome.stop, cause, remedy) if cause else None
            value = json.loads(answer) if self.answers_json and outcome.is_done else None
            write(sys.stdout, result_line(outcome, error, value=value) + "\n")
        elif outcome.is_done:
            self._print_answer(answer)
        if cause:
            complain(cause, remedy)
        self.close(outcome)
        if self.answer_file and outcome.is_done:
            keep(self.answer_file, answer)

    def close(self, outcome: Outcome) -> None:
        """The closing line, on stderr."""
        if self.quiet or self.as_json or not (outcome.started or outcome.signal):
            return
        for line in (*change_lines(outcome.finished), *closing_lines(outcome, self.screen)):
            self.renderer.say(line, "dim")

    def _print_answer(self, answer: str) -> None:
        if stdout_is_stderr() and self.renderer.answer_shown.strip() == answer.strip():
            return
        text = visible(answer) if sys.stdout.isatty() else answer
        write(sys.stdout, text if text.endswith("\n") else text + "\n")


def keep(path: Path, answer: str) -> None:
    try:
        path.write_text(answer, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StorageError(
            f"The answer cannot be written to {path}: {error.strerror}.",
            "It is kept in the trajectory too: `agent runs show last`.",
        ) from error
