"""A recipe: all that a training is told, as one TOML file. Each key is written once, here.

The default, the type and the explanation of a key stand beside it; the schema, the commented file
of `agent train init` and the table in the documentation are made from that.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian_policies import PolicyFileError
from wardian_policies.schema import (
    Kind,
    boolean,
    choice,
    nearest,
    number,
    positive,
    read,
    text,
    texts,
    whole,
)


class Method(StrEnum):
    """How to train."""

    SFT = "sft"
    """Imitate: the tokens of good attempts become likelier"""
    DPO = "dpo"
    """Prefer: the better of two replies becomes likelier than the worse"""
    KTO = "kto"
    """Judge: replies marked good become likelier, those marked bad less likely"""
    GRPO = "grpo"
    """Try: groups of attempts at tasks; what did better than its group becomes likelier"""


ALL = tuple(Method)
OFFLINE = (Method.SFT, Method.DPO, Method.KTO)
PAIRED = (Method.DPO, Method.KTO)


def key(default: object, kind: Kind, about: str, methods: tuple[Method, ...] = ALL) -> Any:
    """A field of a recipe."""
    return field(default=default, metadata={"kind": kind, "about": about, "methods": methods})


def share() -> Kind:
    return Kind(
        description="a number from 0 to 1",
        accepts=lambda value: type(value) in (int, float) and 0 <= value <= 1,
        from_text=float,
        kept=float,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Which weights are trained."""

    method: str = key("full", choice("full", "lora"), "all weights, or low-rank additions to them")
    rank: int = key(16, whole(), "of the additions (lora)")
    alpha: float = key(32.0, positive(), "their scale is alpha / rank (lora)")
    dropout: float = key(0.0, share(), "of their input (lora)")
    modules: tuple[str, ...] = key(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        texts(),
        "which matrices have additions (lora)",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the weights are changed."""

    epochs: float = key(2.0, positive(), "passes over the data", OFFLINE)
    max_steps: int = key(0, whole(0), "stop after so many steps; 0 goes by epochs", OFFLINE)
    batch_size: int = key(16, whole(), "rows to a step", OFFLINE)
    micro_batch_size: int = key(4, whole(), "rows at once: lower it where memory runs out")
    learning_rate: float = key(
        0.0, share(), "highest rate; 0 takes one that suits the method and tuning"
    )
    schedule: str = key(
        "cosine", choice("cosine", "linear", "constant"), "how the rate falls", OFFLINE
    )
    warmup_share: float = key(0.05, share(), "of the steps, over which the rate rises")
    weight_decay: float = key(0.0, number(), "of AdamW")
    max_grad_norm: float = key(1.0, positive(), "longer gradients are shortened to it")
    max_tokens: int = key(4096, whole(8), "longer rows are left out, never cut")
    seed: int = key(0, whole(0), "of order, dropout and sampling")
    precision: str = key(
        "auto",
        choice("auto", "fp32", "bf16"),
        "auto is bf16 on a GPU that has it, else fp32",
    )
    threads: int = key(
        0, whole(0), "of the processor; 0 takes one for a small model, else all cores"
    )
    gradient_checkpointing: bool = key(
        False, boolean(), "compute activations twice to hold fewer of them"
    )
    checkpoint_steps: int = key(50, whole(), "save after so many steps")
    keep_checkpoints: int = key(2, whole(), "the newest so many stay on the disk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dev:
    """What is measured on the way, to stop by."""

    data: str = key("", text("a file of rows"), "rows kept apart; else a share of `data`", OFFLINE)
    share: float = key(0.1, share(), "of the rows where no file is named; 0 for none", OFFLINE)
    every_steps: int = key(20, whole(), "measure after so many steps")
    patience: int = key(
        3, whole(0), "stop after so many measurements without a better one; 0 never"
    )
    suite: str = key(
        "", text("a suite of tasks"), "tasks that it is tried on; nothing takes grpo's own, if any"
    )
    suite_split: str = key("dev", text("the name of a split"), "of the suite; never test")
    tasks: int = key(32, whole(0), "how many of them, the same each time; 0 none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """DPO and KTO."""

    beta: float = key(0.1, positive(), "how dear it is to leave the base model", PAIRED)
    sft_weight: float = key(
        0.0, number(), "how much of the chosen replies' own likelihood is added", (Method.DPO,)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """GRPO: what is tried."""

    suite: str = key("", text("a suite of tasks"), "where tasks come from, if not from `data`")
    split: str = key("train", text("the name of a split"), "of the suite")
    family: str = key("", text("the name of a family"), "of the suite; nothing takes all")
    steps: int = key(100, whole(), "of training")
    tasks: int = key(8, whole(), "to a step")
    attempts: int = key(8, whole(2), "at each task: a group")
    parallel: int = key(16, whole(), "attempts under way at once")
    temperature: float = key(1.0, positive(), "of sampling; 1 is the model itself")
    max_reply_tokens: int = key(512, whole(), "of one reply")
    max_steps: int = key(8, whole(), "of one attempt, where the task does not say")
    max_seconds: float = key(120.0, positive(), "of one attempt, where the task does not say")
    sandbox: str = key("auto", choice("auto", "bubblewrap", "docker", "gvisor"), "where calls run")
    policy: str = key("default", text("a policy"), "what calls are allowed")
    clip_low: float = key(0.2, positive(), "how far below 1 a ratio counts")
    clip_high: float = key(0.28, positive(), "how far above 1: more room for what was unlikely")
    kl: float = key(0.01, number(), "weight of the divergence from the base model; 0 for none")
    updates: int = key(1, whole(), "passes over the attempts of a step")
    scale: str = key(
        "group", choice("group", "none"), "divide advantages by the group's deviation, or not"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """GRPO: when to stop. 0 switches a rule off."""

    entropy_share: float = key(
        0.2, share(), "stop when entropy falls below this share of what it was at first"
    )
    kl: float = key(2.0, number(), "stop when the divergence per token exceeds this")
    hacking_drop: float = key(
        0.1, share(), "stop when the reward rises while dev success has fallen by this"
    )
    flat_steps: int = key(10, whole(0), "stop after so many steps in which no group differed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training. Paths are those of the file until `load` has resolved them."""

    method: Method
    base: str = key("", text("a model"), "tiny, gguf:PATH, or a Hugging Face folder")
    data: str = key("", text("a file of rows"), "what `agent data build` made")
    out: str = key("", text("a folder"), "where everything is written")
    unstable_template: str = key(
        "refuse",
        choice("refuse", "allow"),
        "what to do with a template that rewrites earlier text or hides tools",
    )
    tuning: Tuning = field(default_factory=Tuning)
    training: Training = field(default_factory=Training)
    dev: Dev = field(default_factory=Dev)
    preference: Preference = field(default_factory=Preference)
    grpo: Group = field(default_factory=Group)
    watch: Watch = field(default_factory=Watch)

    @property
    def is_lora(self) -> bool:
        return self.tuning.method == "lora"

    @property
    def learning_rate(self) -> float:
        return self.training.learning_rate or RATES[self.method, self.tuning.method]

    def as_json(self) -> dict[str, Any]:
        """All that could change the result, and nothing that could not."""
        flat = {
            name: value for name, value in values_of(self).items() if name in schema(self.method)
        }
        return {"method": str(self.method), **flat}

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


RATES = {
    (Method.SFT, "full"): 2e-5,
    (Method.SFT, "lora"): 2e-4,
    (Method.DPO, "full"): 1e-6,
    (Method.DPO, "lora"): 1e-5,
    (Method.KTO, "full"): 1e-6,
    (Method.KTO, "lora"): 1e-5,
    (Method.GRPO, "full"): 1e-6,
    (Method.GRPO, "lora"): 2e-5,
}
"""For models of billions of weights; the smaller the model, the higher: `tiny` takes 1e-4 to 1e-3.
Source: TRL's and the papers' own settings."""
TABLES: dict[str, type[Any]] = {
    "tuning": Tuning,
    "training": Training,
    "dev": Dev,
    "preference": Preference,
    "grpo": Group,
    "watch": Watch,
}
ONLY = {"preference": PAIRED, "grpo": (Method.GRPO,), "watch": (Method.GRPO,)}
"""Tables that not every method has."""
PATHS = ("data", "out", "dev.data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a recipe, as it is documented."""

    name: str
    """Dotted"""
    default: object
    kind: Kind
    about: str


def keys(method: Method) -> Iterator[Key]:
    """Those of one method, in order: of the file itself, then table by table."""
    for of, above in ((Recipe, ""), *((table, name) for name, table in TABLES.items())):
        if above and method not in ONLY.get(above, ALL):
            continue
        for one in fields(of):
            if method in one.metadata.get("methods", ()):
                assert one.default is not MISSING
                yield Key(
                    name=f"{above}.{one.name}" if above else one.name,
                    default=one.default,
                    kind=one.metadata["kind"],
                    about=one.metadata["about"],
                )


def schema(method: Method) -> dict[str, Kind]:
    return {one.name: one.kind for one in keys(method)}


def values_of(recipe: Recipe) -> dict[str, Any]:
    """Every value by its dotted key."""
    found: dict[str, Any] = {}
    for name, value in asdict(recipe).items():
        if name in TABLES:
            found |= {f"{name}.{inner}": deep for inner, deep in value.items()}
        elif name != "method":
            found[name] = value
    return found


def load_recipe(method: Method, path: Path | None, given: Mapping[str, str]) -> Recipe:
    """The file's keys with those `given` by flags in their place; paths seen from the file.

    Raises: ConfigurationError naming the file, the line, and the nearest key.
    """
    values: dict[str, Any] = {}
    known = schema(method)
    if path is not None:
        try:
            document = read(path, known)
        except PolicyFileError as problem:
            raise ConfigurationError(problem.cause, problem.remedy) from problem
        for name, value in document.values.items():
            values[name] = _seen_from(path.parent, value) if name in PATHS else value
            if name == "base":
                values[name] = _base_seen_from(path.parent, value)
    for name, said in given.items():
        values[name] = _from_flag(name, said, known)
    return recipe_of(method, values)


def recipe_of(method: Method, values: Mapping[str, Any]) -> Recipe:
    """Raises: ConfigurationError where something that is needed is missing."""
    made = Recipe(method=method)
    for name, value in values.items():
        table, _, inner = name.rpartition(".")
        if table:
            made = replace(made, **{table: replace(getattr(made, table), **{inner: value})})
        else:
            made = replace(made, **{name: value})
    needed = ["base", "out"] + (["data"] if method is not Method.GRPO else [])
    for name in needed:
        if not getattr(made, name):
            raise ConfigurationError(
                f"The recipe names no {name}.",
                f'Write {name} = "…" in it, or say --{name}; `agent train init {method}` prints '
                "a recipe with every key.",
            )
    if method is Method.GRPO and not (made.data or made.grpo.suite):
        raise ConfigurationError(
            "The recipe names no tasks.", "Write grpo.suite, or data made with --for grpo."
        )
    if made.training.micro_batch_size > made.training.batch_size and method in OFFLINE:
        rows = made.training.batch_size
        made = replace(made, training=replace(made.training, micro_batch_size=rows))
    return made


def _from_flag(name: str, said: str, known: Mapping[str, Kind]) -> Any:
    if name not in known:
        raise ConfigurationError(f"{name!r} is not a key of the recipe.", nearest(name, known))
    kind = known[name]
    try:
        value: object = _parsed(said, kind)
        fits = kind.accepts(value)
    except ValueError:
        value, fits = said, False
    if not fits:
        raise ConfigurationError(
            f"{name} must be {kind.description}, not {said!r:.80}.", "Change it."
        )
    return kind.kept(value)


def _parsed(said: str, kind: Kind) -> object:
    if kind.accepts(True):
        return {"true": True, "false": False}.get(said.lower(), said)
    if kind.accepts([]):
        return [part.strip() for part in said.split(",") if part.strip()]
    return kind.from_text(said)


def _seen_from(folder: Path, value: str) -> str:
    return str(folder / Path(value).expanduser())


def _base_seen_from(folder: Path, value: str) -> str:
    """A path from where the recipe lies; `tiny` and other spellings as they are."""
    kind, colon, rest = value.partition(":")
    if colon and kind == "gguf":
        return f"gguf:{_seen_from(folder, rest)}"
    is_folder = not colon and ("/" in value or (folder / value).is_dir())
    return _seen_from(folder, value) if is_folder else value
