"""What went over a box's connections, and what may be told of each."""

import time
from collections.abc import Callable

from wardian_sandbox.egress.names import Host
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.types import EgressEvent, EgressLimits, EgressOutcome


class Ledger:
    """The sums of one box."""

    def __init__(self, limits: EgressLimits) -> None:
        self.limits = limits
        self.connections = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def open(self) -> "Passage":
        """The account of a new connection."""
        self.connections += 1
        return Passage(self, self.connections)

    @property
    def is_used_up(self) -> bool:
        return self.connections > self.limits.total_connections

    def check_connections(self) -> None:
        """Raises: Refused."""
        if self.is_used_up:
            most = self.limits.total_connections
            raise Refused("limit", f"This sandbox has used up its {most} connections.")

    def check_bytes(self) -> None:
        """Raises: Refused."""
        if self.sent_bytes > self.limits.sent_bytes:
            raise Refused("limit", f"This sandbox may send {self.limits.sent_bytes} bytes only.")
        if self.received_bytes > self.limits.received_bytes:
            most = self.limits.received_bytes
            raise Refused("limit", f"This sandbox may receive {most} bytes only.")


class Passage:
    """One connection: what was asked, what was decided, what went over it."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self._number = number
        self._began = time.monotonic()
        self._host = ""
        self._port = 0
        self._is_allowed = False
        self.address = ""
        self.is_tunnel = False
        self.sent_bytes = 0
        self.received_bytes = 0
        self.moves: Callable[[], None] = _nothing
        """Called whenever bytes move."""

    def asks(self, host: Host, port: int) -> None:
        self._host, self._port = str(host), port

    def sent(self, count: int) -> None:
        """Before `count` bytes go out. Raises: Refused."""
        self._ledger.sent_bytes += count
        self._ledger.check_bytes()
        self.sent_bytes += count
        self.moves()

    def received(self, count: int) -> None:
        """Before `count` bytes go in. Raises: Refused."""
        self._ledger.received_bytes += count
        self._ledger.check_bytes()
        self.received_bytes += count
        self.moves()

    def allowed(self) -> EgressEvent:
        self._is_allowed = True
        return self._event(EgressOutcome.ALLOWED)

    def refused(self, why: Refused) -> EgressEvent | None:
        """Its end; None where too many were told already, which would fill the host's disk."""
        if self._is_allowed:
            return self._event(EgressOutcome.CLOSED, why.code, why.sentence)
        if self._number > self._ledger.limits.total_connections + 1:
            return None
        outcome = EgressOutcome.FAILED if why.is_failure else EgressOutcome.DENIED
        return self._event(outcome, why.code, why.sentence)

    def closed(self, reason: str = "") -> EgressEvent | None:
        """Its end; None where nothing had been decided."""
        if not self._is_allowed:
            return None
        return self._event(EgressOutcome.CLOSED, "broken" if reason else "", reason)

    def _event(self, outcome: EgressOutcome, code: str = "", reason: str = "") -> EgressEvent:
        return EgressEvent(
            connection=self._number,
            outcome=outcome,
            host=self._host,
            port=self._port,
            address=self.address,
            code=code,
            reason=reason,
            sent_bytes=self.sent_bytes,
            received_bytes=self.received_bytes,
            seconds=time.monotonic() - self._began,
        )


def _nothing() -> None:
    """Before anything moves."""
