"""Family `files`: folders put in order by a rule."""

import json
from typing import Any

from wardian.evals.suites.core.kinds import named
from wardian.evals.suites.core.world import DEPARTMENTS, World
from wardian.evals.suites.drafts import Draft, answered, solved
from wardian.evals.suites.experts import python


def exactly(files: dict[str, str]) -> dict[str, Any]:
    """These files, and no others."""
    return {
        "kind": "files",
        "only": True,
        "files": [{"path": path, "text": text} for path, text in files.items()],
    }


def dated(world: World) -> Draft:
    """Scans named by a date are filed by year under a readable name."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for name in world.goods(7):
        year, month, day = world.date(world.number(2021, 2024)).split("-")
        text = f"scan of the {name} receipt, page {world.number(1, 9)}\n"
        before[f"inbox/SCAN_{year}{month}{day}_{name}.txt"] = text
        after[f"archive/{year}/{year}-{month}-{day}-{name}.txt"] = text
    kept = {f"inbox/notes-{word}.txt": f"call about {word}\n" for word in world.codenames(3)}
    code = """
import os, re
for name in os.listdir("inbox"):
    if m := re.fullmatch(r"SCAN_(\\d{4})(\\d\\d)(\\d\\d)_(.+)", name):
        y, mo, d, rest = m.groups()
        os.makedirs(f"archive/{y}", exist_ok=True)
        os.rename(f"inbox/{name}", f"archive/{y}/{y}-{mo}-{d}-{rest}")
"""
    return Draft(
        prompt="The folder inbox/ holds scans named like SCAN_YYYYMMDD_thing.txt. Move each scan to"
        " archive/YYYY/YYYY-MM-DD-thing.txt, with the year as the folder. Files in inbox/ that are"
        " not such scans stay where they are. Change no content.",
        files=before | kept,
        verifier=(exactly(after | kept),),
        expert=solved("The scans are filed.", python(code)),
    )


def by_department(world: World) -> Draft:
    """Letters are sorted by what their first lines say."""
    departments = world.rng.sample(DEPARTMENTS, 3)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for index, person in enumerate(world.people(9)):
        unknown = index % 4 == 3
        department = "" if unknown else world.choice(departments)
        head = f"From: {person}\n" + (f"Department: {department}\n" if department else "")
        text = f"{head}\nPlease see the attached {world.goods(1)[0]}.\n"
        name = f"letter-{index + 1:02}.txt"
        before[f"letters/{name}"] = text
        folder = department.lower().replace(" ", "-") or "unsorted"
        after[f"{folder}/{name}"] = text
    code = """
import glob, os, re
for path in glob.glob("letters/*.txt"):
    found = re.search(r"^Department: (.+)$", open(path).read(), re.M)
    folder = found[1].lower().replace(" ", "-") if found else "unsorted"
    os.makedirs(folder, exist_ok=True)
    os.rename(path, f"{folder}/{os.path.basename(path)}")
"""
    return Draft(
        prompt="Sort the letters in letters/: move each into a folder at the top level named after"
        " the department that the letter itself names, in lower case with hyphens for spaces"
        " (field-service/letter-01.txt). Letters that name no department go to unsorted/. Keep"
        " their names and their text.",
        files=before,
        verifier=(exactly(after),),
        expert=solved("The letters are sorted.", python(code)),
    )


def duplicates(world: World) -> Draft:
    """Files of the same content are removed but for the first."""
    before: dict[str, str] = {}
    for name in world.goods(5):
        text = f"{name}: {world.number(100, 999)} pieces, shelf {world.code(3)}\n"
        for folder in world.rng.sample(["a", "b", "c", "d"], world.number(1, 3)):
            before[f"store/{folder}/{name}-{world.number(10, 99)}.txt"] = text
    before["store/d/copy-of-nothing.txt"] = f"alone {world.code()}\n"
    first: dict[str, str] = {}
    for path in sorted(before):
        first.setdefault(before[path], path)
    kept = {path: text for text, path in first.items()}
    gone = sorted(before.keys() - kept.keys())
    code = """
import os
seen, gone = set(), []
for path in sorted(os.path.join(at, name) for at, _, names in os.walk("store") for name in names):
    text = open(path).read()
    if text in seen:
        os.remove(path); gone.append(path)
    seen.add(text)
open("removed.txt", "w").write("".join(path + "\\n" for path in gone))
"""
    return Draft(
        prompt="Some files below store/ have the same content as others. Of each group of equal"
        " files keep the one whose path comes first in alphabetical order and delete the rest."
        " Write the paths that you deleted (like store/b/x.txt) to removed.txt, one a line,"
        " sorted.",
        files=before,
        verifier=(exactly(kept | {"removed.txt": "\n".join(gone)}),),
        expert=solved("The duplicates are gone.", python(code)),
    )


def chapters(world: World) -> Draft:
    """A long file is divided at its headings, with an index of the pieces."""
    titles = [
        f"{word} {thing}" for word, thing in zip(world.codenames(5), world.goods(5), strict=True)
    ]
    sections: dict[str, str] = {}
    for title in titles:
        lines = [f"{person} signed for it." for person in world.people(world.number(2, 6))]
        sections[title] = "\n".join(lines)
    whole = "# Handbook\n\n" + "\n".join(
        f"## {t.title()}\n{body}\n" for t, body in sections.items()
    )
    after = {"handbook.md": whole}
    index: list[str] = []
    for number, (title, body) in enumerate(sections.items(), start=1):
        name = f"{number:02}-{title.replace(' ', '-')}.md"
        after[f"chapters/{name}"] = f"## {title.title()}\n{body}"
        index.append(f"{name} {len(body.splitlines())}")
    after["chapters/INDEX.txt"] = "\n".join(index)
    code = """
import os, re
os.makedirs("chapters", exist_ok=True)
parts = re.split(r"(?m)^(?=## )", open("handbook.md").read())[1:]
index = []
for number, part in enumerate(parts, 1):
    lines = part.strip().splitlines()
    name = f"{number:02}-{lines[0][3:].lower().replace(' ', '-')}.md"
    open(f"chapters/{name}", "w").write("\\n".join(lines) + "\\n")
    index.append(f"{name} {len(lines) - 1}")
open("chapters/INDEX.txt", "w").write("\\n".join(index) + "\\n")
"""
    return Draft(
        prompt="Divide handbook.md into one file for each of its ## sections: chapters/NN-title.md,"
        " numbered from 01 in their order, the title in lower case with hyphens for spaces. Each"
        " file holds its heading line and the lines below it, without the blank line at the end."
        " Also write chapters/INDEX.txt: for each file a line with its name, a space, and how many"
        " lines stand below its heading. Leave handbook.md as it is.",
        files={"handbook.md": whole},
        verifier=(exactly(after),),
        expert=solved("The handbook is divided.", python(code)),
    )


def settings(world: World) -> Draft:
    """One key is changed in many files, but only where a condition holds."""
    old, new = world.numbers(2, 1000, 9999)
    hosts = [town.lower().replace(" ", "-") for town in world.towns(6)]
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    changed: list[str] = []
    sure = [(True, True), (True, False), (False, True)]
    for index, host in enumerate(hosts):
        random = (world.rng.random() < 0.6, world.rng.random() < 0.6)
        is_old, is_on = sure[index] if index < len(sure) else random
        port = old if is_old else world.number(100, 900)
        lines = [
            "[server]", f"host = {host}", f"port = {port}", "",
            "[proxy]", f"enabled = {'yes' if is_on else 'no'}", f"port = {old}", "",
        ]  # fmt: skip
        path = f"sites/{host}.ini"
        before[path] = "\n".join(lines)
        if is_old and is_on:
            lines[2] = f"port = {new}"
            changed.append(path)
        after[path] = "\n".join(lines)
    code = f"""
import configparser, glob
count = 0
for path in sorted(glob.glob("sites/*.ini")):
    parsed = configparser.ConfigParser(); parsed.read(path)
    if parsed["server"]["port"] == "{old}" and parsed["proxy"]["enabled"] == "yes":
        text = open(path).read()
        open(path, "w").write(text.replace("port = {old}", "port = {new}", 1)); count += 1
print(count)
"""
    return Draft(
        prompt=f"In sites/*.ini, set the port in the section [server] to {new}, but only in files"
        f" where it is {old} now and where the section [proxy] has enabled = yes. Change nothing"
        " else, also not the proxy's port. Answer with the number of files you changed, as a"
        " number only.",
        files=before,
        verifier=(
            exactly(after),
            {"kind": "number", "expected": len(changed), "whole": True},
        ),
        expert=answered(python(code)),
    )


def manifest(world: World) -> Draft:
    """A manifest is compared with what is there."""
    names = [f"{name}.dat" for name in world.goods(8)]
    contents = {name: world.code(world.number(5, 40)) + "\n" for name in names}
    listed = {name: len(text) for name, text in contents.items()}
    missing, wrong, extra = names[0], names[1], names[2]
    there = {f"parts/{name}": text for name, text in contents.items() if name != missing}
    listed[wrong] += world.number(1, 9)
    del listed[extra]
    report = {"missing": [missing], "extra": [extra], "wrong_size": [wrong]}
    code = """
import json, os
listed = json.load(open("manifest.json"))
there = {name: os.path.getsize("parts/" + name) for name in os.listdir("parts")}
print(json.dumps({
    "missing": sorted(listed.keys() - there.keys()),
    "extra": sorted(there.keys() - listed.keys()),
    "wrong_size": sorted(n for n in listed.keys() & there.keys() if listed[n] != there[n]),
}))
"""
    return Draft(
        prompt="manifest.json says which files parts/ should hold and how many bytes each has."
        " Compare it with the folder. Answer with one JSON object with the keys missing (in the"
        " manifest only), extra (in the folder only) and wrong_size, each a sorted list of names."
        " Change no file.",
        files=there | {"manifest.json": json.dumps(listed, indent=1)},
        verifier=(
            {"kind": "json", "expected": report},
            exactly(there | {"manifest.json": json.dumps(listed, indent=1)}),
        ),
        expert=answered(python(code)),
    )


KINDS = named(dated, by_department, duplicates, chapters, settings, manifest)
