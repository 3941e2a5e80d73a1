"""The data that a program sends to a netlink socket, kept in pieces.

A batch of rules may be megabytes long. Clearing and copying that at once would keep all threads waiting for more than
a million instructions, so no piece is longer than PACE_BYTES, and only single messages are joined.

Context: system calls, which sleep.
"""

from typing import Final

from kernel.lang import ENOBUFS, Errno, final, span_of
from kernel.lib.pace import PACE_BYTES, pace, pace_bytes
from kernel.lib.user import Buffer

MOST_SENT: Final = 4 << 20
"""Bytes of a datagram."""
MOST_MESSAGE: Final = 1 << 20
"""Bytes of one message: it is cleared and copied without a safe point."""


@final
class SentData:
    """A datagram. Every piece but the last has PACE_BYTES bytes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.length: int = 0

    def add(self, piece: bytes) -> None:
        """Append a piece of PACE_BYTES bytes, or the last one."""
        self.pieces.append(piece)
        self.length += len(piece)

    def u32(self, offset: int) -> int:
        """The number at a multiple of four, inside."""
        return span_of(self.pieces[offset // PACE_BYTES]).load_u32(offset % PACE_BYTES)

    def part(self, start: int, count: int) -> bytes:
        """A part of the data, which must lie inside. Sleeps; raises ENOBUFS above MOST_MESSAGE bytes, MemoryError."""
        first = start // PACE_BYTES
        at = start % PACE_BYTES
        if at + count <= PACE_BYTES:
            return self.pieces[first][at : at + count] if count > 0 else b""
        if count > MOST_MESSAGE:
            raise Errno(ENOBUFS)
        parts: list[bytes] = [self.pieces[first][at:]]
        left = count - len(parts[0])
        for piece in self.pieces[first + 1 :]:
            if left == 0:
                break
            parts.append(piece[:left])
            left -= len(parts[len(parts) - 1])
        pace(count)
        whole = b"".join(parts)
        pace(count)
        return whole


def take_sent(buffer: Buffer, length: int) -> SentData:
    """Take that many bytes, or fewer where some cannot be read. Sleeps; raises ENOBUFS for too much, MemoryError."""
    if length > MOST_SENT:
        raise Errno(ENOBUFS)
    data = SentData()
    while data.length < length:
        wanted = min(length - data.length, PACE_BYTES)
        piece = buffer.take_bytes(wanted)
        data.add(piece)
        if len(piece) < wanted:
            break
        if wanted == PACE_BYTES:
            pace_bytes(2 * PACE_BYTES)  # it was cleared and copied once more, which `take_bytes` does not count
    return data
