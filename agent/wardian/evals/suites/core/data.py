"""Family `data`: tables and logs, none of them clean."""

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Draft, answered, hidden_check, solved
from wardian.evals.suites.experts import python


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return made.getvalue()


def orders(world: World) -> Draft:
    """Totals by customer, from orders with repeats, cancellations and two ways to write a price."""
    customers = world.people(5)
    rows: list[list[str]] = []
    totals: dict[str, int] = defaultdict(int)
    for number in world.numbers(18, 1000, 9999):
        customer, cents = world.choice(customers), world.number(150, 99_999)
        state = world.choice(("paid", "paid", "Paid ", "cancelled"))
        price = f"{cents / 100:.2f}"
        shown = price.replace(".", ",") if world.rng.random() < 0.3 else price
        row = [str(number), customer, shown, state]
        rows += [row] * world.rng.choice((1, 1, 1, 2))
        if state != "cancelled":
            totals[customer] += cents
    wanted = {name: cents / 100 for name, cents in totals.items()}
    verifier, hidden = hidden_check(
        f"""
wanted = json.loads({json.dumps(wanted)!r})
got = loaded("totals.json")
expect(isinstance(got, dict), "totals.json is no JSON object")
expect(got.keys() == wanted.keys(), "other customers")
for name in wanted:
    expect(isinstance(got[name], (int, float)) and abs(got[name] - wanted[name]) < 0.005, name)
"""
    )
    code = """
import csv, json
seen, totals = set(), {}
for row in csv.DictReader(open("orders.csv")):
    if row["order"] in seen or row["state"].strip().lower() == "cancelled":
        continue
    seen.add(row["order"])
    price = round(float(row["price"].replace(",", ".")) * 100)
    totals[row["customer"]] = totals.get(row["customer"], 0) + price
json.dump({name: cents / 100 for name, cents in totals.items()}, open("totals.json", "w"))
"""
    return Draft(
        prompt="orders.csv lists orders: order, customer, price, state. Some lines are repeated"
        " (same order number): count each order once. Leave out cancelled orders. Some prices have"
        " a comma for the decimal point. Write totals.json, an object of each customer's total;"
        " customers with no order that counts are not in it.",
        files={
            "orders.csv": table(
                ("order", "customer", "price", "state"), world.rng.sample(rows, len(rows))
            )
        },
        hidden=hidden,
        verifier=(verifier,),
        expert=solved("totals.json is written.", python(code)),
    )


def overtime(world: World) -> Draft:
    """Two tables are joined, with a rule for each row."""
    people = world.people(6)
    contract = {person: world.rng.choice((20, 30, 40)) for person in people}
    staff = [
        (f"E{n}", person, contract[person])
        for n, person in zip(world.numbers(6, 100, 999), people, strict=True)
    ]
    sheet: list[tuple[str, str, int]] = []
    over: dict[str, int] = {}
    for index, (badge, person, hours) in enumerate(staff):
        days = [world.number(2, 9) for _ in range(5)]
        if index < 2:
            days = [hours // 5 + world.number(1, 3) for _ in range(5)]
        sheet += [(badge, f"2025-03-{3 + i:02}", worked) for i, worked in enumerate(days)]
        if sum(days) > hours:
            over[person] = sum(days) - hours
    sheet += [("E000", "2025-03-04", 30)]
    wanted = sorted(over.items(), key=lambda pair: (-pair[1], pair[0]))
    verifier, hidden = hidden_check(
        f"""
wanted = json.loads({json.dumps([[n, str(h)] for n, h in wanted])!r})
got = rows("overtime.csv")
expect(got is not None, "there is no overtime.csv")
expect([c.strip() for c in got[0]] == ["name", "overtime"], "the header")
expect([[c.strip() for c in row] for row in got[1:]] == wanted, "the rows")
"""
    )
    code = """
import csv
hours = {}
for row in csv.DictReader(open("timesheet.csv")):
    hours[row["badge"]] = hours.get(row["badge"], 0) + int(row["hours"])
over = []
for row in csv.DictReader(open("staff.csv")):
    more = hours.get(row["badge"], 0) - int(row["weekly_hours"])
    if more > 0:
        over.append((row["name"], more))
with open("overtime.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(("name", "overtime"))
    writer.writerows(sorted(over, key=lambda pair: (-pair[1], pair[0])))
"""
    return Draft(
        prompt="staff.csv has each person's badge, name and weekly_hours; timesheet.csv the hours"
        " worked in one week, by badge and day. Write overtime.csv with the header name,overtime:"
        " who worked more than their weekly hours, and by how many, most first, then by name."
        " Badges that staff.csv does not know are left out.",
        files={
            "staff.csv": table(("badge", "name", "weekly_hours"), staff),
            "timesheet.csv": table(("badge", "day", "hours"), world.rng.sample(sheet, len(sheet))),
        },
        hidden=hidden,
        verifier=(verifier,),
        expert=solved("overtime.csv is written.", python(code)),
    )


def server_log(world: World) -> Draft:
    """The worst hour of a log whose lines are in two formats."""
    services = world.codenames(4)
    hour = world.number(1, 22)
    lines: list[str] = []
    errors: Counter[str] = Counter()
    for _ in range(160):
        at, service = world.number(0, 23), world.choice(services)
        level = world.choice(("INFO", "INFO", "WARN", "ERROR"))
        if world.rng.random() < 0.15:
            at, level = hour, "ERROR"
        minute, second = world.number(0, 59), world.number(0, 59)
        stamp = f"{at:02}:{minute:02}:{second:02}"
        if world.rng.random() < 0.5:
            lines.append(f"2025-05-06T{stamp}Z [{level}] {service}: request {world.code(4)}")
        else:
            lines.append(f"{stamp} {service} level={level.lower()} id={world.code(4)}")
        if level == "ERROR":
            errors[f"{at:02} {service}"] += 1
    by_hour: Counter[str] = Counter()
    for key, count in errors.items():
        by_hour[key[:2]] += count
    worst = min(by_hour, key=lambda one: (-by_hour[one], one))
    named = {key[3:]: count for key, count in errors.items() if key[:2] == worst}
    service = min(named, key=lambda one: (-named[one], one))
    wanted = {"hour": worst, "errors": by_hour[worst], "service": service}
    code = """
import collections, json, re
by_hour, by_both = collections.Counter(), collections.Counter()
for line in open("server.log"):
    if m := re.match(r"\\S+T(\\d\\d)\\S+ \\[ERROR\\] (\\w+):", line) or re.match(
        r"(\\d\\d):\\S+ (\\w+) level=error", line
    ):
        by_hour[m[1]] += 1; by_both[m[1], m[2]] += 1
worst = min(by_hour, key=lambda h: (-by_hour[h], h))
named = {s: n for (h, s), n in by_both.items() if h == worst}
service = min(named, key=lambda s: (-named[s], s))
print(json.dumps({"hour": worst, "errors": by_hour[worst], "service": service}))
"""
    return Draft(
        prompt="server.log has lines of two formats. In which hour of the day are the most errors,"
        " how many, and which service has most of that hour's errors? Ties go to the earlier hour,"
        ' and to the first name. Answer with JSON only: {"hour": "HH", "errors": N, "service":'
        ' "…"}.',
        files={"server.log": "\n".join(lines) + "\n"},
        verifier=({"kind": "json", "expected": wanted},),
        expert=answered(python(code)),
    )


def contacts(world: World) -> Draft:
    """Records are made uniform, and the hopeless ones set aside."""
    records: list[dict[str, str]] = []
    good: list[dict[str, str]] = []
    bad: list[str] = []
    for index, person in enumerate(world.people(10)):
        digits = f"0{world.number(100, 999)}{world.number(100000, 999999)}"
        mail = person.lower().replace(" ", ".") + "@example.org"
        broken = index % 4 == 2
        style = world.number(0, 2)
        phone = (
            digits,
            f"{digits[:4]} {digits[4:]}",
            f"({digits[:4]}) {digits[4:7]}-{digits[7:]}",
        )[style]
        shown = mail.replace("@", " at ") if broken else (mail.upper() if style == 1 else mail)
        name = f"  {person}" if style == 2 else person.upper() if style == 1 else person
        records.append({"name": name, "phone": phone, "mail": shown})
        if broken:
            bad.append(person)
        else:
            good.append({"name": person, "phone": digits, "mail": mail})
    good.sort(key=lambda one: one["name"])
    verifier, hidden = hidden_check(
        f"""
wanted = json.loads({json.dumps(good)!r})
found = text("clean.jsonl")
expect(found is not None, "there is no clean.jsonl")
got = [json.loads(line) for line in found.splitlines() if line.strip()]
expect(got == wanted, "the records")
"""
    )
    code = """
import json, re
clean, bad = [], []
for line in open("contacts.jsonl"):
    row = json.loads(line)
    name = row["name"].strip().title()
    if "@" not in row["mail"]:
        bad.append(name); continue
    phone = re.sub(r"\\D", "", row["phone"])
    clean.append({"name": name, "phone": phone, "mail": row["mail"].lower()})
clean.sort(key=lambda one: one["name"])
open("clean.jsonl", "w").write("".join(json.dumps(one) + "\\n" for one in clean))
print("\\n".join(bad))
"""
    return Draft(
        prompt="Clean contacts.jsonl into clean.jsonl, one JSON object a line, sorted by name:"
        " names without outer spaces and in the form 'First Last', phones as digits only, mail in"
        " lower case. Leave out records whose mail has no @. Answer with the names of those you"
        " left out, in the form 'First Last', one a line, nothing else.",
        files={"contacts.jsonl": "".join(json.dumps(one) + "\n" for one in records)},
        hidden=hidden,
        verifier=(verifier, {"kind": "items", "expected": bad}),
        expert=answered(python(code)),
    )


def stock(world: World) -> Draft:
    """Stock after a list of movements, some of which are corrections of others."""
    goods = world.goods(6)
    stock_now = {name: world.number(50, 200) for name in goods}
    start = list(stock_now.items())
    moves: dict[str, tuple[str, int]] = {}
    log: list[tuple[str, str, int, str]] = []
    for number in range(1, 21):
        identity, name = f"M{number:03}", world.choice(goods)
        change = world.rng.choice((-1, 1)) * world.number(1, 12)
        moves[identity] = (name, change)
        log.append((identity, name, change, ""))
        if number % 6 == 0:
            earlier = f"M{number - world.number(1, 4):03}"
            mended = world.number(1, 12)
            log.append((f"C{number:03}", moves[earlier][0], mended, earlier))
            moves[earlier] = (moves[earlier][0], mended)
    for name, change in moves.values():
        stock_now[name] += change
    wanted = "\n".join(f"{name} {count}" for name, count in sorted(stock_now.items()))
    code = """
import csv
stock = {row["item"]: int(row["count"]) for row in csv.DictReader(open("stock.csv"))}
moves = {}
for row in csv.DictReader(open("moves.csv")):
    moves[row["corrects"] or row["id"]] = (row["item"], int(row["change"]))
for item, change in moves.values():
    stock[item] += change
open("stock-now.txt", "w").write("".join(f"{n} {c}\\n" for n, c in sorted(stock.items())))
"""
    return Draft(
        prompt="stock.csv is what a store had; moves.csv what came and went since. A row whose"
        " column corrects names another row replaces that row's change; the last correction of a"
        " row counts. Write stock-now.txt: a line 'item count' for each item, sorted by item.",
        files={
            "stock.csv": table(("item", "count"), start),
            "moves.csv": table(("id", "item", "change", "corrects"), log),
        },
        verifier=({"kind": "files", "files": [{"path": "stock-now.txt", "text": wanted}]},),
        expert=solved("stock-now.txt is written.", python(code)),
    )


KINDS = named(orders, overtime, server_log, contacts, stock)
