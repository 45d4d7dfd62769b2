"""Where each key and each array element of a TOML text stands, by line.

Only for text that `tomllib` has accepted, so the scan may take well-formedness for granted.
Inline tables are one place: what is inside them has the line of their key.
"""

import re

Location = tuple[str | int, ...]

SKIPPED = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*""")
STRING = re.compile(
    r"""\"{3}(?:[^\\]|\\[\s\S])*?\"{3,5}|'{3}[\s\S]*?'{3,5}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
)
SCALAR = re.compile(r"[^,\[\]{}#\n\"']+")


def line_numbers(text: str) -> dict[Location, int]:
    """The line, from 1, of every table, key and array element."""
    return _Scan(text).lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Location, int] = {}
        self.counted = 1
        self.counted_to = 0
        self.arrays: dict[Location, int] = {}
        table: Location = ()
        while self.skip() < len(text):
            if text[self.at] == "[":
                table = self.header()
            else:
                name = (*table, *self.dotted_key("="))
                self.skip()
                self.value(name)

    def line(self) -> int:
        self.counted += self.text.count("\n", self.counted_to, self.at)
        self.counted_to = self.at
        return self.counted

    def note(self, location: Location) -> None:
        self.lines.setdefault(location, self.line())

    def skip(self) -> int:
        self.at = self._end(SKIPPED)
        return self.at

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        assert found is not None, f"not TOML at character {self.at}"
        return found.end()

    def header(self) -> Location:
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        name: Location = ()
        for part in self.dotted_key("]"):
            # A table below an array of tables belongs to the array's last element so far.
            name = (*name, self.arrays[name], part) if name in self.arrays else (*name, part)
        if is_array:
            self.at += 1
            self.arrays[name] = self.arrays.get(name, -1) + 1
            name = (*name, self.arrays[name])
        self.note(name)
        return name

    def dotted_key(self, end: str) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            found = KEY.match(self.text, self.at)
            assert found is not None, f"no TOML key at character {self.at}"
            parts.append(next(part for part in found.groups() if part is not None))
            self.at = found.end() + 1
            if self.text[found.end()] == end:
                return tuple(parts)

    def value(self, location: Location) -> None:
        self.note(location)
        opening = self.text[self.at]
        if opening == "[":
            self.array(location)
        elif opening == "{":
            self.inline_table(location)
        else:
            self.at = self._end(STRING if opening in "\"'" else SCALAR)

    def array(self, location: Location) -> None:
        self.at += 1
        index = 0
        while self.text[self.skip()] != "]":
            self.value((*location, index))
            index += 1
            if self.text[self.skip()] == ",":
                self.at += 1
        self.at += 1

    def inline_table(self, location: Location) -> None:
        self.at += 1
        while self.text[self.skip()] != "}":
            opening = self.text[self.at]
            if opening == ",":
                self.at += 1
            elif opening in "[{":
                self.value((*location, ""))
            else:
                self.at = self._end(STRING if opening in "\"'" else SCALAR)
        self.at += 1
