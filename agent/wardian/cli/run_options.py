"""The options of `agent run`, each with its help."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from wardian.cli.task_input import UsageError, read_file
from wardian.errors import ConfigurationError


class When(StrEnum):
    """Who answers when the policy asks."""

    ASK = "ask"
    NEVER = "never"


class Select(StrEnum):
    """How one of several attempts is chosen."""

    VOTE = "vote"
    MATHS = "maths"
    JUDGE = "judge"
    STEPS = "steps"
    VERIFIER = "verifier"
    REWARD = "reward"


class SandboxChoice(StrEnum):
    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    DOCKER = "docker"
    GVISOR = "gvisor"
    NONE = "none"


TaskArgument = Annotated[
    str | None, typer.Argument(metavar="TASK", help="What to do; `-` reads it from stdin.")
]
TaskFile = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="Read the task from a file.")
]
Context = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Text to go with the task; `-` waits for stdin to end."),
]
Images = Annotated[
    list[Path] | None,
    typer.Option("--image", metavar="FILE", help="A picture for a model that sees; several times."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "-m", "--model", metavar="MODEL", help="gguf:PATH, ollama/NAME, openai/NAME, tiny, …"
    ),
]


class StyleChoice(StrEnum):
    """How the model is told to call tools."""

    AUTO = "auto"
    NATIVE = "native"
    TEXT = "text"
    CODE = "code"


CallStyleName = Annotated[
    StyleChoice | None,
    typer.Option("--call-style", help="How the model calls tools; code: by writing Python."),
]
Adapter = Annotated[
    str | None,
    typer.Option(metavar="FILE[@SCALE]", help="A LoRA adapter for a model loaded here."),
]
Url = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server to ask."),
]
PrivateModel = Annotated[
    str | None,
    typer.Option(
        "--private-model",
        metavar="MODEL",
        help="A local model for what the policy keeps on this machine.",
    ),
]
Local = Annotated[
    bool, typer.Option("--local", help="No socket leaves this machine, whatever asks for one.")
]
SandboxName = Annotated[
    SandboxChoice | None,
    typer.Option("--sandbox", help="Where calls run; with none they have your own rights."),
]
PolicyName = Annotated[
    str | None,
    typer.Option("--policy", metavar="NAME|FILE", help="What calls are allowed, asked, denied."),
]
Workspace = Annotated[
    Path, typer.Option("-w", "--workspace", metavar="DIR", help="The folder the tools act in.")
]
Copy = Annotated[
    bool, typer.Option("--copy", help="Work on a copy of the workspace and leave it as it is.")
]
Tools = Annotated[
    str | None, typer.Option("--tools", metavar="A,B", help="Only these tools (default: all).")
]
MaxSteps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Model replies at most.")]
MaxToolCalls = Annotated[int | None, typer.Option(min=0, metavar="N", help="Tool calls at most.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, metavar="N", help="Tokens at most.")]
MaxCost = Annotated[float | None, typer.Option(min=0, metavar="USD", help="Cost at most.")]
Timeout = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Wall-clock time at most.")
]
Temperature = Annotated[
    float | None, typer.Option(min=0, max=2, metavar="T", help="Sampling temperature.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Sampling seed.")]
ApproveWhen = Annotated[
    When | None,
    typer.Option(help="Whether you are asked at the terminal; with never (and --json), it ends."),
]
Samples = Annotated[
    int,
    typer.Option(min=1, max=1024, metavar="N", help="Attempt it N times, each on its own copy."),
]
SelectBy = Annotated[
    Select,
    typer.Option(
        help="What chooses: most answers, also as maths, a judge, marks of the steps, a verifier, "
        "or the sum of what rewards there are."
    ),
]
VerifierOption = Annotated[
    str | None,
    typer.Option("--verifier", metavar="FILE|JSON", help="The check that chooses, as in a task."),
]
Refine = Annotated[
    int, typer.Option(min=0, max=32, metavar="R", help="Criticise and try again, R times at most.")
]
RubricFile = Annotated[
    Path | None, typer.Option("--rubric", metavar="FILE", help="What is judged by: `- …` a line.")
]
CriticName = Annotated[
    str | None, typer.Option("--critic", metavar="MODEL", help="Who judges (default: the model).")
]
OutputSchema = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The answer must be JSON of the schema in this file."),
]
AnswerFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also write the answer here.")
]
Json = Annotated[bool, typer.Option("--json", help="Stream events as JSON lines on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Nothing but the answer and errors.")]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines: no colour, nothing that moves.")]


def read_schema(path: Path | None) -> dict[str, Any] | None:
    """Raises: UsageError when it cannot be read, ConfigurationError when it is no JSON object."""
    if path is None:
        return None
    try:
        schema = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not JSON: {error}.", "Give a file that holds one JSON schema."
        ) from error
    if not isinstance(schema, dict):
        raise ConfigurationError(
            f"{path} does not hold an object, which a JSON schema is.",
            'The smallest one is {"type": "object"}.',
        )
    return cast("dict[str, Any]", schema)


def check_writable(path: Path | None) -> None:
    """Find out before the work is done whether its answer can be kept. Raises: UsageError."""
    if path is None:
        return
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"The answer cannot be written to {path}.", "Name a writable file.")
