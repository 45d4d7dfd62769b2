"""The control channel as the attached streams of a container."""

from wardian_sandbox.channel import Channel

HEAD_BYTES = 8
"""Stream (1 byte), 3 zeros, length (4 bytes, big end first)."""
STDOUT = 1
MAX_COMPLAINT_BYTES = 4000


class AttachedChannel(Channel):
    """Frames over standard input and output; standard error is kept as a complaint.

    Source of the framing: Docker Engine API, "Attach to a container".
    """

    def __init__(self) -> None:
        super().__init__()
        self._head = b""
        self._left = 0
        self._stream = 0
        self._complaint = bytearray()

    @property
    def complaint(self) -> str:
        """What the supervisor wrote to its standard error."""
        return self._complaint.decode(errors="replace").strip()

    def received(self, data: memoryview) -> None:
        at = 0
        while at < len(data) and not self.lost.done():
            if self._left == 0:
                part = data[at : at + HEAD_BYTES - len(self._head)]
                self._head += bytes(part)
                at += len(part)
                if len(self._head) < HEAD_BYTES:
                    return
                self._left = int.from_bytes(self._head[4:], "big")
                self._stream = self._head[0]
                self._head = b""
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._stream == STDOUT:
                super().received(part)
            else:
                self._complaint += part
                del self._complaint[:-MAX_COMPLAINT_BYTES]


def unframed(data: bytes) -> bytes:
    """What was written to either stream, in order."""
    whole = bytearray()
    at = 0
    while at + HEAD_BYTES <= len(data):
        end = at + HEAD_BYTES + int.from_bytes(data[at + 4 : at + HEAD_BYTES], "big")
        whole += data[at + HEAD_BYTES : end]
        at = end
    return bytes(whole)
