"""Family `long`: many small steps, each of which needs the one before."""

import hashlib
import itertools
import json

from wardian.evals.suites.core.files import exactly
from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import DEPARTMENTS, World
from wardian.evals.suites.drafts import Draft, answered, solved
from wardian.evals.suites.experts import Expert, python, shell


def chain(world: World) -> Draft:
    """Cards that each name the next, among others that lead astray."""
    numbers = world.numbers(40, 100, 999)
    way, rest = numbers[:16], numbers[16:]
    word = world.code()
    files: dict[str, str] = {}
    for here, following in itertools.pairwise(way):
        part = world.number(11, here - 1)
        how = world.choice(
            (
                f"The next card is {following}.",
                f"Add {following - part} to {part}: that is the next card.",
                f"Take {here} from {here + following}. Read the card with that number.",
            )
        )
        files[f"cards/{here}.txt"] = f"{how}\n"
    files[f"cards/{way[-1]}.txt"] = f"This is the end. The word is {word}.\n"
    for number in rest:
        files[f"cards/{number}.txt"] = f"The next card is {world.rng.choice(rest)}.\n"
    code = f"""
import re
at = {way[0]}
while True:
    text = open(f"cards/{{at}}.txt").read()
    if m := re.search("The word is (.+)\\\\.", text):
        print(m[1]); break
    n = [int(x) for x in re.findall(r"-?\\d+", text)]
    at = sum(n) if text.startswith("Add") else n[1] - n[0] if text.startswith("Take") else n[0]
"""
    return Draft(
        prompt=f"Begin with cards/{way[0]}.txt and follow the cards, each of which says which is"
        " next, to the end. Answer with the word on the last card only.",
        files=files,
        verifier=({"kind": "exact", "expected": [word]},),
        expert=answered(python(code)),
    )


def ledger(world: World) -> Draft:
    """Orders that are carried out one after the other, some of which undo or depend on others."""
    shelves = {name: world.number(5, 30) for name in world.goods(5)}
    state = dict(shelves)
    orders: dict[str, str] = {}
    history: list[dict[str, int]] = []
    names = sorted(state)
    for number in range(1, 19):
        one, other = world.rng.sample(names, 2)
        amount = world.number(1, 9)
        kind = 3 if number % 6 == 0 else world.number(0, 2)
        before = dict(state)
        if kind == 0:
            said = f"Add {amount} {one}."
            state[one] += amount
        elif kind == 1:
            said = f"If there are more {one} than {other}, take {amount} {one} away;"
            said += f" else add {amount} {other}."
            if state[one] > state[other]:
                state[one] -= amount
            else:
                state[other] += amount
        elif kind == 2:
            said = f"Swap the counts of {one} and {other}."
            state[one], state[other] = state[other], state[one]
        else:
            said = "Undo the order before this one."
            state = dict(history[-1])
        history.append(before)
        orders[f"orders/{number:02}.txt"] = said + "\n"
    start = {"state.json": json.dumps(shelves, indent=1) + "\n"}
    code = """
import glob, json, re
state, before = json.load(open("state.json")), None
for path in sorted(glob.glob("orders/*.txt")):
    text = open(path).read()
    now = dict(state)
    if m := re.match(r"Add (\\d+) (\\w+)", text):
        state[m[2]] += int(m[1])
    elif m := re.match(r"If there are more (\\w+) than (\\w+), take (\\d+)", text):
        if state[m[1]] > state[m[2]]: state[m[1]] -= int(m[3])
        else: state[m[2]] += int(m[3])
    elif m := re.match(r"Swap the counts of (\\w+) and (\\w+)", text):
        state[m[1]], state[m[2]] = state[m[2]], state[m[1]]
    else:
        state = dict(before)
    before = now
open("final.txt", "w").write("".join(f"{n} {c}\\n" for n, c in sorted(state.items())))
"""
    final = "\n".join(f"{name} {count}" for name, count in sorted(state.items()))
    return Draft(
        prompt="state.json has the counts of a store. Carry out the orders in orders/ in the order"
        " of their numbers; 'undo' takes back what the order just before it did. Write the counts"
        " at the end to final.txt, a line 'name count' each, sorted by name. Leave the other files"
        " as they are.",
        files=start | orders,
        verifier=(exactly(start | orders | {"final.txt": final}),),
        expert=solved("final.txt is written.", python(code)),
    )


def inbox(world: World) -> Draft:
    """Twelve messages, each answered from what three tables say."""
    people = world.people(12)
    department = {person: world.choice(DEPARTMENTS) for person in people}
    heads = dict(zip(DEPARTMENTS, world.rng.sample(people, len(DEPARTMENTS)), strict=True))
    prices = {name: world.number(5, 90) for name in world.goods(6)}
    cap = world.number(150, 400)
    files = {
        "tables/departments.txt": "".join(f"{p}: {d}\n" for p, d in department.items()),
        "tables/heads.txt": "".join(f"{d}: {p}\n" for d, p in heads.items()),
        "tables/prices.txt": "".join(f"{n}: {c}\n" for n, c in prices.items()),
    }
    replies = {}
    for number, person in enumerate(people, start=1):
        item, count = world.choice(list(prices)), world.number(1, 9)
        files[f"inbox/{number:02}.txt"] = (
            f"From: {person}\n\nI would like {count} x {item}, please.\n"
        )
        cost = prices[item] * count
        head = heads[department[person]]
        verdict = "own" if head == person else "ask" if cost > cap else "ok"
        copy = person if head == person else head
        replies[f"outbox/{number:02}.txt"] = f"To: {person}\nCopy: {copy}\n{cost} {verdict}"
    code = f"""
import glob, os, re
def table(name): return dict(line.strip().split(": ") for line in open(f"tables/{{name}}.txt"))
departments, heads, prices = table("departments"), table("heads"), table("prices")
os.makedirs("outbox", exist_ok=True)
for path in sorted(glob.glob("inbox/*.txt")):
    text = open(path).read()
    person = re.search("From: (.+)", text)[1]
    count, item = re.search(r"like (\\d+) x (\\w+)", text).groups()
    cost, head = int(count) * int(prices[item]), heads[departments[person]]
    verdict = "own" if head == person else "ask" if cost > {cap} else "ok"
    reply = f"To: {{person}}\\nCopy: {{head}}\\n{{cost}} {{verdict}}\\n"
    open(path.replace("inbox", "outbox"), "w").write(reply)
"""
    return Draft(
        prompt="Answer each message NN.txt in inbox/ by a file outbox/NN.txt of three lines: 'To: '"
        " and who wrote; 'Copy: ' and the head of the writer's department (tables/); then the whole"
        f" cost of what they want, a space, and one word: own if the writer is that head, else ask"
        f" if the cost is above {cap}, else ok. Change no other file.",
        files=files,
        verifier=(exactly(files | replies),),
        expert=solved("All messages are answered.", python(code)),
    )


def doors(world: World) -> Draft:
    """Doors each of whose codes follows from the clue behind the one before; no reading ahead."""
    word = world.code(8)
    codes = [str(n) for n in world.numbers(9, 1000, 9999)]
    sealed: list[str] = []
    for code, following in zip(codes, [*codes[1:], ""], strict=True):
        if following:
            one = world.number(100, 900)
            clue = world.choice(
                (
                    f"The next code is {int(following) - one} plus {one}.",
                    f"The next code is {following[::-1]} read backwards.",
                    f"The next code is {int(following) + one} minus {one}.",
                )
            )
        else:
            clue = f"The word is {word}."
        sealed.append(seal(code, clue))
    script = f"""\
import hashlib, sys
SEALED = {sealed!r}
if len(sys.argv) != 3:
    sys.exit("usage: python3 door.py NUMBER CODE")
number, code = int(sys.argv[1]), sys.argv[2]
data = bytes.fromhex(SEALED[number - 1])
key = b"".join(hashlib.sha256((code + str(i)).encode()).digest() for i in range(8))
clue = bytes(a ^ b for a, b in zip(data, key))
if not clue.startswith(b"OK "):
    sys.exit("wrong code for door " + str(number))
print(clue[3:].decode())
"""

    def expert() -> Expert:
        code = codes[0]
        for number in range(1, 10):
            clue = yield shell(f"python3 door.py {number} {code}")
            words = clue.split()
            if "word" in words[:2]:
                return words[3].rstrip(".")
            value = words[4]
            if "backwards." in words:
                code = value[::-1]
            else:
                other = int(words[6].rstrip("."))
                code = str(int(value) + other if "plus" in words else int(value) - other)
        return ""

    return Draft(
        prompt=f"There are nine doors. `python3 door.py 1 {codes[0]}` opens the first and shows how"
        " to find the code of the second, and so on. Open them all and answer with the word behind"
        " the last one only.",
        files={"door.py": script},
        verifier=({"kind": "exact", "expected": [word]},),
        expert=expert,
    )


def seal(code: str, clue: str) -> str:
    """Hex that shows the clue to who has the code."""
    data = f"OK {clue}".encode()
    key = b"".join(hashlib.sha256(f"{code}{i}".encode()).digest() for i in range(8))
    return bytes(a ^ b for a, b in zip(data, key, strict=False)).hex()


KINDS = named(chain, ledger, inbox, doors)
