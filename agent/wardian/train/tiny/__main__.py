"""Makes the built-in model: `python -P -m wardian.train.tiny all --out DIR`.

`make-data` solves the tasks with the real tools, `fit` trains on them, `test` measures a
checkpoint, `export` writes the GGUF; `all` does the four.
Every command takes up what an interrupted one left.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from wardian.train.tiny.card import write_card
from wardian.train.tiny.data import make_shards
from wardian.train.tiny.export_gguf import write_gguf
from wardian.train.tiny.fit import Plan, Training, learn_tokenizer, log_to, trained
from wardian.train.tiny.measure import measure, report

COMMANDS = ("all", "make-data", "fit", "test", "export")


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    plan = Plan(seed=options.seed, shards=options.shards)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    say = log_to(out / "log.txt")
    if options.command in ("all", "make-data"):
        for shard in make_shards(out / "data", plan.seed, plan.shards, options.workers):
            say(f"data: shard {shard + 1} of {plan.shards}")
    if options.command in ("all", "fit"):
        _fit(out, plan, options.threads, say)
    if options.command in ("all", "export"):
        network, tokenizer = trained(out)
        write_gguf(out / "tiny.gguf", network, tokenizer)
        write_card(out, network.parameter_count())
        say(f"wrote {out / 'tiny.gguf'} and card.json")
    if options.command in ("all", "test"):
        say(report(measure(*trained(out), options.seed, out / "workspace")))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m wardian.train.tiny", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for data, checkpoints, model"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=Plan().shards, help="of 2,000 tasks each")
    parser.add_argument("--workers", type=int, default=2, help="processes that make data")
    parser.add_argument("--threads", type=int, default=1, help="of the training process")
    return parser.parse_args(arguments)


def _fit(out: Path, plan: Plan, threads: int, say: Callable[[str], None]) -> None:
    torch.set_num_threads(threads)
    training = Training(out, plan, learn_tokenizer(out, plan))
    resumed = training.resume()
    say(f"{training.network.parameter_count()} parameters, {'resumed' if resumed else 'started'}")
    training.run(say)


if __name__ == "__main__":
    main(sys.argv[1:])
