"""How messages travel to a server and back. A driver derives from `Channel` and registers one for each server that it
finds, under a name for mount(2).

Context: `transact` sleeps.
"""

from typing import Final

from kernel.lang import EBUSY, EIO, ENOENT, Errno, Span, u8


class Channel:
    """The channel to one server. One file system uses it at a time."""

    def __init__(self) -> None:
        self.is_used: bool = False

    def transact(self, request: Span[u8], reply: Span[u8]) -> int:
        """Send a message and wait for the answer, which fills `reply`; returns its length as claimed by the server.
        Raises EIO.
        """
        raise Errno(EIO)


CHANNELS: Final[dict[bytes, Channel]] = {}
"""By the names that the host has given them."""


def claim(name: bytes) -> Channel:
    """Claim the channel with this name for the caller alone. Raises ENOENT, EBUSY."""
    channel = CHANNELS.get(name)
    if channel is None:
        raise Errno(ENOENT)
    if channel.is_used:
        raise Errno(EBUSY)
    channel.is_used = True
    return channel
