"""How much memory all connections may take together (tcp(7): tcp_mem, tcp_max_orphans, tcp_max_tw_buckets).

Each connection's queues are bounded by its own buffers; this bounds their sum. Above the *pressure* mark, buffers and
windows stop growing, until less than the *low* mark is used. Above the *limit* a connection keeps the little that it
needs to go on: data received past that are dropped, and the peer sends them again; writers wait for acknowledgments.
A connection that no program holds any more, an orphan, is ended by a reset when there are too many of them, or when
memory is used up. So that orphans whose peers have vanished leave room for those whose peers have not, the last eighth
is for the latter: once it is in use, an orphan without answers is given up early. (Linux does so for an orphan
that was silent for four minutes, and from half of the limit on: a flood of vanishing peers fills it before.)

Invariants: `used` is the sum of `charged` over all connections; `orphans` counts those with `is_counted_orphan`.
Context: thread context; nothing sleeps or raises.
"""

from typing import Final

from kernel.lang import final, noraise
from kernel.lib.settings import INT_LEAST, INT_MOST, NO_BOUND, SystemSetting
from kernel.net.tcp.connection import Connection
from kernel.net.tcp.tcp_settings import SETTINGS

PAGE_SHIFT: Final = 12
LEAST_BYTES: Final = 4096  # that a connection may hold in each direction whatever the others do
LEAST_SEND_BUFFER: Final = 4608
_LEAST_PAGES: Final = 128
_BYTES_PER_ORPHAN: Final = 1 << 16  # of the machine's memory
_PAGES_PER_BUCKET: Final = 32  # of Linux's table of connections, which has a power of two; half as many in TIME_WAIT
_MOST_BUCKETS: Final = 512 << 10


@final
class TcpMemory:
    """The memory used, and the marks."""

    def __init__(self) -> None:
        self.marks: SystemSetting = SystemSetting(b"net/ipv4/tcp_mem", [24_576, 32_768, 49_152], 0, NO_BOUND)  # pages
        self.most_orphans: SystemSetting = SystemSetting(b"net/ipv4/tcp_max_orphans", [4096], INT_LEAST, INT_MOST)
        self.used: int = 0  # bytes
        self.orphans: int = 0
        self.is_under_pressure: bool = False

    def configure(self, page_count: int) -> None:
        """Derive the marks from the machine's memory as Linux does: pressure at a sixteenth of it."""
        pressure = max(page_count >> 4, _LEAST_PAGES)
        low = pressure // 4 * 3
        self.marks.values[0] = low
        self.marks.values[1] = pressure
        self.marks.values[2] = 2 * low
        self.most_orphans.values[0] = max((page_count << PAGE_SHIFT) // _BYTES_PER_ORPHAN, 16)
        buckets = 1
        while buckets < page_count // _PAGES_PER_BUCKET and buckets < _MOST_BUCKETS:
            buckets *= 2
        SETTINGS.max_time_wait.set_default(buckets // 2)

    def is_exhausted(self) -> bool:
        """Whether the limit is passed."""
        return self.used >> PAGE_SHIFT > self.marks.values[2]

    def is_scarce(self) -> bool:
        """Whether less than an eighth is left, of the memory or of the places for orphans."""
        limit = self.marks.values[2]
        most = self.most_orphans.value
        return self.used >> PAGE_SHIFT > limit - (limit >> 3) or self.orphans > most - (most >> 3)

    def charge(self, difference: int) -> None:
        """Change `used` by that many bytes."""
        self.used += difference
        pages = self.used >> PAGE_SHIFT
        if pages > self.marks.values[1]:
            self.is_under_pressure = True
        elif pages <= self.marks.values[0]:
            self.is_under_pressure = False

    def has_room_for_orphan(self, c: Connection) -> bool:
        """Whether a connection may go on without a program: it still has data to send."""
        if self.orphans >= self.most_orphans.value:
            return False
        return c.queue.memory <= LEAST_SEND_BUFFER or not self.is_exhausted()


MEMORY: Final = TcpMemory()


def account(c: Connection) -> None:
    """Charge the current size of the connection's queues; to be called after every change to them."""
    held = c.queue.memory + c.receive.memory
    if held != c.charged:
        difference = held - c.charged
        c.charged = held
        MEMORY.charge(difference)


def moderate_send_buffer(c: Connection) -> None:
    """The limit is passed: allow no more than half of what the queue holds now, so that its writer waits."""
    c.sender.buffer = max(min(c.sender.buffer, c.queue.memory >> 1), LEAST_SEND_BUFFER)


def count_orphan(c: Connection) -> None:
    """The connection goes on without a program."""
    if not c.is_counted_orphan:
        c.is_counted_orphan = True
        MEMORY.orphans += 1


@noraise
def end_orphan(c: Connection) -> None:
    """The connection has ended."""
    if c.is_counted_orphan:
        c.is_counted_orphan = False
        MEMORY.orphans -= 1
