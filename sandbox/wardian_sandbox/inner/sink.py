"""Output of a call, kept within a bound: the beginning and the end, with the middle counted."""

from __future__ import annotations

MARKER_BYTES = 64


class Sink:
    """Keeps the first and the last bytes written to it, at most `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self.limit = max(limit, 2 * MARKER_BYTES)
        room = self.limit - MARKER_BYTES
        self._head_room = room - room // 2
        self._tail_room = room // 2 + MARKER_BYTES
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def write(self, data: bytes) -> None:
        self.total += len(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Trimmed at twice the size, so that each byte is moved once and not once per write.
        if len(self._tail) > 2 * self._tail_room:
            del self._tail[: -self._tail_room]

    def raw(self) -> bytes:
        """Everything kept; all there was if `total` is within the limit."""
        return bytes(self._head + self._tail)

    def text(self) -> tuple[str, int]:
        """What was kept, at most `limit` bytes of UTF-8, and how many bytes were dropped."""
        if self.total <= self.limit:
            text = self.raw().decode("utf-8", "replace")
            # A byte that is not UTF-8 becomes three, so what fitted may not fit any more.
            if len(text) * 3 <= self.limit or len(text.encode()) <= self.limit:
                return text, 0
        room = self.limit - MARKER_BYTES
        head = _prefix(bytes(self._head), room - room // 2)
        tail = _suffix(bytes(self._tail or self._head), room // 2)
        dropped = max(self.total - self._kept(room), 1)
        return f"{head}\n[... {dropped} bytes dropped ...]\n{tail}", dropped

    def _kept(self, room: int) -> int:
        return min(len(self._head), room - room // 2) + min(len(self._tail), room // 2)


def _prefix(data: bytes, room: int) -> str:
    text = data[:room].decode("utf-8", "replace").rstrip("\ufffd")
    return text.encode()[:room].decode("utf-8", "ignore")


def _suffix(data: bytes, room: int) -> str:
    text = data[-room:].decode("utf-8", "replace").lstrip("\ufffd")
    return text.encode()[-room:].decode("utf-8", "ignore")
