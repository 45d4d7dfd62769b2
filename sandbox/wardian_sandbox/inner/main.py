"""How the supervisor starts and ends."""

from __future__ import annotations

import os
import signal
import sys

from wardian_sandbox.inner import children, landlock, listening, sacrifice
from wardian_sandbox.inner.control import Streams, open_control
from wardian_sandbox.inner.frames import FrameReader, pack
from wardian_sandbox.inner.service import Service
from wardian_sandbox.inner.sockets import Socket
from wardian_sandbox.inner.supervisor import HostGone, Supervisor
from wardian_sandbox.inner.values import as_texts
from wardian_sandbox.inner.watching import READ_BYTES

MAX_FAULT_CHARACTERS = 4000
PACKAGES = "packages"


def main(control_name: str) -> None:
    """Serve the host until it goes away, on the channel that `open_control` knows by that name."""
    sacrifice.prepare()
    children.prctl(children.PR_SET_DUMPABLE, 0)
    children.prctl(children.PR_SET_CHILD_SUBREAPER, 1)
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = open_control(control_name)
    settings = _first_message(control)
    if settings.get("egress"):
        listening.hand_over(control)
        listening.tell_programs()
    _make_package_layer(settings)
    confined = landlock.prepare(as_texts(settings["landlock"])) if "landlock" in settings else 0
    kind = Service if "service" in settings else Supervisor
    supervisor = kind(control, settings)
    _leave_the_hosts_streams()
    version = ".".join(str(part) for part in sys.version_info[:3])
    ready = {"pid": os.getpid(), "python": version, "landlock": confined}
    control.sendall(pack({"ready": ready}))
    try:
        supervisor.run()
    except HostGone:
        pass
    except Exception as problem:  # noqa: BLE001 - a fault of ours: said to the host, then the end
        import traceback

        place = traceback.extract_tb(problem.__traceback__)[-1]
        said = f"{problem!r} ({os.path.basename(place.filename)}, line {place.lineno})"
        control.sendall(pack({"fault": said[:MAX_FAULT_CHARACTERS]}))
    finally:
        supervisor.end_everything()
        os._exit(0)


def _make_package_layer(settings: dict[str, object]) -> None:
    """The folder where packages of this box's own are found, if it has a home of its own."""
    if "home" in settings:
        layer = os.path.join(str(settings["home"]), PACKAGES)
        os.makedirs(layer, exist_ok=True)
        os.environ["PYTHONPATH"] = layer


def _first_message(control: Socket | Streams) -> dict[str, object]:
    reader = FrameReader()
    while data := control.recv(READ_BYTES):
        for message in reader.feed(data):
            return message
    raise HostGone


def _leave_the_hosts_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
