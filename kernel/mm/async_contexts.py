"""What asynchronous I/O a program has begun, as far as its address space knows of it.

Contexts belong to an address space, as on Linux: they end when the last task is done with it, at exit and at exec.
"""

from kernel.lang import noraise


class AsyncContexts:
    """The contexts of one address space. Base class: see kernel/ipc/aio.py."""

    @noraise
    def end(self) -> None:
        """Nobody uses the address space any more, which still maps what it did. May sleep."""

    def held_bytes(self) -> int:
        """About how much memory comes free with them. Never sleeps, allocates nothing."""
        return 0
