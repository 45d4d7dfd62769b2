"""What the example of the flywheel weakens a model with is as wrong as it says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "flywheel"
CALL = {"function": {"name": "python", "arguments": json.dumps({"code": "print(len('abc'))"})}}


def demonstrations(count: int) -> list[dict[str, Any]]:
    """Each answers with the number of its own."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"Number {number}?"},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "content": str(10 * number)},
                {"role": "assistant", "content": str(10 * number)},
            ]
        }
        for number in range(count)
    ]


def spoiled(tmp_path: Path, share: str) -> list[dict[str, Any]]:
    good, written = tmp_path / "good.jsonl", tmp_path / "spoiled.jsonl"
    good.write_text("".join(json.dumps(row) + "\n" for row in demonstrations(40)), "utf-8")
    command = [sys.executable, "-P", str(FOLDER / "spoil.py"), str(good), str(written)]
    subprocess.run([*command, "--share", share, "--seed", "3"], check=True, capture_output=True)
    return [json.loads(line) for line in written.read_text("utf-8").splitlines()]


def test_just_the_share_that_was_asked_for_is_wrong(tmp_path: Path) -> None:
    rows = spoiled(tmp_path, "0.7")

    wrong = [
        number
        for number, row in enumerate(rows)
        if row["messages"][-1]["content"] != str(10 * number)
    ]
    assert len(rows) == 40
    assert len(wrong) == 28
    assert all(row["reward"] == 1 for row in rows)


def test_a_demonstration_is_wrong_by_one_or_without_a_look(tmp_path: Path) -> None:
    rows = spoiled(tmp_path, "1")

    ways = {
        len(row["messages"]): row["messages"][-1]["content"] == str(10 * number + 1)
        for number, row in enumerate(rows)
    }
    assert ways == {4: True, 2: False}


def test_the_script_is_bash() -> None:
    done = subprocess.run(["bash", "-n", str(FOLDER / "run")], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
