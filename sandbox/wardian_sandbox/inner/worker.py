"""The persistent Python interpreter: runs cells of untrusted code, one after another.

It is forked from the supervisor and trusted with nothing. Over its socket it gets, for each cell,
a nonce, the code, and by descriptor a fresh pipe for output. What it sends back, marked with
the nonce, is a claim about value, error and exit; packets without the nonce are ignored.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import json
import os
import resource
import sys
import types

from wardian_sandbox.inner import figures, presenting
from wardian_sandbox.inner.claims import (
    BURY,
    CHUNK_BYTES,
    FIGURE_LAST,
    FIGURE_PARTS,
    INLINE_BYTES,
    LAST,
    LIMITS,
    NONCE_BYTES,
    PARTS,
)
from wardian_sandbox.inner.sockets import Socket, receive_fds

CELL = "<cell "
REQUEST_BYTES = NONCE_BYTES + LIMITS.size + INLINE_BYTES
WAIT = os.waitpid
LIBC = ctypes.CDLL(None)
"""Kept: to make one costs as much as a small cell."""


def serve(sock: Socket) -> None:
    """Run cells until the supervisor hangs up. Never returns into the supervisor's code."""
    _load_what_cells_need()
    me = os.getpid()
    streams = _open_standard_streams()
    scope = _fresh_main()
    number = 0
    while True:
        data, fds = receive_fds(sock, REQUEST_BYTES, 2)
        if not data:
            os._exit(0)
        if data == BURY:
            _bury()
            continue
        number += 1
        cpu_seconds, text_bytes = LIMITS.unpack_from(data, NONCE_BYTES)
        code = _code(data[NONCE_BYTES + LIMITS.size :], fds[1:])
        os.dup2(fds[0], 1)
        os.dup2(fds[0], 2)
        os.close(fds[0])
        _allow_processor_seconds(cpu_seconds)
        sys.stdin, sys.stdout, sys.stderr = streams
        claim = _run(code, f"{CELL}{number}>", scope, text_bytes)
        drawn = figures.collect()
        if os.getpid() != me:
            os._exit(int(str(claim["exit_code"])))  # the code forked and its child came back here
        _flush()
        _silence()
        nonce = data[:NONCE_BYTES]
        for figure in drawn:
            _send(sock, nonce, figure, FIGURE_PARTS, FIGURE_LAST)
        _send(sock, nonce, json.dumps(claim).encode("ascii"), PARTS, LAST)


def _bury() -> None:
    """Take note of children that are dead, or they would count as processes for ever."""
    try:
        while WAIT(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _code(inline: bytes, fds: list[int]) -> str:
    if fds:
        with os.fdopen(fds[0], "rb") as file:
            inline = file.read()
    return inline.decode("utf-8", "replace")


def _send(sock: Socket, nonce: bytes, content: bytes, part: bytes, last: bytes) -> None:
    while len(content) > CHUNK_BYTES:
        sock.send(part + nonce + content[:CHUNK_BYTES])
        content = content[CHUNK_BYTES:]
    sock.send(last + nonce + content)


def _run(code: str, name: str, scope: dict[str, object], text_bytes: int) -> dict[str, object]:
    """Execute one cell. Gives value, its JSON form, error and exit code."""
    claim: dict[str, object] = {"value": None, "error": None, "exit_code": 0}
    try:
        value = _execute(code, name, scope)
        if value is not None:
            claim["value"] = _clip(presenting.readable(value), text_bytes)
            claim["json"] = presenting.as_json(value, text_bytes)
    except SystemExit as leaving:
        claim["exit_code"] = _exit_code(leaving.code)
    except BaseException as problem:  # noqa: BLE001 - whatever guest code raises is its result
        claim["exit_code"] = 1
        claim["error"] = _clip(_explain(problem), text_bytes)
    return claim


def _execute(code: str, name: str, scope: dict[str, object]) -> object:
    """Run the statements; the value of the last one if it is an expression."""
    import ast
    import linecache

    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    tree = ast.parse(code, name)
    last = None
    if tree.body and isinstance(ending := tree.body[-1], ast.Expr):
        tree.body.pop()
        last = ast.Expression(ending.value)
    if tree.body:
        exec(compile(tree, name, "exec", dont_inherit=True), scope)  # noqa: S102 - what a box is for
    if last is None:
        return None
    return eval(compile(last, name, "eval", dont_inherit=True), scope)  # noqa: S307 - the same


def _load_what_cells_need() -> None:
    """Now, while nobody waits: the supervisor itself starts without them."""
    import site

    for name in ("ast", "linecache", "traceback"):
        importlib.import_module(name)
    site.main()
    figures.prepare()


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _explain(problem: BaseException) -> str:
    """The traceback from the cell on, without the frames of this module."""
    import traceback

    frames = problem.__traceback__
    while frames is not None and not frames.tb_frame.f_code.co_filename.startswith(CELL):
        frames = frames.tb_next
    try:
        shown = traceback.TracebackException(type(problem), problem, frames)
        return "".join(shown.format()).rstrip("\n")
    except BaseException:  # noqa: BLE001 - an exception whose own __str__ raises
        return f"{type(problem).__name__} (its description could not be made)"


def _clip(text: str, limit: int) -> str:
    """At most about `limit` characters of valid UTF-8, the middle left out."""
    text = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters dropped ...]\n{text[-half:]}"


def _open_standard_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.TextIOWrapper]:
    """Unbuffered output on descriptors 1 and 2, so that order is the order of writing."""
    out, err = (
        io.TextIOWrapper(
            io.FileIO(fd, "w", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )
        for fd in (1, 2)
    )
    stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = stdin, out, err  # type: ignore[misc]
    _silence()
    return stdin, out, err


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _flush() -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001, S110 - the cell put its own object there
        pass
    LIBC.fflush(None)  # what C code printed is still in the C library's buffer


def _fresh_main() -> dict[str, object]:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [""]
    packages = os.environ.get("PYTHONPATH", "")  # ignored so far, as isolated mode does
    sys.path[:] = ["", *(entry for entry in (packages, *sys.path) if entry)]
    scope: dict[str, object] = main.__dict__
    scope["__builtins__"] = __builtins__
    return scope


def _allow_processor_seconds(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used.ru_utime + used.ru_stime) + seconds
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
