"""Calls the tool once: `call.py MARKER NAME ARGUMENTS` prints the marker and the result as JSON."""

import contextlib
import importlib
import json
import sys
import traceback

marker, name, arguments = sys.argv[1:4]
try:
    with contextlib.redirect_stdout(sys.stderr):
        value = getattr(importlib.import_module("tool"), name)(**json.loads(arguments))
    text = json.dumps({"value": value}, allow_nan=False)
except Exception as error:  # noqa: BLE001 - whatever the tool raises is its result
    where = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in where if frame.filename.endswith("/tool.py")]
    at = f" (tool.py, line {lines[-1]})" if lines else ""
    text = json.dumps({"raised": f"{type(error).__name__}: {error}{at}"[:2000]})
sys.stdout.write(f"\n{marker}{text}\n")
