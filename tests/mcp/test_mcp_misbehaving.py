"""Servers that do what they should not: each a bounded result, and nothing left running."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wardian_tools.errors import ServerUnavailable
from wardian_tools.mcp.connection import MAX_RESTARTS, Connection
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.setting import Setting

MakeEntry = Callable[..., Entry]


def with_server(
    entry: Entry, setting: Setting, work: Callable[[Connection], Awaitable[Any]]
) -> Any:
    async def run() -> Any:
        connection = Connection(entry, setting)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


async def said(connection: Connection, text: str) -> str:
    result = await connection.call("say", {"text": text})
    return str(result.content[0].text)


def processes(mark: str) -> list[int]:
    """Those of this machine with `mark` on their command line."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and int(place.name) != os.getpid():
            try:
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in command:
                found.append(int(place.name))
    return found


def test_a_call_gives_what_the_server_answers(raw: MakeEntry, setting: Setting) -> None:
    async def work(connection: Connection) -> Any:
        return await connection.call("add", {"a": 2, "b": 3})

    result = with_server(raw(), setting, work)
    assert result.content[0].text == "5"


@pytest.mark.parametrize(
    ("said_to_it", "problem"),
    [
        ("crash", "exit code 3. Its last words: about to crash"),
        ("odd", "answered what is no answer"),
        ("flood", "wrote over 256 MiB to standard error"),
        ("stray prints", "lines to standard output that are no messages"),
        ("one long line", "longer than 16 MiB"),
        ("notify", "messages that nobody asked for"),
    ],
)
def test_a_server_that_goes_wrong_in_a_call_is_ended_and_serves_the_next(
    raw: MakeEntry, setting: Setting, said_to_it: str, problem: str
) -> None:
    async def work(connection: Connection) -> str:
        with pytest.raises(ServerUnavailable) as error:
            await said(connection, said_to_it)
        assert problem in str(error.value)
        assert len(str(error.value)) < 2_000
        assert str(error.value).count("no messages") == (said_to_it == "stray prints")
        return await said(connection, "still there")

    assert with_server(raw(), setting, work) == "still there"


def test_a_server_that_hangs_is_ended_and_started_again(raw: MakeEntry, setting: Setting) -> None:
    async def work(connection: Connection) -> str:
        with pytest.raises(ServerUnavailable, match="did not answer within 1 s") as error:
            await said(connection, "hang")
        assert "raise `timeout_seconds` in its entry" in error.value.remedy
        return await said(connection, "again")

    assert with_server(raw(timeout_seconds=1.0), setting, work) == "again"


def test_a_server_that_keeps_crashing_is_not_started_for_ever(
    raw: MakeEntry, setting: Setting
) -> None:
    async def work(connection: Connection) -> str:
        for _ in range(MAX_RESTARTS + 1):
            with pytest.raises(ServerUnavailable, match="about to crash"):
                await said(connection, "crash")
        with pytest.raises(ServerUnavailable) as error:
            await said(connection, "x")
        return str(error.value)

    assert "not started again in this run" in with_server(raw(), setting, work)


@pytest.mark.parametrize(
    ("mode", "seconds", "problem"),
    [("silent", 1.0, "did not answer within 1 s of its start"), ("dies", 20.0, "no configuration")],
)
def test_a_server_that_never_gets_ready_is_a_clear_message(
    raw: MakeEntry, setting: Setting, mark: str, mode: str, seconds: float, problem: str
) -> None:
    async def work(connection: Connection) -> None:
        await connection.offer()

    with pytest.raises(ServerUnavailable, match=problem):
        with_server(raw(mode, start_seconds=seconds), setting, work)
    assert not processes(mark)


def test_a_command_that_is_not_there_is_said_with_what_to_do(setting: Setting) -> None:
    entry = Entry(name="gone", command="no-such-server")
    with pytest.raises(ServerUnavailable) as error:
        with_server(entry, setting, Connection.offer)
    assert "No such file or directory" in error.value.cause
    assert error.value.remedy.startswith("Install no-such-server")


def test_a_banner_on_standard_output_is_passed_over_and_told(
    raw: MakeEntry, setting: Setting
) -> None:
    async def work(connection: Connection) -> str:
        assert await said(connection, "x") == "x"
        return connection.noise

    assert "Welcome to raw!" in with_server(raw("banner"), setting, work)


def test_a_cancelled_call_leaves_the_server_in_use(raw: MakeEntry, setting: Setting) -> None:
    async def work(connection: Connection) -> int:
        await said(connection, "warm")
        call = asyncio.create_task(said(connection, "x" * 100_000))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await said(connection, "next") == "next"
        return connection.starts

    assert with_server(raw(), setting, work) == 1


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
def test_what_a_server_leaves_running_ends_with_it(
    raw: MakeEntry, setting: Setting, mark: str, sandbox: str
) -> None:
    async def work(connection: Connection) -> str:
        seconds = await said(connection, "orphan")
        async with asyncio.timeout(30):
            while not processes(seconds):  # for a moment a program that starts has no command line
                await asyncio.sleep(0.01)
        return seconds

    assert not processes(with_server(raw(sandbox=sandbox), setting, work))
    assert not processes(mark)


def test_a_server_gets_the_variables_its_entry_names_and_no_others(
    raw: MakeEntry, setting: Setting
) -> None:
    async def work(connection: Connection) -> dict[str, str]:
        found: dict[str, str] = json.loads(await said(connection, "environment"))
        return found

    entry = raw(secrets=("TOKEN",), env={"LEVEL": "info", "COPY": "x-${TOKEN}"})
    found = with_server(entry, setting, work)
    assert (found["TOKEN"], found["LEVEL"], found["COPY"]) == ("t0ken", "info", "x-t0ken")
    assert "0ther" not in found.values()
    assert not set(found) & {"USER", "SHELL", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV"}


def test_a_server_whose_variable_is_not_set_is_not_started(
    raw: MakeEntry, setting: Setting
) -> None:
    with pytest.raises(ServerUnavailable, match="needs the variable ABSENT, which is not set"):
        with_server(raw(secrets=("ABSENT",)), setting, Connection.offer)


@pytest.mark.parametrize(
    ("seen", "sees", "writes"),
    [("none", [], False), ("read", ["a.txt"], False), ("write", ["a.txt"], True)],
)
def test_a_server_sees_of_the_workspace_what_its_entry_says(
    raw: MakeEntry, setting: Setting, seen: str, sees: list[str], writes: bool
) -> None:
    async def work(connection: Connection) -> list[str]:
        _, names = json.loads(await said(connection, "look"))
        try:
            await said(connection, "write")
        except ServerUnavailable:
            assert not writes
        return [name for name in names if not name.startswith(".")]

    assert with_server(raw(workspace=seen), setting, work) == sees
    assert (setting.workspace / "written").exists() == writes


@pytest.mark.parametrize("seen", ["read", "write"])
def test_a_server_sees_nothing_of_what_is_hidden_from_a_run(
    raw: MakeEntry, setting: Setting, seen: str
) -> None:
    (setting.workspace / ".env").write_text("very-private")

    async def work(connection: Connection) -> str:
        return await said(connection, "read .env")

    assert with_server(raw(workspace=seen), setting, work) == "very-private"
    setting.hidden.append(".env")
    assert "Permission denied" in with_server(raw(workspace=seen), setting, work)


def test_a_server_reaches_no_host_that_its_entry_does_not_list(
    raw: MakeEntry, setting: Setting
) -> None:
    async def work(connection: Connection) -> str:
        return await said(connection, "fetch http://192.0.2.7/")

    assert with_server(raw(), setting, work).startswith("failed")
    assert "may reach only" in with_server(raw(hosts=("198.51.100.1",)), setting, work)
    assert [(e.outcome, e.host) for e in setting.egress["raw"]] == [("denied", "192.0.2.7")]


def test_a_server_reaches_a_host_that_its_entry_lists(raw: MakeEntry, setting: Setting) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async def resolve(name: str) -> list[str]:
        return ["127.0.0.1"]

    async def work() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            hosts = (f"service.example:{port}", f"127.0.0.1:{port}")
            found = Connection(raw(hosts=hosts), replace(setting, resolve=resolve))
            try:
                return await said(found, f"fetch http://service.example:{port}/")
            finally:
                await found.close()

    assert asyncio.run(work()) == "hello"
    assert setting.egress["raw"][0].outcome == "allowed"
