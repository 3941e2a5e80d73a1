"""The carriers of packets: the device that leads to the host, or this machine's own loopback.

Sockets choose a transport by the context that they connect to. A driver derives from `VsockTransport`, enters its
object in `TRANSPORTS.guest`, and hands what it receives to `protocol.receive`.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import ENODEV, Errno, final, noraise
from kernel.net.vsock.addresses import CID_ANY, CID_LOCAL
from kernel.net.vsock.packet import VsockPacket


class VsockTransport:
    """Base of transports."""

    def __init__(self) -> None:
        self.generation: int = 0  # how often all connections were lost

    def cid(self) -> int:
        """This machine's context on the transport."""
        return CID_ANY

    def takes_sequences(self) -> bool:
        """Whether there are SEQUENCED connections."""
        return True

    def send(self, packet: VsockPacket) -> None:
        """Send a packet; its data are the transport's from now on. Raises ENODEV, ENOBUFS for a limited
        one; needs no memory.
        """
        raise Errno(ENODEV)

    @noraise
    def deliver_later(self) -> None:
        """A timer sent something; it delivers nothing itself."""


@final
class Transports:
    """The available transports."""

    def __init__(self) -> None:
        # To the host. One that carries nothing while there is no device, as with Linux's driver.
        self.guest: VsockTransport = VsockTransport()
        self.local: VsockTransport = VsockTransport()

    def leading_to(self, cid: int) -> VsockTransport:
        """The transport to a context."""
        return self.local if cid == CID_LOCAL or cid == self.guest.cid() else self.guest

    def is_own(self, cid: int) -> bool:
        """Whether a context is this machine."""
        return cid == CID_LOCAL or (cid != CID_ANY and cid == self.guest.cid())


TRANSPORTS: Final = Transports()
