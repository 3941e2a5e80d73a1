"""Sockets that share a port by SO_REUSEPORT, and the program that chooses one of them for a packet
(SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF).

A program returns the index of a socket. The first socket that was bound has index 0; when one leaves, the last one
takes its index. If there is none of the index, a hash chooses.

Context: nothing sleeps.
Source: socket(7).
"""

from kernel.lang import ENOENT, Errno, final
from kernel.net.link.packet import Packet
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.socket import Socket


@final
class PortGroup:
    """The sockets of a port and an address. The first of them may be alone, and not bound yet."""

    def __init__(self) -> None:
        members: list[Socket] = []
        self.members: list[Socket] = members
        self.chooser: Filter | None = None

    def enter(self, socket: Socket) -> None:
        """A socket takes the next index. Raises MemoryError."""
        self.members.append(socket)

    def leave(self, socket: Socket) -> None:
        """The last socket takes the index of one that goes. The last of all takes the program with it."""
        place = self.members.index(socket)
        last = self.members.pop()
        if place < len(self.members):
            self.members[place] = last
        if len(self.members) == 0:
            self._replace_chooser(None)

    def set_chooser(self, chooser: Filter) -> None:
        """Raises MemoryError."""
        chooser.keep()
        self._replace_chooser(chooser)

    def drop_chooser(self) -> None:
        """Raises ENOENT."""
        if self.chooser is None:
            raise Errno(ENOENT)
        self._replace_chooser(None)

    def _replace_chooser(self, chooser: Filter | None) -> None:
        old = self.chooser
        self.chooser = chooser
        if old is not None:
            old.release()

    def choose(self, packet: Packet) -> Socket | None:
        """The socket for a packet, of which the program sees what follows the transport's header; None if the program
        chooses none of them. Raises MemoryError.
        """
        chooser = self.chooser
        if chooser is None:
            return None
        index = chooser.wanted(packet, packet.start, None)
        return self.members[index] if 0 <= index < len(self.members) else None

    def held_bytes(self) -> int:
        """What it keeps in memory, for each of its sockets."""
        chooser = self.chooser
        return 0 if chooser is None else chooser.held_bytes() // max(len(self.members), 1)
