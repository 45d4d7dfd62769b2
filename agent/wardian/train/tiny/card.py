"""The card that travels with the model: what it is, what it was made of, how well it does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from wardian.train.tiny.data import SHARD_ROWS
from wardian.train.tiny.export_gguf import CONTEXT_TOKENS

SCORES = "scores.json"
"""Written by `bench/tiny_tasks.py --json`: family → [solved, tasks]."""


def write_card(out: Path, parameters: int) -> None:
    """`card.json` for the `tiny.gguf` in `out`; with its scores, when they have been measured."""
    state: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    shards, _, steps, tokens, seconds = state["at"]
    model = (out / "tiny.gguf").read_bytes()
    scores = out / SCORES
    card = {
        "name": "tiny",
        "what": "a transformer that routes a request to a tool call and copies the tool's result",
        "for": "trying Wardian without a download: arithmetic, reading, searching, counting and "
        "editing files in one folder, small combinations of these",
        "not_for": "knowledge, conversation, writing, translation, programming, judgement, long "
        "files, requests far from its training tasks; it says that these are beyond it, not always",
        "languages": ["en"],
        "license": "Apache-2.0",
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "format": "GGUF, qwen3, f16 matrices",
        "parameters": parameters,
        "context_tokens": CONTEXT_TOKENS,
        "training": {
            "command": "python -P -m wardian.train.tiny all --out DIR",
            "plan": state["plan"],
            "tasks_made": shards * SHARD_ROWS,
            "steps": steps,
            "tokens": tokens,
            "seconds_on_one_core": round(seconds),
        },
        "held_out_solved_of_tasks": json.loads(scores.read_text("utf-8"))
        if scores.exists()
        else {},
    }
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
