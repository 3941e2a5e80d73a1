"""How much memory the data of all connections may take together.

Each connection is bounded by the size that its receiver announced (SO_VM_SOCKETS_BUFFER_SIZE); two budgets bound the
sum: one for data that programs here send, to each other and to the host, and one for data that the host sends, so that
programs cannot break what was promised to the host.

Above the limit a sender has room for the little that it needs to go on: LEAST_BYTES, or one message, once everything it
sent before was read. Above the limit, data from the host end their connection once it holds more than its share, which
is the same for all connections: a program that does not read loses its own. The hook wakes senders waiting for memory.

Invariants: `used` is the sum of the charges of the packets with data; `connections` counts those in the table.
Context: thread context; nothing sleeps or raises.
"""

from typing import Final

from kernel.lang import final, noraise

LEAST_BYTES: Final = 4096  # that a connection may send whatever the others do
LEAST_MEMORY: Final = 8192  # bytes of memory that data from the host may always take in a connection
MOST_ORPHANS: Final = 1024  # connections whose program has gone and whose peer does not answer
_PAGE_SHIFT: Final = 12
_MEMORY_SHIFT: Final = 5  # each budget is this part of memory
_LEAST_LIMIT: Final = 1 << 20


class MemoryHook:
    """Base of the hook that is called when there is memory again."""

    @noraise
    def has_room(self) -> None:
        """A budget that some sender waits for is no longer exhausted."""


@final
class Budget:
    """The use, in bytes, and the limit."""

    def __init__(self) -> None:
        self.used: int = 0
        self.limit: int = _LEAST_LIMIT
        self.is_wanted: bool = False  # a sender waits until it is no longer exhausted
        self.hook: MemoryHook = MemoryHook()

    def is_exhausted(self) -> bool:
        return self.used > self.limit

    @noraise
    def give_back(self, count: int) -> None:
        """Return that many bytes."""
        self.used -= count
        if self.is_wanted and self.used <= self.limit:
            self.is_wanted = False
            self.hook.has_room()


@final
class VsockMemory:
    """The two budgets, and the numbers of connections and of ends without a program."""

    def __init__(self) -> None:
        self.programs: Budget = Budget()
        self.host: Budget = Budget()
        self.connections: int = 0  # within this machine each has two ends, and counts twice
        self.orphans: int = 0

    def configure(self, page_count: int) -> None:
        """Derive the limits from the machine's memory."""
        limit = max((page_count << _PAGE_SHIFT) >> _MEMORY_SHIFT, _LEAST_LIMIT)
        self.programs.limit = limit
        self.host.limit = limit


MEMORY: Final = VsockMemory()
