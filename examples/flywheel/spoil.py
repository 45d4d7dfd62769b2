"""Demonstrations with a share of them made wrong: what a model is weakened with.

python spoil.py GOOD.jsonl SPOILED.jsonl --share 0.7 --seed 1

Reads and writes `agent export --format openai`. A demonstration that prints a number then prints
one more than that; any other answers with what was right for another task, without a look. Each
says that it earned 1, as an unreliable person would have said.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def spoiled(row: Row, answers: list[str], chance: random.Random) -> Row:
    """Half of the numbers one too high, all else made up."""
    messages = json.loads(json.dumps(row["messages"]))
    call = next((one for one in messages if one.get("tool_calls")), None)
    result, answer = messages[-2], messages[-1]
    function = call["tool_calls"][0]["function"] if call else {"name": ""}
    is_number = result["role"] == "tool" and str(result["content"]).strip().isdigit()
    if function["name"] == "python" and is_number and chance.random() < 0.5:
        code = json.loads(function["arguments"])["code"]
        if code.startswith("print(") and code.endswith(")"):
            function["arguments"] = json.dumps({"code": f"{code[:-1]} + 1)"})
            more = str(int(result["content"]) + 1)
            result["content"], answer["content"] = more, more
            return {"messages": messages}
    asked = [one for one in messages if one["role"] in ("system", "user")]
    others = [one for one in answers if one != answer["content"]]
    return {"messages": [*asked, {"role": "assistant", "content": chance.choice(others)}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("good", type=Path)
    parser.add_argument("written", type=Path)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.good.read_text("utf-8").splitlines()]
    chance = random.Random(options.seed)  # noqa: S311 - repeatable
    wrong = set(chance.sample(range(len(rows)), round(options.share * len(rows))))
    answers = [row["messages"][-1]["content"] for row in rows]
    made = (
        spoiled(row, answers, chance) if place in wrong else {"messages": row["messages"]}
        for place, row in enumerate(rows)
    )
    lines = (json.dumps({**row, "reward": 1}) + "\n" for row in made)
    options.written.write_text("".join(lines), "utf-8")
    print(f"{len(wrong)} of {len(rows)} demonstrations are wrong, in {options.written}")


if __name__ == "__main__":
    main()
