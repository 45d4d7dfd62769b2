"""What is not installed is named with its extra, before anything is imported or tried."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = Path(__file__).parents[1] / "support" / "without.py"
NOTHING_EXTRA = (
    "torch,transformers,trl,peft,datasets,accelerate,safetensors,tokenizers,gguf,numpy,jinja2,"
    "llama_cpp,llguidance"
)
SUITE = """
[[task]]
id = "a/1"
prompt = "What is 1 + 1?"
split = "{split}"
verifier = {{ kind = "number", expected = 2 }}
"""


@pytest.mark.parametrize(
    ("missing", "command", "said", "code"),
    [
        (NOTHING_EXTRA, "train sft --base tiny --data rows.jsonl --out out", "train", 3),
        ("jinja2", "train dpo --base tiny --data rows.jsonl --out out", "train", 3),
        ("llama_cpp", "train grpo --base tiny --data rows.jsonl --out out", "local", 3),
        (NOTHING_EXTRA, "models add folder --name x", "local", 3),
        (NOTHING_EXTRA, "improve suite -m tiny --no-guard", "train", 3),
        (NOTHING_EXTRA, "eval suite -m tiny --split test -q", "local", 4),
    ],
    ids=["sft", "template", "grpo", "register", "improve", "eval"],
)
def test_a_missing_extra_is_named(
    environment: dict[str, str],
    workspace: Path,
    missing: str,
    command: str,
    said: str,
    code: int,
) -> None:
    (workspace / "folder").mkdir()
    for split in ("train", "test"):
        task = workspace / "suite" / f"{split}.toml"
        task.parent.mkdir(exist_ok=True)
        text = SUITE.format(split=split).replace("a/1", split).replace("1 +", f"1 + 0{split} +")
        task.write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", str(WITHOUT), missing, *command.split()],
        env=environment,
        cwd=workspace,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert re.search(
        rf"is not installed\.\s.*pip install 'wardian\[{said}\]'", done.stderr, re.DOTALL
    )
    assert "inside agent" not in done.stderr
