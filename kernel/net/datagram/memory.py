"""How much memory the datagrams in the queues of all sockets may take together (udp(7): udp_mem).

Each socket's queue is bounded by SO_RCVBUF; this bounds their sum. Above the limit a queue that is not empty takes
nothing more, so each socket can still receive.

Invariant: `used` is the sum of `queued_bytes` over all datagram sockets.
Context: thread context; nothing sleeps or raises.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.settings import NO_BOUND, SystemSetting

_PAGE_SHIFT: Final = 12
_LEAST_PAGES: Final = 128
_LEAST_BYTES: Final = 4096  # that a queue may hold whatever the others do


@final
class DatagramMemory:
    """The memory used, and the marks, of which only the last one matters."""

    def __init__(self) -> None:
        self.marks: SystemSetting = SystemSetting(b"net/ipv4/udp_mem", [49_152, 65_536, 98_304], 0, NO_BOUND)  # pages
        self.used: int = 0  # bytes

    def configure(self, page_count: int) -> None:
        """Derive the marks from the machine's memory as Linux does."""
        pressure = max(page_count >> 3, _LEAST_PAGES)
        low = pressure // 4 * 3
        self.marks.values[0] = low
        self.marks.values[1] = pressure
        self.marks.values[2] = 2 * low

    def may_grow(self, queued_bytes: int) -> bool:
        """Whether a queue that holds `queued_bytes` may take one more datagram."""
        return queued_bytes < _LEAST_BYTES or self.used >> _PAGE_SHIFT <= self.marks.values[2]


MEMORY: Final = DatagramMemory()
