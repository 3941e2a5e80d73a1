"""How much memory the data of all connections may take together.

Each connection is bounded by what its receiver said that it takes (SO_VM_SOCKETS_BUFFER_SIZE); this bounds the sum.
Above the limit a sender has room for the little that it needs to go on, and what a host sends beyond that ends its
connection.

Invariant: `used` is the sum of what the packets with data are charged for.
Context: thread context; nothing sleeps or raises.
"""

from typing import Final

from kernel.lang import final

LEAST_BYTES: Final = 4096  # that a connection may hold whatever others do
MOST_ORPHANS: Final = 1024  # connections whose program has gone and whose peer does not answer
_PAGE_SHIFT: Final = 12
_MEMORY_SHIFT: Final = 4  # the data take that part of memory at most
_LEAST_LIMIT: Final = 1 << 20


@final
class VsockMemory:
    """What is used, in bytes, and the limit."""

    def __init__(self) -> None:
        self.used: int = 0
        self.limit: int = _LEAST_LIMIT
        self.orphans: int = 0

    def configure(self, page_count: int) -> None:
        """Derive the limit from the machine's memory."""
        self.limit = max((page_count << _PAGE_SHIFT) >> _MEMORY_SHIFT, _LEAST_LIMIT)

    def is_exhausted(self) -> bool:
        return self.used > self.limit


MEMORY: Final = VsockMemory()
