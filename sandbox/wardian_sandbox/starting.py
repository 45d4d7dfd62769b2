"""Starting a supervisor and getting to know it."""

import asyncio
import socket
import subprocess
from collections.abc import Callable
from typing import Any

from wardian_sandbox.cgroup import Group, admitted
from wardian_sandbox.channel import Channel
from wardian_sandbox.diagnosis import explain_failure
from wardian_sandbox.egress.handover import receive_listener
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.errors import SandboxLost, SandboxUnavailable
from wardian_sandbox.guard import remove
from wardian_sandbox.inner.frames import pack
from wardian_sandbox.process import BoxProcess, Process
from wardian_sandbox.types import ResourceLimits

START_SECONDS = 60.0
"""A tenth of one is usual. What cannot start says so and ends; this is for crowded machines."""
Started = tuple[Process, Channel, dict[str, Any]]
"""A supervisor that serves: its process, the way to it, and what it said of itself."""


async def start(
    launch: Callable[[int], subprocess.Popen[bytes]],
    settings: dict[str, Any],
    explain: Callable[[str], SandboxUnavailable],
    proxy: EgressProxy | None = None,
) -> Started:
    """Launch a supervisor and wait until it serves.

    `launch` gets the descriptor of the supervisor's end. `explain` makes an error of what the
    process wrote to its standard error. `proxy` gets the box's way out, if it is to have one.
    Raises: SandboxUnavailable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        process = Process(launch(theirs.fileno()))
    except OSError as problem:
        ours.close()
        raise explain(str(problem)) from problem
    finally:
        theirs.close()
    channel: Channel | None = None
    try:
        async with asyncio.timeout(START_SECONDS):
            await introduce(ours, settings, proxy)
            channel = await Channel.connect(ours)
            ready = await channel.ready
    except (SandboxLost, TimeoutError, OSError) as problem:
        await _discard(process, channel or ours)
        complaint = process.complaint()
        process.release()
        raise explain(complaint or str(problem)) from problem
    except BaseException:
        await abandon(process, channel or ours)
        raise
    return process, channel, ready


async def start_in_group(
    launch: Callable[[int], subprocess.Popen[bytes]],
    settings: dict[str, Any],
    limits: ResourceLimits,
    proxy: EgressProxy | None = None,
) -> tuple[Started, Group | None]:
    """As `start`, for a box of bubblewrap, with the control group that its limits are kept by.

    The group is None where this user may make none. Raises: SandboxUnavailable.
    """
    admission: asyncio.Task[Group | None] | None = None

    def launch_and_admit(control: int) -> subprocess.Popen[bytes]:
        nonlocal admission
        process = launch(control)
        # Meanwhile it starts; nothing of the guest's runs before it is done.
        admission = asyncio.create_task(asyncio.to_thread(admitted, process.pid, limits))
        return process

    started: Started | None = None
    try:
        started = await start(launch_and_admit, settings, explain_failure, proxy)
        assert admission is not None
        return started, await asyncio.shield(admission)
    except BaseException:
        # Who cancels a second time does not wait for it; it is done all the same.
        await asyncio.shield(_undo(started, admission))
        raise


async def _undo(started: Started | None, admission: asyncio.Task[Group | None] | None) -> None:
    """Leave nothing of a box that could not be opened, nor of its control group."""
    if started is not None:
        await abandon(*started[:2])
    if admission is None:
        return
    await asyncio.wait([admission])
    if admission.exception() is None and (group := admission.result()) is not None:
        await remove(group)


async def abandon(process: BoxProcess, control: Channel | socket.socket) -> None:
    """End a supervisor that nobody is to have, and leave nothing of it."""
    try:
        await _discard(process, control)
    finally:
        process.release()


async def introduce(
    control: socket.socket, settings: dict[str, Any], proxy: EgressProxy | None
) -> None:
    """Tell a new supervisor its settings; take the way out that it hands over, if it is to.

    `control` is a connected unix socket, before there is a channel over it.
    Raises: SandboxLost, OSError.
    """
    control.setblocking(False)
    first = pack({**settings, "egress": proxy is not None})
    await asyncio.get_running_loop().sock_sendall(control, first)
    if proxy is not None:
        proxy.serve(await receive_listener(control))


async def _discard(process: BoxProcess, control: Channel | socket.socket) -> None:
    if isinstance(control, Channel):
        control.end("it did not start")
    else:
        control.close()
    process.kill()
    await process.ended()
