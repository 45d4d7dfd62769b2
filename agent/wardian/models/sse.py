"""Server-sent events, read from bytes that may be split anywhere.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
Only `data` matters to the endpoints spoken here; other fields and comments are skipped.
"""

DONE = b"[DONE]"
"""The payload with which OpenAI-compatible servers end a stream."""

EVENT_LIMIT_BYTES = 32 * 1024 * 1024
"""One event may hold a whole reply (5 MB arguments in one chunk); nobody's may hold more."""


class EventTooLarge(ValueError):
    """One event passed `EVENT_LIMIT_BYTES`."""


class EventParser:
    """Gives the `data` payload of each event, as bytes, as soon as its blank line arrived."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._rest: list[bytes] = []
        """Pieces of the line that has no end yet."""
        self._rest_bytes = 0
        self._data: list[bytes] = []
        """Data lines of the event that has no end yet."""
        self._data_bytes = 0
        self._after_cr = False
        self._at_start = True
        self.has_given = False
        """Has there been any event at all?"""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads completed by `chunk`. Raises: EventTooLarge."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")  # the second half of a CRLF split in two
        if not chunk:
            return []
        lines = chunk.splitlines(keepends=True)
        unfinished = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        self._after_cr = chunk.endswith(b"\r")
        payloads: list[bytes] = []
        if lines and self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest.clear()
            self._rest_bytes = 0
        for line in lines:
            self._take(line.rstrip(b"\r\n"), payloads)
        if unfinished:
            self._rest.append(unfinished)
            self._rest_bytes += len(unfinished)
        if self._rest_bytes + self._data_bytes > self._limit_bytes:
            raise EventTooLarge(f"One event is longer than {self._limit_bytes} bytes.")
        return payloads

    def finish(self) -> list[bytes]:
        """The payload of an event whose closing blank line never came, if it has one.

        The specification drops it; here its JSON says by itself whether it is whole.
        """
        payloads: list[bytes] = []
        if self._rest:
            self._take(b"".join(self._rest), payloads)
            self._rest.clear()
        self._take(b"", payloads)
        return payloads

    def _take(self, line: bytes, payloads: list[bytes]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                self.has_given = True
                payloads.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
                self._data_bytes = 0
        elif line.startswith(b"data:"):
            value = line[6:] if line.startswith(b" ", 5) else line[5:]
            self._data.append(value)
            self._data_bytes += len(value)
        elif line == b"data":
            self._data.append(b"")
