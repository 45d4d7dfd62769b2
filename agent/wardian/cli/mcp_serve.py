"""`agent mcp serve`: the sandboxed tools for other programs."""

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.agent import Agent
from wardian.cli.complaint import say_unconfined
from wardian.cli.dispatch import report
from wardian.cli.interrupts import Interrupts
from wardian.cli.run_options import Copy, PolicyName, SandboxName, Tools
from wardian.cli.task_input import read_file
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.runs import RunStore
from wardian.serve.mcp_session import Caller, Session
from wardian.settings import load_settings, paths, policy_in_force, workspace_of

TOKEN_BYTES = 32
MIN_TOKEN_CHARS = 16


def serve(
    *,
    workspace: Annotated[
        Path, typer.Option("-w", "--workspace", metavar="DIR", help="The folder tools act in.")
    ] = Path(),
    tools: Tools = None,
    policy: PolicyName = None,
    sandbox: SandboxName = None,
    copy: Copy = False,
    max_tool_calls: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Calls at most, of this session.")
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Serve on 127.0.0.1:PORT; 0 is any."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the token that HTTP asks for.")
    ] = None,
) -> int:
    """Offer the sandboxed tools to another program.

    Over standard streams, or HTTP on this machine.
    The policy holds: what it denies is refused, and what it asks about is asked through that
    program if it can (elicitation), else refused. The session is recorded as a run.
    """
    flags = {
        "policy": policy,
        "sandbox": sandbox.value if sandbox else None,
        "workspace_mode": "copy" if copy else None,
        "max_tool_calls": max_tool_calls,
    }
    settings = load_settings(flags, os.environ, workspace)
    say_unconfined(settings.sandbox)
    places = paths(os.environ)
    rules = policy_in_force(settings.policy, os.environ, workspace_of(workspace, os.environ))
    names = [name.strip() for name in tools.split(",")] if tools is not None else None
    caller = Caller()
    # There are no steps or tokens to count, and an hour's silence is no reason to leave.
    budgets = settings.budgets(rules.layers[0].budgets, rules.added_budgets)
    budgets = replace(budgets, steps=None, tokens=None, cost_usd=None, wall_seconds=None)
    agent: Agent[Any] = Agent(
        caller,
        tools=names,
        policy=rules,
        budgets=budgets,
        sandbox=settings.sandbox,
        sandbox_image=settings.sandbox_image,
        workspace=workspace,
        workspace_mode=settings.workspace_mode,
        store=RunStore(places.runs),
        tags=("mcp-serve",),
        consent=settings.consent == "yes",
    )
    from wardian.serve.mcp import serve_http, serve_stdio  # a second; after all that may fail

    session = Session(agent, caller)
    if http is None:
        serving = serve_stdio(session)
    else:
        token = the_token(token_file)
        listener = listening_on(http)
        if token_file is None:
            write(sys.stderr, f"token: {token}\n")
        serving = serve_http(session, listener, token, announce)
    asyncio.run(until_stopped(serving, session))
    return ExitCode.DONE


def listening_on(port: int) -> socket.socket:
    """Raises: ConfigurationError."""
    from wardian.serve.mcp import HOST, listener_on

    try:
        return listener_on(port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(
            f"Cannot listen on {HOST}:{port}: {reason}.",
            "Choose another port (0 is any that is free), or end the program that has it.",
        ) from error


async def until_stopped(serving: Awaitable[None], session: Session) -> None:
    """Serve until the other program leaves; a signal closes the session and ends the command."""
    stopped = asyncio.Event()
    with Interrupts() as interrupts:
        interrupts.stop = stopped.set
        work = asyncio.ensure_future(serving)
        signalled = asyncio.create_task(stopped.wait())
        await asyncio.wait((work, signalled), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            signalled.cancel()
            return await work
        code: int = ExitCode.NOT_ACHIEVED
        try:
            await session.close()
            code = interrupts.exit_code or ExitCode.DONE
        except Exception as error:  # noqa: BLE001 - nothing passes the exit below
            code = report(error, ["mcp", "serve"])
        finally:
            # At once: a thread may wait for standard input, which cannot be called off.
            os._exit(code)


def the_token(file: Path | None) -> str:
    """The one in the file, else a new one. Raises: ConfigurationError."""
    if file is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    token = read_file(file).strip()
    if len(token) < MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            f"{file} holds no token of at least {MIN_TOKEN_CHARS} plain characters.",
            f"Make one: head -c {TOKEN_BYTES} /dev/urandom | base64 > {file}.",
        )
    return token


def announce(port: int) -> None:
    write(sys.stderr, f"serving on http://127.0.0.1:{port}/mcp\n")
