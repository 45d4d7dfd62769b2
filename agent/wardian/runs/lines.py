"""A log's records as they stand there: what can be read of them, quickly and without types."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wardian.runs.encode import BadLine, from_json, is_newer, parse_line
from wardian.runs.log import LOG_NAME, open_log
from wardian.runs.trajectory import read_blob

HEAD = re.compile(rb'\{"seq":\d+,"wall":"[^"\\]*","mono":[\d.]+,"kind":"(\w+)"')


class Line(NamedTuple):
    """What of a record matters to whoever looks for runs."""

    kind: str
    wall: str
    data: Any


def lines_of(folder: Path, kinds: frozenset[str]) -> Iterator[Line]:
    """The readable records of these kinds, in order; none of a newer major version's.

    Raises: OSError when the log cannot be read.
    """

    def load_blob(reference: dict[str, Any]) -> str:
        return read_blob(folder, reference)

    with os.fdopen(open_log(folder / LOG_NAME), "rb") as stream:
        content = stream.read()
    for raw in content.split(b"\n"):
        head = HEAD.match(raw)
        if not raw or (head and head[1].decode() not in kinds and head[1] != b"header"):
            continue
        try:
            record = parse_line(raw)
            data = record["data"]
            if b'"$' in raw:  # of what is kept beside the log, or looks so
                data = from_json(data, load_blob)
        except (BadLine, RecursionError):
            continue
        kind = str(record["kind"])
        if kind == "header":
            if is_newer(data):
                return
        elif kind in kinds:
            yield Line(kind, str(record.get("wall", "")), data)
