"""How messages travel to a server and back. A driver derives from `Channel` and registers one for each server that it
finds, under a name that mount(2) can give.

Context: `transact` sleeps.
"""

from typing import Final

from kernel.lang import EBUSY, EIO, ENOENT, Errno, Span, u8


class Channel:
    """The way to one server. One file system uses it at a time."""

    def __init__(self) -> None:
        self.is_used: bool = False

    def transact(self, request: Span[u8], reply: Span[u8]) -> int:
        """Send a message and wait for what answers it, which fills `reply`; its length, as the server claims it. Raises
        EIO.
        """
        raise Errno(EIO)


CHANNELS: Final[dict[bytes, Channel]] = {}
"""By the names that the host has given them."""


def claim(name: bytes) -> Channel:
    """The channel with this name, for the caller alone. Raises ENOENT, EBUSY."""
    channel = CHANNELS.get(name)
    if channel is None:
        raise Errno(ENOENT)
    if channel.is_used:
        raise Errno(EBUSY)
    channel.is_used = True
    return channel
