"""The rows of training data, one JSON object a line, and what reads them back.

A row of tokens holds the ids that the engine saw, in its order; nothing is tokenised a second time.
A row of text is for models whose ids nobody recorded, in the columns that TRL's trainers take.
All rows of one file are of one kind. Beside `FILE` lies `FILE.card.json`, where they come from.

    dataset = Dataset.open(Path("sft.jsonl"))
    for row in dataset.rows(TokenRow):
        train(row.token_ids, row.loss_mask)
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast, get_args

from wardian.errors import ConfigurationError, StorageError

SCHEMA = "wardian.training-data/1"


class Goal(StrEnum):
    """What the rows are for."""

    SFT = "sft"
    """To imitate: the best attempts at each task"""
    DPO = "dpo"
    """To prefer: a better and a worse reply to the same prompt"""
    KTO = "kto"
    """To judge: a reply, and whether it was good"""
    GRPO = "grpo"
    """To try: tasks with a verifier, for the model to attempt anew"""
    STEPS = "steps"
    """To reward: attempts with what each of their steps was worth"""


class Status(StrEnum):
    """How an attempt ended, as far as its reward can be trusted."""

    OK = "ok"
    TRUNCATED = "truncated"
    """A budget of steps, calls, tokens or cost was used up"""
    TIMEOUT = "timeout"
    MODEL_ERROR = "model_error"
    """Too many replies in a row could not be used"""
    ENV_ERROR = "env_error"
    """The runtime, the provider or a person ended it: it is never scored, and never 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a row comes from."""

    run_id: str
    branch: int = 0
    """Which of the run's token streams; there are several where its prompt was written anew"""
    task: str = ""
    """Of a suite, its id; else a digest of what was asked"""
    suite: str = ""
    family: str = ""
    group: str = ""
    """The same for attempts that may be compared: at one task, from one start"""
    model: str = ""
    """As the user spells it"""
    model_sha256: str = ""
    """Of the weights that sampled"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpan:
    """Where one reply stands in a row: `token_ids[begin:end]` is what was sampled."""

    step: int
    begin: int
    end: int
    reward: float | None = None
    """What the step was worth; None where that was not asked for"""
    marks: dict[str, float] = field(default_factory=dict[str, float])
    """See `wardian.rewards.steps`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One branch of a run, for `sft` and `steps`: every sampled token is in exactly one row."""

    kind: ClassVar[str] = "tokens"
    origin: Origin
    token_ids: tuple[int, ...]
    """T, from the first token of the prompt"""
    loss_mask: tuple[int, ...]
    """T; 1 where the model sampled the token and may learn it, so never on a prompt or a result"""
    logprobs: tuple[float, ...]
    """T; natural log, of the distribution sampled from; 0.0 where nothing was sampled"""
    constrained: tuple[int, ...]
    """T; 1 where a grammar masked that distribution: its logprobs are not the model's own"""
    sampling: dict[str, Any]
    """temperature, top_p, constrain, …"""
    reward: float | None
    """Of the whole run"""
    status: Status
    steps: tuple[StepSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What follows a prompt; with more than one reply, also what stands between them."""

    origin: Origin
    token_ids: tuple[int, ...]
    loss_mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    reward: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """Two completions of the very same ids, for `dpo`."""

    kind: ClassVar[str] = "pair"
    prompt_ids: tuple[int, ...]
    chosen: Completion
    rejected: Completion
    step: int
    """Of the first reply in which they differ"""
    signs: tuple[str, ...]
    """Why: `reward`, or what the user did (`wardian.runs.preferences.Sign`)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow:
    """One reply and whether it was good, for `kto`."""

    kind: ClassVar[str] = "judged"
    prompt_ids: tuple[int, ...]
    completion: Completion
    label: bool
    step: int
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """A task to attempt anew, for `grpo`; the suite has its files and its verifier."""

    kind: ClassVar[str] = "prompt"
    suite: str
    """As `wardian.evals.load_suite` takes it"""
    suite_digest: str
    task: str
    """Its id"""
    family: str
    prompt: str
    attempts: int
    """That were made before"""
    solved: float
    """Share of those that reached the threshold, between 0 and 1"""
    mean_reward: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRow:
    """A conversation in TRL's columns, for `sft` of runs without token ids."""

    kind: ClassVar[str] = "text"
    origin: Origin
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    reward: float | None
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPairRow:
    """For `dpo`, likewise; one assistant message a side."""

    kind: ClassVar[str] = "text_pair"
    origin: Origin
    """Of the chosen reply"""
    rejected_origin: Origin
    prompt: list[dict[str, Any]]
    chosen: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    step: int
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextJudgedRow:
    """For `kto`, likewise."""

    kind: ClassVar[str] = "text_judged"
    origin: Origin
    prompt: list[dict[str, Any]]
    completion: list[dict[str, Any]]
    label: bool
    tools: list[dict[str, Any]]
    step: int
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStepsRow:
    """For `steps`, likewise: each of the run's replies with what it was worth."""

    kind: ClassVar[str] = "text_steps"
    origin: Origin
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    reward: float | None
    status: Status
    replies: tuple[int, ...]
    """Where in `messages` the rewarded replies stand"""
    step_rewards: tuple[float, ...]
    """One for each of `replies`"""


DataRow = (
    TokenRow
    | PairRow
    | JudgedRow
    | PromptRow
    | TextRow
    | TextPairRow
    | TextJudgedRow
    | TextStepsRow
)
KINDS: dict[str, type[DataRow]] = {kind.kind: kind for kind in get_args(DataRow)}
R = TypeVar("R", bound=DataRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A file of rows with its card."""

    path: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Raises: ConfigurationError without a file or card, and for other data; StorageError."""
        card_file = card_path(path)
        try:
            with path.open("rb"):
                card: object = json.loads(card_file.read_bytes())
        except OSError as error:
            kind = ConfigurationError if isinstance(error, FileNotFoundError) else StorageError
            raise kind(
                f"{error.filename} cannot be read: {error.strerror or error}.",
                "Make a dataset with `agent data build`; its card lies beside it.",
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"{card_file} is not JSON.", "Build the dataset anew."
            ) from error
        found = cast("dict[str, Any]", card) if isinstance(card, dict) else {}
        if found.get("schema") != SCHEMA:
            raise ConfigurationError(
                f"{card_file} is no card of training data.", "Make one with `agent data build`."
            )
        return cls(path=path, card=found)

    @property
    def goal(self) -> Goal:
        return Goal(self.card["goal"])

    @property
    def kind(self) -> str:
        """Of its rows: a key of `KINDS`."""
        return str(self.card["kind"])

    def rows(self, kind: type[R]) -> Iterator[R]:
        """One at a time. Raises: ConfigurationError where they are of another kind, or damaged."""
        if self.kind != kind.kind:
            raise ConfigurationError(
                f"{self.path} has rows of the kind {self.kind!r}; {kind.kind!r} was wanted.",
                f"It was built for {self.goal}.",
            )
        return cast("Iterator[R]", self.any_rows())

    def any_rows(self) -> Iterator[DataRow]:
        """The same, of whatever kind they are."""
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    yield read_row(line, KINDS[self.kind], f"Line {number} of {self.path}")
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error.strerror}.") from error

    def check_unchanged(self) -> None:
        """Raises: ConfigurationError where the file is not the one that its card describes."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        described = {one["name"]: one["sha256"] for one in self.card["files"]}
        if described.get(self.path.name) != digest:
            raise ConfigurationError(
                f"{self.path} has changed since its card was written.", "Build it anew."
            )


def card_path(path: Path) -> Path:
    """Of a part, such as `sft.train.jsonl`, the card of the whole: `sft.jsonl.card.json`."""
    own = path.with_name(f"{path.name}.card.json")
    if own.exists():
        return own
    whole = path.with_name(f"{path.with_suffix('').stem}{path.suffix}.card.json")
    return whole if whole.exists() else own


def written(row: DataRow) -> bytes:
    """The row as its line, without a line end. Raises: ValueError for what JSON cannot hold."""
    line: bytes = _adapter(row.kind).dump_json(row)
    return line


def read_row(line: bytes, kind: type[R], where: str) -> R:
    """Raises: ConfigurationError."""
    from pydantic import ValidationError

    try:
        row = cast("R", _adapter(kind.kind).validate_json(line))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "it"
        raise ConfigurationError(
            f"{where} is no {kind.kind!r} row: {key}: {first['msg'].lower():.200}.",
            "Build the dataset anew.",
        ) from problem
    for part in _token_parts(row):
        if not len(part.token_ids) == len(part.loss_mask) == len(part.logprobs):
            raise ConfigurationError(
                f"{where} has columns of different lengths.", "Build the dataset anew."
            )
    return row


def _token_parts(row: DataRow) -> list[TokenRow | Completion]:
    match row:
        case TokenRow():
            return [row]
        case PairRow():
            return [row.chosen, row.rejected]
        case JudgedRow():
            return [row.completion]
        case _:
            return []


@cache
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(KINDS[kind])
