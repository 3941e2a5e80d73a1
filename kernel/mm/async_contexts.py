"""The asynchronous I/O that a program has begun, as its address space sees it.

Contexts belong to an address space, as on Linux: they end when the last task is done with it, at exit and at exec.
"""

from kernel.lang import noraise


class AsyncContexts:
    """The contexts of one address space. Base class: see kernel/ipc/aio.py."""

    @noraise
    def end(self) -> None:
        """The address space has no users any more, but still maps everything. May sleep."""

    def held_bytes(self) -> int:
        """About how much memory their end would free. Never sleeps, allocates nothing."""
        return 0
