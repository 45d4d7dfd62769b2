"""Runs the tests: `check.py MARKER` prints the marker and, as JSON, each test with what came of it
and every result the tool gave, in order."""

import contextlib
import importlib
import json
import sys
import traceback

marker = sys.argv[1]
tests: "dict[str, str]" = {}
problem = ""
try:
    with contextlib.redirect_stdout(sys.stderr):
        for name, function in list(vars(importlib.import_module("test_tool")).items()):
            if name.startswith("test_") and callable(function):
                try:
                    function()
                    tests[name] = ""
                except Exception:  # noqa: BLE001 - it failed, however it did
                    tests[name] = traceback.format_exc(limit=-3)[-1500:]
except BaseException:  # noqa: BLE001 - a test file that exits is one that cannot be used
    problem = traceback.format_exc(limit=-3)[-1500:]
calls = vars(importlib.import_module("wardian"))["calls"]
report = {"tests": tests, "problem": problem, "calls": calls}
sys.stdout.write(f"\n{marker}{json.dumps(report)}\n")
