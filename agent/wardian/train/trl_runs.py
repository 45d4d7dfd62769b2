"""SFT, DPO and KTO by TRL's trainers, on the rows' own token ids and masks.

TRL's way of preparing data is passed over: it would render and tokenise again. Everything else is
its own: losses, reference model, optimiser, order, checkpoints.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wardian.evals.tasks import Task
from wardian.train import processes
from wardian.train.base import Base, load_weights, wants_bf16
from wardian.train.checkpoints import CHECKPOINTS, mark, step_of, whole_checkpoints
from wardian.train.collating import JudgedBatch, PairBatch, SftBatch
from wardian.train.errors import TrainingStopped
from wardian.train.examples import Examples
from wardian.train.libraries import library
from wardian.train.measures import Measured, Metrics, Seen
from wardian.train.rates import schedule
from wardian.train.recipe import Method, Recipe
from wardian.train.rollouts import Rollouts
from wardian.train.tasks_to_try import dev_tasks, success_on

NAMES = {
    "loss": "loss",
    "eval_loss": "dev_loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "mean_token_accuracy": "token_accuracy",
    "eval_mean_token_accuracy": "dev_token_accuracy",
    "entropy": "entropy",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "margin",
    "rewards/accuracies": "preferred",
    "eval_rewards/margins": "dev_margin",
    "eval_rewards/accuracies": "dev_preferred",
    "kl": "kl",
}
"""TRL's name of a measure → ours; others are left out."""


def train_offline(
    recipe: Recipe, base: Base, examples: Examples, begin: Path | None, seen: Seen
) -> tuple[Any, dict[str, Any]]:
    """The trained model, and what is to be said of it. Raises: TrainingStopped."""
    model = load_weights(base, recipe)
    if recipe.training.gradient_checkpointing:
        model.config.use_cache = False
    metrics = Metrics(Path(recipe.out), after_step=step_of(begin) if begin else 0)
    watching = _watching(recipe, metrics, seen, has_dev=bool(examples.dev))
    if processes.is_first() and (tasks := dev_tasks(recipe)):
        watching.append(_trying(recipe, Rollouts(recipe, base), tasks, metrics, seen))
    trainer = _trainer(recipe, base, examples, model, watching)
    trainer.train(resume_from_checkpoint=str(begin) if begin else None)
    state = trainer.state
    best = state.best_metric
    facts: dict[str, Any] = {
        "steps": state.global_step,
        "best_step": state.best_global_step or state.global_step,
        "stopped_early": state.global_step < state.max_steps,
        "rows": len(examples.train),
        "dev_rows": len(examples.dev),
        "left_out": examples.left_out,
    }
    if best is not None:
        facts["dev_loss"] = float(best)
    return trainer.model, facts


def _trainer(
    recipe: Recipe, base: Base, examples: Examples, model: Any, watching: list[Any]
) -> Any:
    trl, from_list = library("trl"), library("datasets").Dataset.from_list
    kind, config, collator = {
        Method.SFT: (trl.SFTTrainer, trl.SFTConfig, SftBatch),
        Method.DPO: (trl.DPOTrainer, trl.DPOConfig, PairBatch),
        Method.KTO: (trl.KTOTrainer, trl.KTOConfig, JudgedBatch),
    }[recipe.method]

    def run_epoch(self: Any, *given: Any, **named: Any) -> None:
        # From a checkpoint of the very last step one more would be made.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            kind._run_epoch(self, *given, **named)  # noqa: SLF001 - there is no public place for it

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            self.lr_scheduler = schedule(optimizer or self.optimizer, recipe, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # Our rows are ready; TRL's preparation begins with text.
    changed: dict[str, Any] = {
        "_prepare_dataset": _as_it_is,
        "_run_epoch": run_epoch,
        "create_scheduler": create_scheduler,
    }
    ready = type(f"Ready{kind.__name__}", (kind,), changed)
    made: Any = ready(
        model=model,
        args=config(**_arguments(recipe, has_dev=bool(examples.dev))),
        data_collator=collator(base.pad),
        train_dataset=from_list(examples.train),
        eval_dataset=from_list(examples.dev) if examples.dev else None,
        processing_class=base.tokenizer,
        callbacks=watching,
    )
    made.remove_callback(library("transformers").PrinterCallback)
    return made


def _as_it_is(_: Any, dataset: Any, *__: Any, **___: Any) -> Any:
    return dataset


def _arguments(recipe: Recipe, *, has_dev: bool) -> dict[str, Any]:
    training, method = recipe.training, recipe.method
    # The model of the best measurement can only be kept where one was saved.
    steps = recipe.dev.every_steps if has_dev else training.checkpoint_steps
    least = 2 if method is Method.KTO else 1  # a KTO batch compares rows with each other
    micro = max(least, training.micro_batch_size)
    bf16 = wants_bf16(recipe)
    made: dict[str, Any] = {
        "output_dir": str(Path(recipe.out) / CHECKPOINTS),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": max(1, training.batch_size // (micro * processes.count())),
        "learning_rate": recipe.learning_rate,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "seed": training.seed,
        "data_seed": training.seed,
        "bf16": bf16,
        "use_cpu": not _has_gpu(),
        "gradient_checkpointing": training.gradient_checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": steps,
        "save_total_limit": max(2, training.keep_checkpoints)
        if has_dev
        else training.keep_checkpoints,
        "eval_strategy": "steps" if has_dev else "no",
        "eval_steps": recipe.dev.every_steps if has_dev else None,
        "load_best_model_at_end": has_dev,
        "metric_for_best_model": "eval_loss" if has_dev else None,
        "greater_is_better": False if has_dev else None,
        "max_length": None,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": _has_gpu(),
        "ddp_find_unused_parameters": False,
    }
    return made | _own_arguments(recipe)


def _own_arguments(recipe: Recipe) -> dict[str, Any]:
    match recipe.method:
        case Method.DPO if recipe.preference.sft_weight:
            weights = [1.0, recipe.preference.sft_weight]
            return {
                "beta": recipe.preference.beta,
                "loss_type": ["sigmoid", "sft"],
                "loss_weights": weights,
            }
        case Method.DPO | Method.KTO:
            return {"beta": recipe.preference.beta}
        case _:
            return {"dataset_kwargs": {"skip_prepare_dataset": True}}


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _watching(recipe: Recipe, metrics: Metrics, seen: Seen, *, has_dev: bool) -> list[Any]:
    """Callbacks: tell and record each step, mark checkpoints, stop when nothing improves."""
    from transformers import EarlyStoppingCallback

    made: list[Any] = [_on_events(Path(recipe.out), metrics, seen)]
    if recipe.dev.patience and has_dev:
        made.append(EarlyStoppingCallback(early_stopping_patience=recipe.dev.patience))
    return made


def _on_events(out: Path, metrics: Metrics, seen: Seen) -> Any:
    from transformers import TrainerCallback

    def on_log(_: Any, __: Any, state: Any, ___: Any, logs: dict[str, Any], **____: Any) -> None:
        values = {NAMES[name]: float(value) for name, value in logs.items() if name in NAMES}
        if not values:
            return
        _check_finite(values, state.global_step, out)
        metrics.add(state.global_step, values)
        seen(Measured(step=state.global_step, steps=state.max_steps, values=values))

    def on_save(_: Any, __: Any, state: Any, *___: Any, **____: Any) -> None:
        if processes.is_first():
            mark(out / CHECKPOINTS / f"checkpoint-{state.global_step}")

    def on_step_end(_: Any, args: Any, state: Any, control: Any, **__: Any) -> Any:
        if state.global_step == state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True  # else the last steps would never be measured
        return control

    functions: dict[str, Callable[..., Any]] = {
        "on_log": on_log,
        "on_save": on_save,
        "on_step_end": on_step_end,
    }
    return type("Watching", (TrainerCallback,), functions)()


def _trying(
    recipe: Recipe, rollouts: Rollouts, tasks: Sequence[Task], metrics: Metrics, seen: Seen
) -> Any:
    """Attempts at dev tasks with the weights as they are: before the first step, on the way, and
    at the end."""
    from transformers import TrainerCallback

    def measure(state: Any, model: Any) -> None:
        rollouts.refresh(model)
        values = {"dev_success": success_on(tasks, rollouts, lambda _: None)}
        metrics.add(state.global_step, values)
        seen(Measured(step=state.global_step, steps=state.max_steps, values=values))

    def on_train_begin(_: Any, __: Any, state: Any, ___: Any, model: Any, **____: Any) -> None:
        if state.global_step == 0:
            measure(state, model)

    def on_step_end(_: Any, __: Any, state: Any, ___: Any, model: Any, **____: Any) -> None:
        if state.global_step % recipe.dev.every_steps == 0 or state.global_step == state.max_steps:
            measure(state, model)

    functions: dict[str, Callable[..., Any]] = {
        "on_train_begin": on_train_begin,
        "on_step_end": on_step_end,
    }
    return type("Trying", (TrainerCallback,), functions)()


def _check_finite(values: dict[str, float], step: int, out: Path) -> None:
    """Raises: TrainingStopped."""
    for name in ("loss", "grad_norm", "dev_loss"):
        if name in values and not math.isfinite(values[name]):
            raise TrainingStopped(not_a_number(name, step, out), LOWER_RATE)


LOWER_RATE = "Lower training.learning_rate, or training.max_grad_norm, and begin anew with --fresh."


def not_a_number(name: str, step: int, out: Path) -> str:
    kept = whole_checkpoints(out)
    last = f"the last whole checkpoint is {kept[-1]}" if kept else "no checkpoint was written yet"
    return f"The {name.replace('_', ' ')} of step {step} is not a number; {last}."
